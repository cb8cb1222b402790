"""Long work in slices: in each turn of the event loop one slice of all, one owner after the other."""

import asyncio
from collections import deque
from collections.abc import Hashable


class Turns:
    """Hands out turns for slices of work that would block the event loop if they were done at once.

    A task does a few milliseconds of work, counted in bytes or values, and awaits its next turn. Each turn of the loop
    grants one, to the owners in rotation. So a request that needs no slices waits for one slice at most in each turn of
    the loop, however many long requests there are, and an owner with many of them slows down only itself. Belongs to
    the running event loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._is_due = False

    async def turn(self, owner: Hashable) -> None:
        """Wait for the owner's next turn. The caller should do one slice of work and ask again."""
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        self._waiting.setdefault(owner, deque()).append(granted)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._grant)
        await granted

    def _grant(self) -> None:
        while self._waiting:
            owner = next(iter(self._waiting))
            queue = self._waiting.pop(owner)
            granted = queue.popleft()
            if queue:
                self._waiting[owner] = queue  # Behind all other owners.
            if not granted.done():  # Else its task was cancelled.
                granted.set_result(None)
                break
        self._is_due = bool(self._waiting)
        if self._is_due:
            # Behind the slice that was just granted.
            asyncio.get_running_loop().call_soon(self._grant)
