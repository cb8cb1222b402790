"""Sends batches over `StreamUpdateUsers`, and again on a new stream where one is lost.

All batches that are not settled are sent again in their order, whatever was acknowledged behind the first one that was
not, and when the server works on none of them any more: so the last update of a user in the file is also the last that
is stored. An update that is stored a second time changes nothing but `stored_time` and the default of `modified_time`.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from userfold.v1.user_service_pb2 import Acknowledgement, BatchUpdateUsersRequest, StreamUpdateUsersRequest

from cli.connection import CALL_SECONDS
from cli.failures import CommandFailed, ExitStatus
from cli.importing.batches import Batch
from cli.importing.outcomes import INTERNAL, REFUSED, Lost, error_of_call, error_of_stream, lost
from cli.importing.rows import Refusal
from server.mongo.driver import WRITE_SECONDS

WINDOW_UPDATES: Final = 4000
WINDOW_BYTES: Final = 32 * 1024 * 1024
"""The limits of what is sent and not settled."""

SILENCE_SECONDS: Final = 60.0
"""How long the server may acknowledge nothing while something is in flight. MongoDB has 8 s for a write."""

DRAIN_SECONDS: Final = 10.0
"""The same after the user has stopped the import."""

QUIET_SECONDS: Final = WRITE_SECONDS + 2
"""The time after the loss of a stream in which the server may still write updates of it. None is sent again before: it
could be overtaken by an older one, if another server receives it."""

_WATCH_SECONDS: Final = 0.2
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(slots=True)
class _Sent:
    """A batch that is not settled."""

    batch: Batch
    unacknowledged: int
    refusals: dict[int, Refusal] = field(default_factory=dict)
    suppressed: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Settled:
    """A batch of which each row is stored, suppressed, or refused for a reason."""

    batch: Batch
    refusals: dict[int, Refusal]
    suppressed: int


class Sender:
    """Sends batches and settles them in their order.

    `next_batch` returns the next batch, or None at the end. `open_stub` opens a connection, of which `metadata` is that
    of each call. `settle` is called with each settled batch, `waiting` with why the import waits. Where nothing is
    settled for `patience` seconds, or the server refuses the stream, `run` raises CommandFailed.
    """

    def __init__(
        self,
        next_batch: Callable[[], Awaitable[Batch | None]],
        open_stub: Callable[[], AbstractAsyncContextManager[Any]],
        settle: Callable[[Settled], None],
        waiting: Callable[[str], None],
        *,
        address: str,
        metadata: tuple[tuple[str, str], ...],
        patience: float,
    ) -> None:
        self._next_batch = next_batch
        self._open_stub = open_stub
        self._settle = settle
        self._waiting = waiting
        self._address = address
        self._metadata = metadata
        self._patience = patience
        self._unsettled: deque[_Sent] = deque()
        self._updates = self._bytes = 0
        self._internal: set[int] = set()
        """Rows that the server had a defect with. They are sent once more."""
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ending = asyncio.Event()
        """Nothing more is sent on this stream."""
        self._again: CommandFailed | None = None
        """Why updates of this stream must be sent again, on another one."""
        self._next: asyncio.Future[Batch | None] | None = None
        self._failure: Exception | None = None
        self._has_ended = False
        self._progressed = time.monotonic()

    @property
    def is_complete(self) -> bool:
        """Whether every batch is settled."""
        return self._has_ended and self._failure is None and not self._unsettled

    def stop(self) -> None:
        """Send nothing more, and end once what was sent is settled, or soon."""
        self._stopping.set()
        self._end_stream()

    async def run(self) -> None:
        """Send all batches. Raises CommandFailed, also what `next_batch` raises, once all before it is settled."""
        attempt = 0
        self._progressed = time.monotonic()
        while True:
            before = self._progressed
            try:
                async with self._open_stub() as stub:
                    await self._stream(stub)
                break
            except Lost as loss:
                if self._stopping.is_set():
                    return
                attempt = 0 if self._progressed > before else attempt + 1
                if time.monotonic() - self._progressed > self._patience:
                    raise loss.failure from None
                self._waiting(str(loss))
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                if self._unsettled and not loss.is_quiet:
                    pause = max(pause, QUIET_SECONDS)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
        if self._failure is not None:
            raise self._failure

    async def _stream(self, stub: Any) -> None:
        """Send what is not settled, and what follows, on one stream. Raises Lost or CommandFailed."""
        await self._probe(stub)
        if self._stopping.is_set():
            return
        self._again = None
        self._ending.clear()
        call = stub.StreamUpdateUsers(metadata=self._metadata)
        awaited: dict[int, tuple[_Sent, int]] = {}
        writing = asyncio.ensure_future(self._write(call, awaited))
        reading = asyncio.ensure_future(self._read(call, awaited))
        watching = asyncio.ensure_future(self._watch(awaited))
        try:
            await asyncio.wait([reading, watching], return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                raise lost(self._address, "is silent")
            reading.result()
            await writing
        finally:
            call.cancel()
            for task in (writing, reading, watching):
                task.cancel()
            await asyncio.gather(writing, reading, watching, return_exceptions=True)

    async def _probe(self, stub: Any) -> None:
        """Send an empty batch. Raises CommandFailed where no stream would be accepted either, or Lost."""
        try:
            await stub.BatchUpdateUsers(BatchUpdateUsersRequest(), timeout=CALL_SECONDS, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self._address) from None

    def _end_stream(self) -> None:
        self._ending.set()
        self._room.set()

    async def _write(self, call: Any, awaited: dict[int, tuple[_Sent, int]]) -> None:
        number = 0
        # An RPC that has ended says why where it is read.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            async for sent in self._sendable():
                for place in range(len(sent.batch.updates)):
                    awaited[number] = sent, place
                    number += 1
                if sent.batch.updates:
                    await call.write(StreamUpdateUsersRequest(users=sent.batch.updates))
                else:
                    self._settle_first()
            await call.done_writing()

    async def _sendable(self) -> AsyncIterator[_Sent]:
        """The batches that are not settled, from the start of their acknowledgement, and then those that follow."""
        unsettled = list(self._unsettled)
        for sent in unsettled:
            # All at once: a batch behind the first one must not count as stored before it is sent again after it.
            sent.unacknowledged = len(sent.batch.updates)
            sent.refusals, sent.suppressed = {}, set()
        for sent in unsettled:
            if self._ending.is_set():
                return
            yield sent
        while not (self._has_ended or self._ending.is_set()):
            while self._updates >= WINDOW_UPDATES or self._bytes >= WINDOW_BYTES:
                self._room.clear()
                await self._room.wait()
                if self._ending.is_set():
                    return
            if (batch := await self._next_or_end()) is None:
                return
            sent = _Sent(batch, len(batch.updates))
            self._unsettled.append(sent)
            self._updates += batch.weight
            self._bytes += batch.size
            yield sent

    async def _next_or_end(self) -> Batch | None:
        """The next batch; None at the end, and where the stream is to end while it is read."""
        # A batch that is read while a stream is lost belongs to the next stream.
        self._next = self._next or asyncio.ensure_future(self._next_batch())
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            waited: list[asyncio.Future[Any]] = [self._next, ending]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
        if not self._next.done():
            return None
        batch = None
        try:
            batch = self._next.result()
        except Exception as error:
            self._failure = error
        self._next = None
        self._has_ended = batch is None
        return batch

    async def _read(self, call: Any, awaited: dict[int, tuple[_Sent, int]]) -> None:
        try:
            async for response in call:
                for acknowledgement in response.acknowledgements:
                    self._acknowledge(acknowledgement, *awaited.pop(acknowledgement.sequence_number))
                self._settle_first()
        except grpc.aio.AioRpcError as error:
            raise error_of_stream(error, self._address) from None
        if self._again is not None:
            # Everything that the server has read is acknowledged.
            raise Lost(self._again, is_quiet=True)
        if self._unsettled:
            raise lost(self._address, "ended the stream")

    async def _watch(self, awaited: dict[int, tuple[_Sent, int]]) -> None:
        """Return when the oldest update in flight has waited for too long."""
        first: int | None = None
        since = time.monotonic()
        while time.monotonic() - since < (DRAIN_SECONDS if self._stopping.is_set() else SILENCE_SECONDS):
            await asyncio.sleep(_WATCH_SECONDS)
            oldest = next(iter(awaited), None)
            if oldest is None or oldest != first:
                first, since = oldest, time.monotonic()

    def _acknowledge(self, acknowledgement: Acknowledgement, sent: _Sent, place: int) -> None:
        """Take the result of one update. Where it must be sent again, the stream ends, and the next begins with it."""
        row = sent.batch.places[place]
        outcome = acknowledgement.WhichOneof("outcome")
        if outcome == "error":
            status = acknowledgement.error
            number = sent.batch.rows[row].number
            is_known_defect = status.code == INTERNAL and number in self._internal
            if status.code not in REFUSED and not is_known_defect:
                if status.code == INTERNAL:
                    self._internal.add(number)
                self._send_again(status.message)
                return
            sent.refusals[row] = Refusal.of_status(status)
        elif outcome is None:
            self._send_again(f"the server at {self._address} does not say whether an update is stored")
            return
        elif acknowledgement.response.suppressed:
            sent.suppressed.add(row)
        sent.unacknowledged -= 1

    def _send_again(self, why: str) -> None:
        self._again = self._again or CommandFailed(why, ExitStatus.UNAVAILABLE)
        self._end_stream()

    def _settle_first(self) -> None:
        """Settle the batches at the front of which everything is acknowledged."""
        while self._unsettled and not self._unsettled[0].unacknowledged:
            sent = self._unsettled.popleft()
            batch = sent.batch
            self._updates -= batch.weight
            self._bytes -= batch.size
            self._progressed = time.monotonic()
            refusals = batch.refusals | sent.refusals
            self._settle(Settled(batch, refusals, len(sent.suppressed - refusals.keys())))
            self._internal = {number for number in self._internal if number > batch.last_row}
        self._room.set()
