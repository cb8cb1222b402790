"""Files of backups: what they hold, for people and for programs."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from server.mongo.backups import backup
from server.mongo.backups.backup import Counts


def verified(path: Path) -> tuple[Mapping[str, Any], Counts]:
    """The header of a backup and what it holds, after the whole file was read. Raises BackupFailed or OSError."""
    with path.open("rb") as file:
        return backup.verify(file)


_NAMED: Final = ("profiles", "companies", "applications", "credentials")


def described(counts: Counts) -> str:
    """What a backup holds, for people."""
    return ", ".join(f"{counts.get(name, 0):,} {name}" for name in _NAMED)


def json_of(counts: Counts, created_time: datetime | None = None) -> dict[str, object]:
    """What a backup holds: the number of documents of each collection."""
    return {"created_time": created_time, "documents": dict(counts)} if created_time else {"documents": dict(counts)}
