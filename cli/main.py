"""`userfold`: the table of its commands, and what becomes of their errors.

A module of commands is imported when one of its commands is called. To complete a line or to print the version, the
driver and gRPC would take longer than everything else.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from cli.failures import CommandFailed, ExitStatus
from runtime.settings import InvalidSetting, warnings_of
from server.errors import OperatorError

_PROGRAMS: Final = ("run", "server", "gateway")
"""They check the environment themselves, as they do without `userfold`."""

_SERVING: Final = "Serving"
_DATA: Final = "Users and what is stored of them"
_OPERATING: Final = "Operating"

COMMANDS: Final = (
    ("run", "cli.commands.programs.run", _SERVING, "Run MongoDB, the server and the gateway on this machine."),
    ("server", "cli.commands.programs.server", _SERVING, "Run the gRPC server."),
    ("gateway", "cli.commands.programs.gateway", _SERVING, "Run the HTTP gateway."),
    ("users", "cli.commands.users", _DATA, "Read, count, merge and delete the profiles of users."),
    ("companies", "cli.commands.companies", _DATA, "Read, count and delete the profiles of companies."),
    ("visitors", "cli.commands.visitors", _DATA, "Read, count and delete the profiles of visitors."),
    ("import", "cli.commands.import_users", _DATA, "Import users from JSON Lines, a JSON array or CSV."),
    ("export", "cli.commands.export_users", _DATA, "Export the users of the application."),
    ("metadata", "cli.commands.metadata", _DATA, "List the paths below metadata."),
    ("campaigns", "cli.commands.campaigns", _DATA, "Report what campaigns brought."),
    (
        "suppressions",
        "cli.commands.suppressions",
        _DATA,
        "See which erased users are suppressed, and end a suppression.",
    ),
    ("refusals", "cli.commands.refusals", _OPERATING, "See which requests were refused lately."),
    ("applications", "cli.commands.applications", _OPERATING, "Create, list, change and delete applications."),
    ("backup", "cli.commands.backup", _OPERATING, "Write the database to a file, and verify such a file."),
    ("restore", "cli.commands.restore", _OPERATING, "Verify a backup, then replace the database by it."),
    ("doctor", "cli.commands.doctor", _OPERATING, "Examine MongoDB and this machine."),
    ("config", "cli.commands.config", _OPERATING, "Print every setting."),
    ("healthcheck", "cli.commands.healthcheck", _OPERATING, "Ask a program on this machine whether it is ready."),
    ("completion", "cli.commands.completion", _OPERATING, "Print the script that completes commands."),
)
"""Every command or group: its name, the module whose `app` it is, its panel in the help, and its help."""


class _Deferred(TyperCommand):
    """A command whose module is imported when it is called."""

    def __init__(self, name: str, module: str, panel: str, text: str) -> None:
        super().__init__(name, help=text, rich_help_panel=panel)
        self._module = module

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        commands: typer.Typer = import_module(self._module).app
        commands.rich_markup_mode = app.rich_markup_mode
        command = get_command(commands)
        command.name, command.help = self.name, command.help or self.help
        return command.make_context(info_name, args, parent, **extra)


class _Commands(TyperGroup):
    """The commands of `COMMANDS`, in that order."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, module, panel, text in COMMANDS:
            self.add_command(_Deferred(name, module, panel, text), name)


app = typer.Typer(
    name="userfold",
    cls=_Commands,
    no_args_is_help=True,
    # Frames and colours are for a terminal.
    rich_markup_mode="markdown" if sys.stdout.isatty() and sys.stderr.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 refused or failed, 2 arguments or settings that cannot be used, 3 no answer, 4 some"
    " rows refused.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"userfold {version('userfold')}")
        raise typer.Exit


@app.callback()
def _userfold(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
) -> None:
    """Userfold: run it, look into it, and keep it in order.

    Commands that read and change users call the server at USERFOLD_GRPC_ADDRESS with the management token in
    USERFOLD_TOKEN. Commands for operators use the MongoDB of USERFOLD_MONGODB_URI.
    """
    if context.invoked_subcommand not in _PROGRAMS:
        for warning in warnings_of(os.environ):
            print(f"userfold: {warning}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit status, after one line on stderr where it is not 0."""
    try:
        get_command(app).main(arguments, prog_name="userfold")
    except SystemExit as end:
        return int(end.code or 0)
    except CommandFailed as error:
        return _failed(error, error.status)
    except InvalidSetting as error:
        return _failed(error, ExitStatus.USAGE)
    except (OperatorError, OSError) as error:
        return _failed(error, ExitStatus.FAILED)
    return ExitStatus.OK


def _failed(error: Exception, status: ExitStatus) -> int:
    print(f"userfold: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
