"""Batches: the rows whose updates are one message of the stream, until all of them are stored or refused."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from userfold.v1.user_pb2 import UserUpdate

from cli.importing.rows import Refusal, Row

UPDATES: Final = 250
"""The limit of the updates in one message. The first row behind it is in the next one."""

BYTES: Final = 1024 * 1024
"""The limit of their size. A single update may be larger."""


class Digest(Protocol):
    def copy(self) -> "Digest": ...

    def hexdigest(self) -> str: ...


class Reader(Protocol):
    """Yields the rows of a file. `digest` is that of all rows that it has yielded."""

    @property
    def digest(self) -> Digest: ...

    def __iter__(self) -> Iterator[Row]: ...


@dataclass(slots=True)
class Batch:
    """Rows in their order. `places` has the index of the row of each update, `refusals` why rows are refused.

    `last_row` is the number of the last row, `digest` that of the file until there, and `position` how many bytes of
    the file were read until then. `size` is that of the updates.
    """

    rows: list[Row] = field(default_factory=list)
    updates: list[UserUpdate] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    refusals: dict[int, Refusal] = field(default_factory=dict)
    last_row: int = 0
    digest: str = ""
    position: int = 0
    size: int = 0

    def add(self, row: Row, updates: Sequence[UserUpdate] | Refusal) -> None:
        """Add a row with its updates, or with why it is refused."""
        place = len(self.rows)
        self.rows.append(row)
        if isinstance(updates, Refusal):
            self.refusals[place] = updates
            self.size += len(row.original)
            return
        for update in updates:
            self.updates.append(update)
            self.places.append(place)
            self.size += update.ByteSize()

    @property
    def weight(self) -> int:
        """How many rows or updates it holds."""
        return max(len(self.rows), len(self.updates))

    @property
    def is_full(self) -> bool:
        return self.weight >= UPDATES or self.size >= BYTES


def batches_of(
    rows: Iterator[Row],
    reader: Reader,
    position: Callable[[], int],
    updates: Callable[[Row], Sequence[UserUpdate] | Refusal],
) -> Iterator[Batch]:
    """The batches of rows, which are those of `reader`. What `rows` raises is raised after the rows before."""
    batch = Batch()
    digest = reader.digest.copy()
    failure: Exception | None = None
    while True:
        try:
            row = next(rows, None)
        except Exception as error:
            row, failure = None, error
        if row is not None:
            batch.add(row, updates(row))
            batch.last_row = row.number
            # A row that fails may be a part of the reader's digest.
            digest = reader.digest.copy()
        if batch.is_full or (row is None and batch.rows):
            batch.digest, batch.position = digest.hexdigest(), position()
            yield batch
            batch = Batch()
        if row is None:
            break
    if failure is not None:
        raise failure


class Pulled:
    """The batches of an iterator, each made in a thread when it is asked for: reading a pipe may block for long."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._asked: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Batch | None]]] = (
            queue.SimpleQueue()
        )
        # A thread that waits for a pipe must not keep the process from ending.
        threading.Thread(target=self._run, daemon=True).start()

    async def next(self) -> Batch | None:
        """The next batch, or None at the end. Raises what the iterator raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Batch | None] = loop.create_future()
        self._asked.put((loop, future))
        return await future

    def _run(self) -> None:
        while True:
            loop, future = self._asked.get()
            try:
                batch = next(self._batches, None)
            except BaseException as error:
                loop.call_soon_threadsafe(_set, future, None, error)
            else:
                loop.call_soon_threadsafe(_set, future, batch, None)


def _set(future: "asyncio.Future[Batch | None]", batch: Batch | None, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(batch)
