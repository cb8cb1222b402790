"""Open streams: how many an application may have, and why the server ends one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Final, cast

from server import limits, metrics
from server.accounts.credentials import Credential
from server.errors import CredentialUnknown, ServerStopping, StreamIdle, UserfoldError
from server.rpc.admission.shared_capacity import SharedCapacity
from server.rpc.authentication import Authenticator

SWEEP_SECONDS: Final = 1.0
"""How often open streams are checked."""


class OpenStream:
    """A stream that is open. `clock` returns seconds from any starting point."""

    def __init__(self, application_id: str, credential: Credential, clock: Callable[[], float]) -> None:
        self.application_id = application_id
        self.credential = credential
        self._clock = clock
        self._waiting: asyncio.Task[Any] | None = None
        self._waits_since = 0.0
        self._end: UserfoldError | None = None

    @property
    def idle_seconds(self) -> float:
        """How long the stream has waited for its next request; 0 while a request is being served."""
        return self._clock() - self._waits_since if self._waiting else 0.0

    async def payloads(self, payloads: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        """The requests of the stream, until the client ends it. Raises the reason where `end` ended it."""
        task = asyncio.current_task()
        async with aclosing(cast(AsyncGenerator[bytes, None], aiter(payloads))) as received:
            while self._reason() is None:
                self._waiting, self._waits_since = task, self._clock()
                try:
                    payload = await anext(received)
                except StopAsyncIteration:
                    return
                except asyncio.CancelledError:
                    # By `end`, unless the task was cancelled for another reason too.
                    if self._reason() is None or task is None or task.uncancel():
                        raise
                    break
                finally:
                    self._waiting = None
                yield payload
        raise cast(UserfoldError, self._end)

    def _reason(self) -> UserfoldError | None:
        return self._end

    def end(self, reason: UserfoldError) -> None:
        """End the stream: `payloads` raises `reason` instead of returning the next request."""
        if self._end is None:
            self._end = reason
            if self._waiting:
                self._waiting.cancel()


class Streams:
    """All open streams, of which each application has a share.

    A stream ends when it has waited for a request for `limits.STREAM_IDLE_SECONDS`, when its credential no longer
    belongs to its application, and when `stopping` is set. `updates` and `batches` are the capacities for the two kinds
    of streams. `clock` returns seconds from any starting point.
    """

    def __init__(self, authenticator: Authenticator, clock: Callable[[], float], stopping: asyncio.Event) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._stopping = stopping
        self.updates = SharedCapacity(limits.STREAMS)
        self.batches = SharedCapacity(limits.BATCH_STREAMS)
        self._open: set[OpenStream] = set()
        self._ended = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @contextmanager
    def open(self, capacity: SharedCapacity, application_id: str, credential: Credential) -> Iterator[OpenStream]:
        """A stream that is open in the block. Raises Overloaded where the application has no capacity left."""
        capacity.take(application_id)
        stream = OpenStream(application_id, credential, self._clock)
        if self._stopping.is_set():
            stream.end(ServerStopping())
        self._open.add(stream)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        try:
            yield stream
        finally:
            self._open.discard(stream)
            capacity.give_back(application_id)
            self._ended.set()

    def note_load(self) -> None:
        """Set the gauges of open streams."""
        metrics.STREAMS.labels("updates").set(limits.STREAMS - self.updates.free)
        metrics.STREAMS.labels("batches").set(limits.BATCH_STREAMS - self.batches.free)

    async def ended(self) -> None:
        """Wait until no stream is open."""
        while self._open:
            self._ended.clear()
            await self._ended.wait()

    async def sweep(self) -> None:
        """End the streams that are idle, or whose credential no longer belongs to their application."""
        stale: dict[Credential, list[OpenStream]] = {}
        for stream in self._open:
            application = self._authenticator.cache.application_of(stream.credential)
            if stream.idle_seconds >= limits.STREAM_IDLE_SECONDS:
                stream.end(StreamIdle())
            elif application is None:
                stale.setdefault(stream.credential, []).append(stream)
            elif application.application_id != stream.application_id:
                stream.end(CredentialUnknown())
        checks: list[Awaitable[None]] = [self._check(credential, streams) for credential, streams in stale.items()]
        await asyncio.gather(*checks)

    async def _check(self, credential: Credential, streams: list[OpenStream]) -> None:
        application_id = None
        try:
            application_id = (await self._authenticator.authenticate(credential)).application_id
        except CredentialUnknown:
            pass
        except Exception:
            # The next sweep tries again. No failure, not even a defect, may end the sweeps.
            return
        for stream in streams:
            if stream.application_id != application_id:
                stream.end(CredentialUnknown())

    async def _watch(self) -> None:
        try:
            while self._open and not self._stopping.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_SECONDS):
                        await self._stopping.wait()
                        break
                await self.sweep()
        finally:
            self._watching = None
        for stream in self._open:
            stream.end(ServerStopping())
