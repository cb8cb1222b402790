"""Look-ups of session tokens: those that arrive while others are under way are answered by one query."""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from server import limits
from server.lookup import TOKENS
from server.model import Lookup
from server.store.queries import Found, ProfileQueries

GROUPS: Final = 2
"""Groups under way at once: while MongoDB works on one, the callers of the other are answered and ask again."""

LARGE: Final = 16
"""What must wait for a second group to be started: with less, it is cheaper to let more come together."""

MOST: Final = 100
"""Look-ups of one group."""


class GroupedLookups:
    """Answers look-ups, of session tokens many at once.

    There is no timer: a look-up that finds nothing under way is made at once. Belongs to the running event loop.
    """

    def __init__(self, queries: ProfileQueries) -> None:
        self._queries = queries
        self._waiting: list[_Waiting] = []
        self._under_way = 0
        self._groups: set[asyncio.Task[None]] = set()
        self._alone = asyncio.Semaphore(limits.LOOK_UPS_AT_ONCE)

    async def look_up(self, lookup: Lookup) -> Found:
        """As ProfileQueries.look_up."""
        if lookup.field != TOKENS:
            return await self._look_up_alone(lookup)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(lookup, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            loop.call_soon(self._start)
        return await waiting.answer

    def _start(self) -> None:
        while self._waiting and (not self._groups or (len(self._groups) < GROUPS and len(self._waiting) >= LARGE)):
            # Its share of what there is, as of the groups of writes.
            most = min(MOST, max(LARGE, -(-(len(self._waiting) + self._under_way) // GROUPS)))
            group, self._waiting = self._waiting[:most], self._waiting[most:]
            self._under_way += len(group)
            self._groups.add(asyncio.get_running_loop().create_task(self._answer(group)))

    async def _answer(self, group: "Sequence[_Waiting]") -> None:
        try:
            found = await self._found([waiting.lookup for waiting in group])
        except Exception as error:
            for waiting in group:
                waiting.fail(error)
        else:
            for waiting, answer in zip(group, found, strict=True):
                waiting.settle(answer)
        self._groups.discard(cast(asyncio.Task[None], asyncio.current_task()))
        self._under_way -= len(group)
        self._start()

    async def _found(self, lookups: Sequence[Lookup]) -> Sequence[Found]:
        found = await self._queries.look_up_tokens(lookups) if len(lookups) > 1 else None
        return await asyncio.gather(*map(self._look_up_alone, lookups)) if found is None else found

    async def _look_up_alone(self, lookup: Lookup) -> Found:
        async with self._alone:
            return await self._queries.look_up(lookup)


class _Waiting:
    """One look-up, and the future of its answer."""

    __slots__ = ("answer", "lookup")

    def __init__(self, lookup: Lookup, answer: asyncio.Future[Found]) -> None:
        self.lookup = lookup
        self.answer = answer

    def settle(self, found: Found) -> None:
        if not self.answer.done():
            self.answer.set_result(found)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
