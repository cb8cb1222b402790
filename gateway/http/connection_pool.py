"""The open connections: their limits in number, bytes and time."""

import asyncio
import contextlib
import heapq
import math
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.http import limits
from runtime import logs

_SHARE = 32  # One of so many open connections is cut off at a time: to find the oldest ones needs a look at all.

_log = structlog.get_logger("userfold.gateway")


class Connection(Protocol):
    """A connection. It waits for its client since `since` and until `deadline`, when it must `expire`, by the clock of
    its Connections. Both are infinite while the client waits for us. It holds `held` bytes.
    """

    since: float
    deadline: float
    held: int

    @property
    def is_sending(self) -> bool:
        """Whether the client has to receive a response before anything else."""

    def note_progress(self) -> None:
        """Set `since` to now if the client has received more of a response."""

    def expire(self) -> None:
        """End the connection, or the request that takes too long."""

    def stop(self) -> None:
        """Close as soon as no request is in flight."""

    def abort(self) -> None:
        """Close now."""


class Connections:
    """The open connections. `tick` must be called every second.

    Where there are more than `limit`, or they hold more than `held_limit` bytes, those that have waited longest for
    their clients are cut off. So a client that opens connections and leaves them idle takes no room from others.
    `count_cut` is called with the reason for each; `clock` counts seconds.
    """

    def __init__(
        self,
        limit: int,
        held_limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        count_cut: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._limit = limit
        self._held_limit = limits.HELD_BYTES if held_limit is None else held_limit
        self._held = 0
        self._count_cut = count_cut
        self.clock = clock
        self.open: set[Connection] = set()
        self.date = b""
        self.is_stopping = False
        """Each response is the last one on its connection."""
        self.is_closing = False
        """Each connection closes as soon as no request is in flight on it."""
        self._closed_one = asyncio.Event()

    @property
    def held(self) -> int:
        """The bytes of requests and responses that all connections hold."""
        return self._held

    def tick(self, date: str) -> None:
        """Set the value of the Date header, and let connections expire whose deadline has passed."""
        self.date = f"date: {date}\r\n".encode()
        now = self.clock()
        defects: list[Exception] = []
        for connection in [each for each in self.open if each.deadline < now]:
            try:
                connection.expire()
            except Exception as error:
                # A connection that fails must not keep itself or others open.
                defects.append(error)
                with contextlib.suppress(Exception):
                    self._cut(connection, "defect")
        if defects:
            _log.error("defect", where="expire", connections=len(defects), traceback=logs.locations(defects[0]))

    def make_room(self) -> bool:
        """Returns whether there is room for one more connection, after cutting off others if necessary."""
        if len(self.open) >= self._limit:
            # Connections beyond the limit, which are being refused, count as well.
            surplus = len(self.open) - self._limit - (-self._limit // _SHARE)
            for connection in heapq.nsmallest(surplus, self._waiting(), key=_since):
                self._cut(connection, "too many connections")
        return len(self.open) < self._limit

    def hold(self, connection: Connection, change: int) -> None:
        """Change the number of bytes that a connection holds.

        Where all hold too much, the one that has waited longest for its client is cut off, but none whose client is
        receiving a response.
        """
        connection.held += change
        self._held += change
        if change > 0 and self._held > self._held_limit:
            slow = [each for each in self._waiting() if each.held and not (each.is_sending and self._is_quick(each))]
            if slow or not connection.is_sending:
                self._cut(min(slow, key=_since, default=connection), "too many bytes")

    def has_room(self, size: int) -> bool:
        """Returns whether so many more bytes may be held, after cutting off slow connections if necessary."""
        while self._held + size > self._held_limit:
            slow = [each for each in self._waiting() if each.held and not self._is_quick(each)]
            if not slow:
                return False
            self._cut(min(slow, key=_since), "too many bytes")
        return True

    def _waiting(self) -> list[Connection]:
        """The connections that wait for their clients."""
        waiting = [each for each in self.open if each.deadline < math.inf]
        for connection in waiting:
            connection.note_progress()
        return waiting

    def _is_quick(self, connection: Connection) -> bool:
        return connection.since > self.clock() - limits.SLOW_SECONDS

    def _cut(self, connection: Connection, reason: str) -> None:
        self._count_cut(reason)
        self.remove(connection)
        connection.abort()

    def stop(self) -> None:
        """Close each connection as soon as no request is in flight on it."""
        self.is_stopping = self.is_closing = True
        for connection in [*self.open]:
            connection.stop()

    async def closed(self, until: float) -> None:
        """Wait until all are closed. At `until`, by the loop's clock, the remaining ones are cut off."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while self.open:
                    self._closed_one.clear()
                    await self._closed_one.wait()
        for connection in [*self.open]:
            connection.abort()

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed, or about to be."""
        self.open.discard(connection)
        self.hold(connection, -connection.held)
        self._closed_one.set()


def _since(connection: Connection) -> float:
    return connection.since
