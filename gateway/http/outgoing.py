"""The answers on a connection, which its client takes at its own pace."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.http import limits

PIECE_BYTES: Final = 256 * 1024
"""What is written at once."""


class Outgoing:
    """What is written to a transport. `hold` is told of so many bytes more, or less, that wait to be taken.

    A long answer goes in pieces: over TLS, a transport says nothing of what it holds beyond the first.
    """

    def __init__(self, transport: asyncio.Transport, hold: Callable[[int], None]) -> None:
        self._transport = transport
        self._hold = hold
        self._unwritten = memoryview(b"")
        self._untaken = 0
        """When it was looked at last."""
        self._may_be_left = 0
        """Of those, by the end of the period."""
        self.is_paused = False
        """The client takes less than is written."""

    def write(self, data: bytes) -> None:
        """Write all, piece by piece, as it is taken."""
        self._unwritten = memoryview(data)
        self._write_on()

    def pause(self) -> None:
        """Wait: the transport holds enough."""
        self.is_paused = True

    def resume(self) -> bool:
        """Write on. Whether nothing is left that must wait."""
        self.is_paused = False
        self._write_on()
        if not self.is_paused:
            self._count(0)
        return not self.is_paused

    def begin_period(self) -> None:
        """Begin a period in which the client must take some of what is left, or all where it is little."""
        self._count(self.left())
        self._may_be_left = max(self._untaken - limits.TAKE_BYTES, 0)

    def was_taken(self) -> bool:
        """Whether it did."""
        return self.left() <= self._may_be_left

    def look(self) -> bool:
        """Whether the client has taken anything since the last look."""
        if has_taken := self.is_paused and self.left() < self._untaken:
            self._count(self.left())
        return has_taken

    def left(self) -> int:
        """How many bytes are not taken."""
        return len(self._unwritten) + self._transport.get_write_buffer_size()

    def forget(self) -> None:
        """Nothing more is to be written, nor told of."""
        self._unwritten = memoryview(b"")
        self._untaken = 0

    def _write_on(self) -> None:
        while self._unwritten and not self.is_paused:
            piece, self._unwritten = self._unwritten[:PIECE_BYTES], self._unwritten[PIECE_BYTES:]
            self._transport.write(piece)

    def _count(self, untaken: int) -> None:
        more, self._untaken = untaken - self._untaken, untaken
        if more:
            self._hold(more)
