"""A connection of uvicorn with the limits on time that it lacks."""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.errors.reports import answer_from_rejection
from gateway.http import limits
from gateway.http.messages import Fault, Rejection

_MALFORMED: Final = answer_from_rejection(Rejection(Fault.MALFORMED)).response


class BoundedConnection(H11Protocol):
    """A connection whose client must send each head, and receive each part of a response, within 20 seconds.

    The size of a head is limited by h11, and by uvicorn's configuration. Bodies are read by the application, which
    limits them.
    """

    _waiting: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._waiting, self._sending):
            if timer is not None:
                timer.cancel()

    def on_response_complete(self) -> None:
        """Wait for the next request: from now, as a client may send its first byte and no more."""
        super().on_response_complete()
        self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.call_later(limits.TAKE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP, in the form of all errors, and close the connection."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_MALFORMED.to_bytes(b"", closes=True))
        self.transport.close()

    def _wait(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = self.loop.call_later(limits.HEAD_SECONDS, self._expire)

    def _expire(self) -> None:
        is_answering: Any = self.cycle is not None and not self.cycle.response_complete
        if not is_answering:
            self.transport.abort()
