"""A few places for what takes long, or much memory. The owners of what waits take turns."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Slots:
    """So many places, of which one owner has at most `share`, so that others wait for none of its long ones.

    Belongs to the running event loop.
    """

    def __init__(self, places: int, share: int) -> None:
        self._free = places
        self._share = max(1, share)
        self._held: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def within(self, owner: Hashable) -> AsyncIterator[None]:
        """Wait for a place, and leave it at the end of the block."""
        await self.acquire(owner)
        try:
            yield
        finally:
            self.release(owner)

    async def acquire(self, owner: Hashable) -> None:
        """Wait for a place, which must be released. The waiting may be cancelled."""
        placed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(placed)
        self._grant()
        try:
            await placed
        except asyncio.CancelledError:
            if placed.cancelled():
                self._grant()
            else:
                self.release(owner)
            raise

    def release(self, owner: Hashable) -> None:
        """A place is free again."""
        self._free += 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._grant()

    def _grant(self) -> None:
        for owner in list(self._waiting):
            queue = self._waiting[owner]
            while queue and queue[0].done():  # Its task was cancelled.
                queue.popleft()
            if queue and self._free and self._held[owner] < self._share:
                self._free -= 1
                self._held[owner] += 1
                queue.popleft().set_result(None)
                # Behind all other owners.
                self._waiting[owner] = self._waiting.pop(owner)
            if not queue:
                del self._waiting[owner]
