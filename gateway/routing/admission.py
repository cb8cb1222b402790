"""How much may be under way at once: what finds no room is turned away before anything is done for it."""

import asyncio
from collections import Counter


class Gate:
    """Room for so many requests.

    Each key, which stands for whoever sends them, may have as many as it leaves free for all others: alone half of the
    room, beside another one a third. So a flood finds its end while there is still room for whoever comes next.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._held: Counter[str] = Counter()
        self._left = asyncio.Event()

    def has_room(self, key: str) -> bool:
        """Whether `enter` would let one in."""
        return self._held[key] < self._free

    def enter(self, key: str) -> bool:
        """Let one in, which must `leave`; or not."""
        if not self.has_room(key):
            return False
        self._free -= 1
        self._held[key] += 1
        return True

    def leave(self, key: str) -> None:
        """One that was let in is answered."""
        self._free += 1
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
        self._left.set()

    async def emptied(self) -> None:
        """Wait until none is left."""
        while self._held:
            self._left.clear()
            await self._left.wait()
