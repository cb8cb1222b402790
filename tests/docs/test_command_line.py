"""The page about the command line names every command."""

from importlib import import_module
from typing import Any

import typer
from typer.main import get_command

from cli.main import COMMANDS
from tests.docs.markdown import DOCS


def _paths(command: Any, words: str) -> list[str]:
    """The words of each command below this one; those of the command itself where it is no group."""
    commands = getattr(command, "commands", {})
    return [path for name, each in commands.items() for path in _paths(each, f"{words} {name}")] or [words]


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    text = (DOCS / "command-line.md").read_text()
    for name, module, *_ in COMMANDS:
        app: typer.Typer = import_module(module).app
        for path in _paths(get_command(app), name):
            assert f"userfold {path}" in text or f"| `{path}`" in text or f", `{path}` |" in text, path
