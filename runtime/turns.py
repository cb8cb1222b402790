"""Long work in slices: one slice of all at a time, one owner after the other."""

import asyncio
from collections.abc import Hashable
from typing import Final

from runtime.round_robin import RoundRobin

REST: Final = 4
"""Turns of the loop between two slices. A request takes several turns from its arrival to its answer: with a slice in
each of them, it would wait for several slices."""


class Turns:
    """Hands out turns for slices of work that would block the event loop if they were done at once.

    A task does a few milliseconds of work, counted in bytes or values, and awaits its next turn. They are granted one
    by one, with turns of the loop in between, to the owners in rotation. So a request that needs no slices waits for
    few of them, however many long requests there are, and an owner with many of them slows down only itself. Belongs to
    the running event loop.
    """

    def __init__(self) -> None:
        self._waiting: RoundRobin[Hashable, asyncio.Future[None]] = RoundRobin()
        self._is_due = False

    async def turn(self, owner: Hashable) -> None:
        """Wait for the owner's next turn. The caller should do one slice of work and ask again."""
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        self._waiting.append(owner, granted)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._grant)
        await granted

    def _grant(self) -> None:
        while self._waiting:
            granted = self._waiting.popleft()
            if not granted.done():  # Else its task was cancelled.
                granted.set_result(None)
                asyncio.get_running_loop().call_soon(self._rest, REST)
                return
        self._is_due = False

    def _rest(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._rest, turns - 1)
        else:
            self._grant()
