"""Look-ups of session tokens: those that arrive while others are under way are answered by one query."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

from runtime.slots import Slots
from server import limits
from server.model import Lookup
from server.users.lookup import TOKENS
from server.users.ports import Found, ProfileQueries

GROUPS: Final = 2
"""Groups under way at once: while MongoDB works on one, the callers of the other are answered and ask again."""

LARGE: Final = 16
"""What must wait for a second group to be started: with less, it is cheaper to let more come together."""

MOST: Final = 100
"""Look-ups of one group."""


class GroupedLookups:
    """Answers look-ups, of session tokens many at once.

    There is no timer: a look-up that finds nothing under way is made at once. Applications whose look-ups wait are
    taken in turn. A look-up whose users are too many or too large for a group is made alone, in one of a few places, in
    which it stays until its answer is built: so no more than that of large answers is in memory. Belongs to the running
    event loop.
    """

    def __init__(self, queries: ProfileQueries) -> None:
        self._queries = queries
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._queued = self._under_way = 0
        self._groups: set[asyncio.Task[None]] = set()
        self._alone = Slots(limits.LOOK_UPS_AT_ONCE, limits.LOOK_UPS_AT_ONCE - 1)

    @asynccontextmanager
    async def look_up(self, lookup: Lookup) -> AsyncIterator[Found]:
        """As ProfileQueries.look_up, for a block that builds the answer."""
        # Later pages are few, and each begins elsewhere.
        is_grouped = lookup.field == TOKENS and lookup.after is None
        found = await self._together(lookup) if is_grouped else None
        if found is not None:
            yield found
            return
        async with self._alone.within(lookup.application_id):
            yield await self._queries.look_up(lookup)

    async def _together(self, lookup: Lookup) -> Found | None:
        """What a group answers; None where the look-up is to be made alone."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(lookup, loop.create_future())
        self._waiting.setdefault(lookup.application_id, deque()).append(waiting)
        self._queued += 1
        if self._queued == 1:
            loop.call_soon(self._start)
        return await waiting.answer

    def _start(self) -> None:
        while self._queued and (not self._groups or (len(self._groups) < GROUPS and self._queued >= LARGE)):
            # Its share of what there is, as of the groups of writes.
            most = min(MOST, max(LARGE, -(-(self._queued + self._under_way) // GROUPS)))
            group = [self._next() for _ in range(min(most, self._queued))]
            self._under_way += len(group)
            self._groups.add(asyncio.get_running_loop().create_task(self._answer(group)))

    def _next(self) -> "_Waiting":
        """The first of the application whose turn it is."""
        application_id = next(iter(self._waiting))
        queue = self._waiting.pop(application_id)
        waiting = queue.popleft()
        if queue:
            self._waiting[application_id] = queue  # Behind all other applications.
        self._queued -= 1
        return waiting

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

    async def _found(self, lookups: Sequence[Lookup]) -> Sequence[Found | None]:
        # Where they are too many, each is made alone: there, too, applications take turns.
        return await self._queries.look_up_tokens(lookups) or [None] * len(lookups)


class _Waiting:
    """One look-up, and the future of its answer: None where it is to be made alone."""

    __slots__ = ("answer", "lookup")

    def __init__(self, lookup: Lookup, answer: asyncio.Future[Found | None]) -> None:
        self.lookup = lookup
        self.answer = answer

    def settle(self, found: Found | None) -> None:
        if not self.answer.done():
            self.answer.set_result(found)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
