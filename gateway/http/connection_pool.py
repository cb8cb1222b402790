"""The open connections: what asks them to end, and what is the same for all of them in one second."""

import asyncio
import contextlib
import heapq
import math
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway import metrics
from gateway.http import limits
from runtime import logs

_SHARE = 32  # Of all that are open, one in so many makes room at once: to look for them takes a millisecond.

_log = structlog.get_logger("userfold.gateway")


class Connection(Protocol):
    """A connection. It waits for its client since `since` and until `deadline`, when it is to `expire`, by the clock of
    its Connections; both are infinite while its client waits for us.

    It has `held` bytes, and `is_taking` while they are an answer that its client takes.
    """

    since: float
    deadline: float
    held: int

    @property
    def is_taking(self) -> bool:
        """Whether its client has to take an answer before anything else."""

    def look(self) -> None:
        """Set `since` anew if its client has taken some of an answer."""

    def expire(self) -> None:
        """End what has taken too long."""

    def stop(self) -> None:
        """Close as soon as nothing is under way."""

    def abort(self) -> None:
        """Close now."""


class Connections:
    """The open connections, and what is the same for all of them in one second. `second` is to be called in each.

    Where there are too many, or they hold too much, those that have waited longest for their clients are cut off. So a
    client that opens connections and does little with them takes no room from others. `clock` counts seconds.
    """

    def __init__(self, most: int, most_held: int | None = None, clock: Callable[[], float] | None = None) -> None:
        self._most = most
        self._most_held = limits.HELD_BYTES if most_held is None else most_held
        self._held = 0
        self.clock = clock or time.monotonic
        self.open: set[Connection] = set()
        self.date = b""
        self.is_stopping = False
        """Each answer is the last one on its connection."""
        self.is_closing = False
        """Each connection closes as soon as it has nothing under way."""
        self._moved = asyncio.Event()

    def second(self, date: str) -> None:
        """Go on to the time that is `date` to people, and close what takes too long."""
        self.date = f"date: {date}\r\n".encode()
        now = self.clock()
        defects: list[Exception] = []
        for connection in [each for each in self.open if each.deadline < now]:
            try:
                connection.expire()
            except Exception as error:
                # One that fails must not keep the others open, nor itself.
                defects.append(error)
                with contextlib.suppress(Exception):
                    self._cut(connection, "defect")
        if defects:
            _log.error("defect", where="expire", connections=len(defects), traceback=logs.locations(defects[0]))

    def make_room(self) -> bool:
        """Whether there is room for one more, which is made if need be; none where all wait for us."""
        if len(self.open) >= self._most:
            # Those who are being refused count, too.
            too_many = len(self.open) - self._most - (-self._most // _SHARE)
            for connection in heapq.nsmallest(too_many, self._waiting(), key=_since):
                self._cut(connection, "too many connections")
        return len(self.open) < self._most

    def hold(self, connection: Connection, more: int) -> None:
        """A connection holds so many bytes more, or less. Where that is too much in all, one is cut off: the one that
        has waited longest for its client, but none whose client is taking an answer.
        """
        connection.held += more
        self._held += more
        if more > 0 and self._held > self._most_held:
            others = [each for each in self._waiting() if each.held and not (each.is_taking and self._is_quick(each))]
            if others or not connection.is_taking:
                self._cut(min(others, key=_since, default=connection), "too many bytes")

    def has_room(self, more: int) -> bool:
        """Whether so many bytes more may be held, for which those who are slow are cut off."""
        while self._held + more > self._most_held:
            slow = [each for each in self._waiting() if each.held and not self._is_quick(each)]
            if not slow:
                return False
            self._cut(min(slow, key=_since), "too many bytes")
        return True

    def _waiting(self) -> list[Connection]:
        """Those that wait for their clients."""
        waiting = [each for each in self.open if each.deadline < math.inf]
        for connection in waiting:
            connection.look()
        return waiting

    def _is_quick(self, connection: Connection) -> bool:
        return connection.since > self.clock() - limits.SLOW_SECONDS

    def _cut(self, connection: Connection, reason: str) -> None:
        metrics.CUT.labels(reason).inc()
        self.left(connection)
        connection.abort()

    def stop(self) -> None:
        """Close each connection as soon as it has nothing under way."""
        self.is_stopping = self.is_closing = True
        for connection in [*self.open]:
            connection.stop()

    async def closed(self, until: float) -> None:
        """Wait for that, but no longer than until then, by the loop's clock: what is still open then is cut off."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
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


def _since(connection: Connection) -> float:
    return connection.since
