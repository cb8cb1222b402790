"""`userfold completion`: the script that completes commands in a shell."""

from enum import StrEnum
from typing import Annotated

import typer
from typer import completion as scripts

app = typer.Typer()


class Shell(StrEnum):
    """The shells that can complete commands."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the script that completes commands, for example: source <(userfold completion bash)."""
    print(
        scripts.get_completion_script(  # type: ignore[attr-defined]  # typer imports it there, and says so nowhere.
            prog_name="userfold", complete_var="_USERFOLD_COMPLETE", shell=shell
        )
    )
