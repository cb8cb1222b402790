"""A limited number of slots for work that takes long or much memory. Keys take turns."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Slots:
    """Slots, of which one key holds at most `share`, so that it cannot keep all other keys waiting.

    A key is, for instance, an application id. Belongs to the running event loop.
    """

    def __init__(self, slots: int, share: int) -> None:
        self._free = slots
        self._share = max(1, share)
        self._held: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def within(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for a slot, and release it at the end of the block."""
        await self.acquire(key)
        try:
            yield
        finally:
            self.release(key)

    async def acquire(self, key: Hashable) -> None:
        """Wait for a slot, which must be released. May be cancelled while it waits."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(granted)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._grant()
            else:
                self.release(key)
            raise

    def release(self, key: Hashable) -> None:
        """Give a slot back."""
        self._free += 1
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
        self._grant()

    def _grant(self) -> None:
        for key in list(self._waiting):
            queue = self._waiting[key]
            while queue and queue[0].done():  # Its task was cancelled.
                queue.popleft()
            if queue and self._free and self._held[key] < self._share:
                self._free -= 1
                self._held[key] += 1
                queue.popleft().set_result(None)
                # Behind all other keys.
                self._waiting[key] = self._waiting.pop(key)
            if not queue:
                del self._waiting[key]
