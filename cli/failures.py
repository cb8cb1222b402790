"""How a command fails: one line on stderr, and an exit status."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit statuses of all commands. 130 also occurs: the user pressed Ctrl-C."""

    OK = 0
    FAILED = 1
    """The command was refused or failed. The same command fails again until something is changed."""
    USAGE = 2
    """The arguments, or the variables of the environment, cannot be used. Nothing was done."""
    UNAVAILABLE = 3
    """The server or MongoDB did not answer, or has no room. The same command may succeed later."""
    ROWS_REFUSED = 4
    """An import or its dry run is complete, and some rows are refused."""


class CommandFailed(Exception):
    """A command cannot be completed. The message, one line, says why and what to do."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.FAILED) -> None:
        super().__init__(message)
        self.status = status
