"""How many updates may be queued and in flight, in all and for each application."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from server import limits
from server.commit.queued_writes import QueuedWrite


class Capacity:
    """Counts the updates that are queued or in flight, and their bytes.

    An application may use at most as much as remains free: half when it is alone, a third each when two compete.
    """

    __slots__ = ("_bytes", "_bytes_of", "_freed", "_updates_limit", "_updates_of", "updates")

    def __init__(self, updates_limit: int) -> None:
        self._updates_limit = updates_limit
        self.updates = 0
        self._bytes = 0
        self._updates_of: Counter[str] = Counter()
        self._bytes_of: Counter[str] = Counter()
        self._freed = asyncio.Event()

    @property
    def size(self) -> int:
        """The bytes of all updates that are queued or in flight."""
        return self._bytes

    def has_room(self, application_id: str, updates: int, size: int) -> bool:
        """Whether there is room for more updates of an application, of `size` bytes in all.

        If no other update is queued or in flight, there always is.
        """
        updates += self._updates_of[application_id]
        size += self._bytes_of[application_id]
        is_free = updates <= self._updates_limit - self.updates and size <= limits.WAITING_BYTES - self._bytes
        return is_free or not self.updates

    async def wait_for_room(self, application_id: str, updates: int, size: int) -> None:
        """Return when there is room for more updates of an application."""
        while not self.has_room(application_id, updates, size):
            await self._wait_for_change()

    async def wait_until_unused(self) -> None:
        """Return when no update is queued or in flight."""
        while self.updates:
            await self._wait_for_change()

    def take(self, application_id: str, updates: int, size: int) -> None:
        """Count updates of an application, of `size` bytes in all."""
        self.updates += updates
        self._bytes += size
        self._updates_of[application_id] += updates
        self._bytes_of[application_id] += size

    def resize(self, queued: QueuedWrite, size: int) -> None:
        """Correct the size of an update that was counted with an estimate."""
        self._bytes += size - queued.size
        self._bytes_of[queued.submission.application_id] += size - queued.size
        queued.size = size

    def give_back(self, writes: Sequence[QueuedWrite]) -> None:
        """Stop counting updates, which have their outcome."""
        self.updates -= len(writes)
        # The writes of a group are mostly of one application.
        for application_id, of_application in groupby(writes, _application):
            sizes = [queued.size for queued in of_application]
            size = sum(sizes)
            self._bytes -= size
            self._bytes_of[application_id] -= size
            self._updates_of[application_id] -= len(sizes)
            if not self._updates_of[application_id]:
                del self._updates_of[application_id], self._bytes_of[application_id]
        self._freed.set()

    async def _wait_for_change(self) -> None:
        self._freed.clear()
        await self._freed.wait()


def _application(queued: QueuedWrite) -> str:
    return queued.submission.application_id
