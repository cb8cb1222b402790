"""Places for requests in flight. A request for which there is none is refused before any work is done for it."""

import asyncio
from collections import Counter


class Gate:
    """A number of places that applications share.

    An application may hold at most as many places as remain free: half when it is alone, a third each when two compete.
    So there is always a place for an application that holds none.
    """

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._held: Counter[str] = Counter()
        self._place_returned = asyncio.Event()

    @property
    def taken(self) -> int:
        """The number of requests in flight."""
        return self._places - self._free

    def has_room(self, application_id: str) -> bool:
        """Whether `enter` would give a place to a request of this application."""
        return self._held[application_id] < self._free

    def enter(self, application_id: str) -> bool:
        """Take a place for a request, which must give it back with `leave`. Returns whether there was one."""
        if not self.has_room(application_id):
            return False
        self._free -= 1
        self._held[application_id] += 1
        return True

    def leave(self, application_id: str) -> None:
        """Give back the place of a request."""
        self._free += 1
        self._held[application_id] -= 1
        if not self._held[application_id]:
            del self._held[application_id]
        self._place_returned.set()

    async def emptied(self) -> None:
        """Wait until all places are free."""
        while self._held:
            self._place_returned.clear()
            await self._place_returned.wait()
