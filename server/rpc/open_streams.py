"""The streams that are open: whose they are, and when one ends that would go on for ever."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Final, Protocol, cast

from server import limits
from server.accounts.credentials import Credential
from server.errors import CredentialUnknown, ServerStopping, StreamIdle, UserfoldError
from server.model import Application
from server.rpc.places import Places

SWEEP_SECONDS: Final = 1.0
"""How often open streams are looked at."""


class Authenticates(Protocol):
    """What tells whose a credential is: an Authenticator."""

    def recognized(self, credential: Credential) -> Application | None:
        """The application of a credential that need not be looked up now."""

    async def authenticate(self, credential: Credential) -> Application:
        """The application of a credential. Raises CredentialUnknown, and others where that is not known now."""


class OpenStream:
    """A stream that is open. `clock` counts seconds."""

    def __init__(self, application_id: str, credential: Credential, clock: Callable[[], float]) -> None:
        self.application_id = application_id
        self.credential = credential
        self._clock = clock
        self._waiting: asyncio.Task[Any] | None = None
        self._waits_since = 0.0
        self._end: UserfoldError | None = None

    @property
    def idle_seconds(self) -> float:
        """For how long the stream has waited for its next message; 0 while one is being served."""
        return self._clock() - self._waits_since if self._waiting else 0.0

    async def messages(self, sent: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        """The messages of the stream, until it ends by itself, or is ended: that raises why."""
        task = asyncio.current_task()
        async with aclosing(cast(AsyncGenerator[bytes, None], aiter(sent))) as coming:
            while self._reason() is None:
                self._waiting, self._waits_since = task, self._clock()
                try:
                    message = await anext(coming)
                except StopAsyncIteration:
                    return
                except asyncio.CancelledError:
                    # Of `end`, unless somebody else has cancelled the task too.
                    if self._reason() is None or task is None or task.uncancel():
                        raise
                    break
                finally:
                    self._waiting = None
                yield message
        raise cast(UserfoldError, self._end)

    def _reason(self) -> UserfoldError | None:
        return self._end

    def end(self, reason: UserfoldError) -> None:
        """Read no more messages: whoever reads them gets this instead of the next one."""
        if self._end is None:
            self._end = reason
            if self._waiting:
                self._waiting.cancel()


class Streams:
    """All streams that are open.

    Each application has a share of them. One that waits for its next message for `limits.STREAM_IDLE_SECONDS` ends, and
    one whose credential is no longer known, and all when `stopping` is set. `clock` counts seconds from any point on.
    """

    def __init__(self, authenticator: Authenticates, clock: Callable[[], float], stopping: asyncio.Event) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._stopping = stopping
        self.updates = Places(limits.STREAMS)
        self.batches = Places(limits.BATCH_STREAMS)
        self._open: set[OpenStream] = set()
        self._ended = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @contextmanager
    def open(self, places: Places, application_id: str, credential: Credential) -> Iterator[OpenStream]:
        """A stream is open in the block. Raises Overloaded where the application has no place for it."""
        places.take(application_id)
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
            places.give_back(application_id)
            self._ended.set()

    async def ended(self) -> None:
        """Wait until no stream is open."""
        while self._open:
            self._ended.clear()
            await self._ended.wait()

    async def sweep(self) -> None:
        """End the streams that are idle, or whose credential is no longer that of their application."""
        stale: dict[Credential, list[OpenStream]] = {}
        for stream in self._open:
            application = self._authenticator.recognized(stream.credential)
            if stream.idle_seconds >= limits.STREAM_IDLE_SECONDS:
                stream.end(StreamIdle())
            elif application is None:
                stale.setdefault(stream.credential, []).append(stream)
            elif application.application_id != stream.application_id:
                stream.end(CredentialUnknown())
        checks: list[Awaitable[None]] = [self._check(credential, streams) for credential, streams in stale.items()]
        await asyncio.gather(*checks)

    async def _check(self, credential: Credential, streams: list[OpenStream]) -> None:
        owner = None
        try:
            owner = (await self._authenticator.authenticate(credential)).application_id
        except CredentialUnknown:
            pass
        except Exception:
            # It is not known now. The next sweep asks again, and one defect must not end the sweeps.
            return
        for stream in streams:
            if stream.application_id != owner:
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
