"""Long work in slices, one at a time. Keys take turns."""

import asyncio
from collections.abc import Hashable
from typing import Final

from runtime.round_robin import RoundRobin

REST: Final = 4
"""Turns of the loop between two slices. A request takes several turns from its arrival to its response. With a slice in
each turn, it would wait for several slices."""


class Turns:
    """Grants turns for slices of work that would block the event loop as a whole.

    A task does a slice of its work, measured in bytes or values, and awaits its next turn. Turns are granted one by
    one, with turns of the loop in between, to one key after the other. So a request that needs no slices waits for few
    of them, and a key with many long requests slows down only itself. A key is, for instance, an application id.
    Belongs to the running event loop.
    """

    def __init__(self) -> None:
        self._waiting: RoundRobin[Hashable, asyncio.Future[None]] = RoundRobin()
        self._is_due = False

    async def turn(self, key: Hashable) -> None:
        """Wait for the next turn of a key, in which the caller does one slice of work."""
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        self._waiting.append(key, granted)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._grant)
        await granted

    def _grant(self) -> None:
        while self._waiting:
            granted = self._waiting.popleft()
            if not granted.done():  # Otherwise its task was cancelled.
                granted.set_result(None)
                asyncio.get_running_loop().call_soon(self._rest, REST)
                return
        self._is_due = False

    def _rest(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._rest, turns - 1)
        else:
            self._grant()
