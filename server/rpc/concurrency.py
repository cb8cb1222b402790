"""How much may be under way at once: what finds no room is turned away before anything is done for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.slots import Slots
from server.rpc.places import Places


class Gate:
    """Room for so many calls, of which some are served `at_once`. The others wait: applications take turns.

    One application is served in all but one of the slots, so that another's call waits for none of its long ones.
    """

    def __init__(self, most: int, at_once: int) -> None:
        self._places = Places(most)
        self._slots = Slots(at_once, at_once - 1)

    @asynccontextmanager
    async def within(self, application_id: str) -> AsyncIterator[None]:
        """Be let in, wait for one's turn, and leave at the end of the block. Raises Overloaded."""
        self._places.take(application_id)
        try:
            async with self._slots.within(application_id):
                yield
        finally:
            self._places.give_back(application_id)
