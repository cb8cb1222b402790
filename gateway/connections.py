"""The open connections: what asks them to end, and what is the same for all of them in one second."""

import asyncio
import contextlib
from typing import Protocol


class Connection(Protocol):
    """A connection. `deadline` is when it is to `expire`, by the loop's clock."""

    deadline: float

    def expire(self) -> None:
        """End what has taken too long."""

    def stop(self) -> None:
        """Close as soon as nothing is under way."""

    def abort(self) -> None:
        """Close now."""


class Connections:
    """The open connections, and what is the same for all of them in one second. `second` is to be called in each."""

    def __init__(self) -> None:
        self.open: set[Connection] = set()
        self.date = b""
        self.is_stopping = False
        self._moved = asyncio.Event()

    def second(self, now: float, date: str) -> None:
        """Go on to the time `now` of the loop, which is `date` to people, and close what takes too long."""
        self.date = f"date: {date}\r\n".encode()
        for connection in [each for each in self.open if each.deadline < now]:
            connection.expire()

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
        """A connection is closed."""
        self.open.discard(connection)
        self._moved.set()
