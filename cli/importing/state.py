"""The state of an import, in a file: up to which row everything is stored or refused."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from cli.failures import CommandFailed

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of an import, in all its runs."""

    imported: int = 0
    suppressed: int = 0
    refused: int = 0

    @property
    def rows(self) -> int:
        return self.imported + self.suppressed + self.refused


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to the row `row` is stored or refused. `digest` is that of the rows until there, and
    `refused_bytes` the size of the file of refused rows.
    """

    row: int = 0
    digest: str = ""
    refused_bytes: int = 0
    counts: Counts = field(default_factory=Counts)


def identity(application_id: str, meaning: Iterable[str]) -> str:
    """What must be the same for an import to be continued: the application, and how the rows are read."""
    return hashlib.sha256(orjson.dumps([_VERSION, application_id, *meaning])).hexdigest()


class State:
    """The file of the state, which only its owner can read. Without a path, nothing is kept."""

    def __init__(self, path: Path | None, identity: str) -> None:
        self._path = path
        self._identity = identity

    def position(self) -> Position | None:
        """The position to continue at, or None. Raises CommandFailed where the file is of another import."""
        if self._path is None:
            return None
        try:
            content = orjson.loads(self._path.read_bytes())
            found: dict[str, Any] = content["position"]
            position = Position(**{**found, "counts": Counts(**found["counts"])})
            known: str = content["identity"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise CommandFailed(f"{self._path} is not the state of an import: delete it, or choose --state") from None
        if known != self._identity:
            raise CommandFailed(
                f"{self._path} is the state of an import into another application, or with other columns: repeat that"
                " command to continue it, or delete the file to start again"
            )
        return position

    def save(self, position: Position) -> None:
        """Replace the file, so that it is whole whenever the process is killed."""
        if self._path is None:
            return
        draft = self._path.with_name(f"{self._path.name}.new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(orjson.dumps({"identity": self._identity, "position": asdict(position)}))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def remove(self) -> None:
        """Delete the file: the import is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def changed(self) -> CommandFailed:
        """The failure to raise where the rows before the position are not the same."""
        return CommandFailed(
            f"the rows that are imported already have changed since: delete {self._path} to import all of them again"
        )
