"""What all commands have in common: help, the version, completion, and exit statuses."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from cli.main import COMMANDS
from tests.cli.conftest import run_userfold
from tests.support.programs import environment, free_port

_SCRIPT = Path(sys.executable).with_name("userfold")


def _run_script(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_SCRIPT, *words], env=environment(variables), capture_output=True, text=True, check=False)


def test_the_installed_command_prints_its_version() -> None:
    run = _run_script("--version")
    assert (run.returncode, run.stdout, run.stderr) == (0, f"userfold {version('userfold')}\n", "")


def test_the_help_names_every_command() -> None:
    run = run_userfold("--help", variables={})
    assert run.returncode == 0
    listed = run.stdout.split("Commands", 1)[1].split()
    assert [name for name, *_ in COMMANDS if name not in listed] == []
    bare = run_userfold(variables={})
    assert (bare.returncode, bare.stderr) == (2, run.stdout)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_every_command_has_a_help_that_begins_as_its_line_in_the_list(command: tuple[str, str, str, str]) -> None:
    name, module, _, text = command
    run = run_userfold(name, "--help", variables={})
    assert run.returncode == 0, run.stderr
    assert text.rstrip(".") in " ".join(run.stdout.split())
    assert import_module(module).app


def test_the_shell_completes_commands_without_importing_them() -> None:
    variables = {"_USERFOLD_COMPLETE": "complete_bash", "COMP_WORDS": "userfold us", "COMP_CWORD": "1"}
    assert _run_script(**variables).stdout.split() == ["users"]
    probe = "import sys, cli.main; cli.main.main(['--version']); print('grpc' in sys.modules, 'motor' in sys.modules)"
    assert run_python(probe).splitlines()[-1] == "False False"
    variables |= {"COMP_WORDS": "userfold users ge", "COMP_CWORD": "2"}
    assert _run_script(**variables).stdout.split() == ["get"]


def run_python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [(["user"], "Did you mean 'users'"), (["users", "get"], "Missing argument 'USER_ID'"), (["--nothing"], "option")],
)
def test_wrong_arguments_are_a_usage_error(words: list[str], error: str) -> None:
    run = run_userfold(*words, variables={})
    assert (run.returncode, run.stdout) == (2, "")
    assert error in run.stderr


def test_a_server_that_does_not_answer_is_another_status() -> None:
    address = f"127.0.0.1:{free_port()}"
    run = run_userfold("users", "get", "x", variables={"USERFOLD_TOKEN": "x", "USERFOLD_GRPC_ADDRESS": address})
    assert run.returncode == 3
    assert run.stderr.startswith(f"userfold: no server answers at {address}: start one")
    assert run.stderr.count("\n") == 1
