"""The open connections: what asks them to end, and what is the same for all of them in one second."""

import asyncio
import contextlib
import heapq
import math
from typing import Protocol

from gateway import limits, metrics

_SHARE = 32  # Of all that are open, one in so many makes room at once: to look for them takes a millisecond.


class Connection(Protocol):
    """A connection. `deadline` is when it is to `expire`, by the loop's clock: infinite while its client waits for us.

    It has `held` bytes.
    """

    deadline: float
    held: int

    def expire(self) -> None:
        """End what has taken too long."""

    def stop(self) -> None:
        """Close as soon as nothing is under way."""

    def abort(self) -> None:
        """Close now."""


class Connections:
    """The open connections, and what is the same for all of them in one second. `second` is to be called in each.

    Where there are too many, or they hold too much, those are cut off that wait for their clients and whose time would
    be over first. So whoever opens connections and then does little with them makes no room for others less.
    """

    def __init__(self, most: int, most_held: int | None = None) -> None:
        self._most = most
        self._most_held = limits.HELD_BYTES if most_held is None else most_held
        self._held = 0
        self.open: set[Connection] = set()
        self.date = b""
        self.is_stopping = False
        self._moved = asyncio.Event()

    def second(self, now: float, date: str) -> None:
        """Go on to the time `now` of the loop, which is `date` to people, and close what takes too long."""
        self.date = f"date: {date}\r\n".encode()
        for connection in [each for each in self.open if each.deadline < now]:
            connection.expire()

    def make_room(self) -> bool:
        """Whether there is room for one more, which is made if need be; none where all wait for us."""
        if len(self.open) >= self._most:
            waiting = [each for each in self.open if each.deadline < math.inf]
            # Those who are being refused count, too.
            too_many = len(self.open) - self._most - (-self._most // _SHARE)
            for connection in heapq.nsmallest(too_many, waiting, key=_deadline):
                self._cut(connection, "too many connections")
        return len(self.open) < self._most

    def hold(self, connection: Connection, more: int) -> None:
        """A connection holds so many bytes more, or less. Where that is too much in all, one is cut off."""
        connection.held += more
        self._held += more
        if more > 0 and self._held > self._most_held:
            holding = [each for each in self.open if each.held and each.deadline < math.inf]
            self._cut(min(holding, key=_deadline, default=connection), "too many bytes")

    def _cut(self, connection: Connection, reason: str) -> None:
        metrics.CUT.labels(reason).inc()
        self.left(connection)
        connection.abort()

    def stop(self) -> None:
        """Close each connection as soon as it has nothing under way."""
        self.is_stopping = True
        for connection in [*self.open]:
            connection.stop()

    async def closed(self, seconds: float) -> None:
        """Wait for that, but no longer than so many seconds: what is still open then is cut off."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.open:
                    self._moved.clear()
                    await self._moved.wait()
        for connection in [*self.open]:
            connection.abort()

    def left(self, connection: Connection) -> None:
        """A connection is closed, or about to be."""
        self.open.discard(connection)
        self.hold(connection, -connection.held)
        self._moved.set()


def _deadline(connection: Connection) -> float:
    return connection.deadline
