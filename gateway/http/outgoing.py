"""The sending side of a connection: responses, which the client receives at its own pace."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.http import limits

PIECE_BYTES: Final = 256 * 1024
"""What is written to the transport in one piece."""


class Outgoing:
    """Writes to a transport. `hold` is called with the change in the number of bytes that the client has not received.

    A long response is written in pieces: over TLS, a transport does not report the size of what it buffers.
    """

    def __init__(self, transport: asyncio.Transport, hold: Callable[[int], None]) -> None:
        self._transport = transport
        self._hold = hold
        self._unwritten = memoryview(b"")
        self._pending = 0
        """Bytes that the client had not received when this was last counted."""
        self._limit_at_end = 0
        """How many of those may be left at the end of the period."""
        self.is_paused = False
        """The transport's buffer is full."""

    def write(self, data: bytes) -> None:
        """Write all of it, piece by piece, as the client receives it."""
        self._unwritten = memoryview(data)
        self._write_on()

    def pause(self) -> None:
        """Stop writing: the transport's buffer is full."""
        self.is_paused = True

    def resume(self) -> bool:
        """Write on. Returns whether everything is written."""
        self.is_paused = False
        self._write_on()
        if not self.is_paused:
            self._count(0)
        return not self.is_paused

    def begin_period(self) -> None:
        """Begin a period in which the client must receive some of what is left, or all of it if that is little."""
        self._count(self.left())
        self._limit_at_end = max(self._pending - limits.TAKE_BYTES, 0)

    def kept_minimum(self) -> bool:
        """Whether the client received as much in the period as it must."""
        return self.left() <= self._limit_at_end

    def has_progressed(self) -> bool:
        """Whether the client has received anything since this was last asked."""
        if has_progressed := self.is_paused and self.left() < self._pending:
            self._count(self.left())
        return has_progressed

    def left(self) -> int:
        """How many bytes the client has not received."""
        return len(self._unwritten) + self._transport.get_write_buffer_size()

    def forget(self) -> None:
        """Discard what is not written, without calling `hold`."""
        self._unwritten = memoryview(b"")
        self._pending = 0

    def _write_on(self) -> None:
        while self._unwritten and not self.is_paused:
            piece, self._unwritten = self._unwritten[:PIECE_BYTES], self._unwritten[PIECE_BYTES:]
            self._transport.write(piece)

    def _count(self, pending: int) -> None:
        change, self._pending = pending - self._pending, pending
        if change:
            self._hold(change)
