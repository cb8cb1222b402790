"""Which applications have a label of their own in metrics. Each label is a time series, so there must not be many."""

import fcntl
import os
from pathlib import Path
from typing import Final

LIMIT: Final = 100
"""Applications that have a label of their own."""

OTHER: Final = "other"
"""The label of all further applications."""

NONE: Final = "none"
"""The label of requests whose application is not known, such as those with an unknown credential."""

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the directory in which workers share their metrics. Only their parent sets it."""

_FILE: Final = "applications"


def shared_directory() -> Path | None:
    """The directory that this process shares with the other workers; None in a process that is no worker."""
    directory = os.environ.get(DIRECTORY)
    return Path(directory) if directory else None


class ApplicationLabels:
    """The ids of the first `limit` applications, in the order in which they were used first.

    Processes with the same `directory` share them: together they have no more labels than one.
    """

    def __init__(self, directory: Path | None, limit: int = LIMIT) -> None:
        self._file = directory / _FILE if directory else None
        self._limit = limit
        self._ids: dict[str, str] = {}

    def label(self, application_id: str) -> str:
        """The label of an application; of none where the id is empty."""
        label = self._ids.get(application_id)
        if label is not None:
            return label
        if not application_id:
            return NONE
        return OTHER if len(self._ids) >= self._limit else self._admitted(application_id)

    def _admitted(self, application_id: str) -> str:
        if self._file is None:
            self._ids[application_id] = application_id
            return application_id
        with self._file.open("a+") as file:
            # Held for a few system calls. The file is read at most once for each application that has a label, and for
            # none as soon as there are enough.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            self._ids = {known: known for known in file.read().splitlines()}
            if application_id not in self._ids and len(self._ids) < self._limit:
                self._ids[application_id] = application_id
                file.write(f"{application_id}\n")
        return self._ids.get(application_id, OTHER)
