"""A gate: how many calls of one kind are in flight, and how many of them are served concurrently."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.slots import Slots
from server.rpc.admission.shared_capacity import SharedCapacity


class Gate:
    """Admits calls up to a limit and serves `concurrency` of them at a time. The remaining calls are queued:
    applications take turns.

    One application uses at most all but one of the slots, so that its long calls never block another application.
    """

    def __init__(self, limit: int, concurrency: int) -> None:
        self._capacity = SharedCapacity(limit)
        self._slots = Slots(concurrency, concurrency - 1)

    @asynccontextmanager
    async def within(self, application_id: str) -> AsyncIterator[None]:
        """Enter, wait for a slot, and leave at the end of the block. Raises Overloaded."""
        self._capacity.take(application_id)
        try:
            async with self._slots.within(application_id):
                yield
        finally:
            self._capacity.give_back(application_id)
