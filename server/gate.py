"""How much may be under way at once: what finds no room is turned away before anything is done for it."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.errors import Overloaded


class Places:
    """So many places, in each of which one call is served. Applications whose calls wait get the next one in turn.

    One application has at most all but one of them: another's call waits for none of its long ones.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._most = max(1, count - 1)
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def within(self, application_id: str) -> AsyncIterator[None]:
        """Wait for a place, and leave it at the end of the block."""
        # Where a place is free, all that wait have as many as they may.
        if self._free and self._held[application_id] < self._most:
            self._take(application_id)
        else:
            await self._next(application_id)
        try:
            yield
        finally:
            self._leave(application_id)

    async def _next(self, application_id: str) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(application_id, deque()).append(given)
        try:
            await given
        except asyncio.CancelledError:
            if not given.cancelled():
                self._leave(application_id)  # It was given, just before its call was cancelled.
            raise

    def _take(self, application_id: str) -> None:
        self._free -= 1
        self._held[application_id] += 1

    def _leave(self, application_id: str) -> None:
        self._free += 1
        self._held[application_id] -= 1
        if not self._held[application_id]:
            del self._held[application_id]
        while following := next((each for each in self._waiting if self._held[each] < self._most), None):
            queue = self._waiting.pop(following)
            given = queue.popleft()
            if queue:
                self._waiting[following] = queue  # Behind all other applications.
            if not given.done():
                self._take(following)
                given.set_result(None)
                return


class Gate:
    """Room for so many calls, of which some are served `at_once`. The others wait: applications take turns.

    Each application may have as many as it leaves free for all others: alone half of the room, beside another one a
    third. So a flood finds its end while there is still room for whoever comes next.
    """

    def __init__(self, most: int, at_once: int) -> None:
        self._free = most
        self._held: Counter[str] = Counter()
        self._places = Places(at_once)

    @asynccontextmanager
    async def within(self, application_id: str) -> AsyncIterator[None]:
        """Be let in, wait for one's turn, and leave at the end of the block. Raises Overloaded."""
        if self._held[application_id] >= self._free:
            raise Overloaded
        self._free -= 1
        self._held[application_id] += 1
        try:
            async with self._places.within(application_id):
                yield
        finally:
            self._free += 1
            self._held[application_id] -= 1
            if not self._held[application_id]:
                del self._held[application_id]
