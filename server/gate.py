"""How much may be under way at once: what finds no room is turned away before anything is done for it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.errors import Overloaded


class Gate:
    """Room for so many calls, of which some are served `at_once` and the others wait in their order.

    Each application may have as many as it leaves free for all others: alone half of the room, beside another one a
    third. So a flood finds its end while there is still room for whoever comes next.
    """

    def __init__(self, most: int, at_once: int) -> None:
        self._free = most
        self._held: Counter[str] = Counter()
        self._serving = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def within(self, application_id: str) -> AsyncIterator[None]:
        """Be let in, wait for one's turn, and leave at the end of the block. Raises Overloaded."""
        if self._held[application_id] >= self._free:
            raise Overloaded
        self._free -= 1
        self._held[application_id] += 1
        try:
            async with self._serving:
                yield
        finally:
            self._free += 1
            self._held[application_id] -= 1
            if not self._held[application_id]:
                del self._held[application_id]
