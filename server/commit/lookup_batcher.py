"""Look-ups of session tokens: one query answers many of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

from runtime.batcher import AdaptiveBatcher
from runtime.reporting import traces
from runtime.round_robin import RoundRobin
from runtime.slots import Slots
from server import limits, metrics
from server.model import Lookup
from server.users.finding.lookup import TOKENS
from server.users.ports import Found, ProfileQueries

_GROUP_ITEMS: Final = metrics.GROUP_ITEMS.labels(metrics.LOOKUPS)
_GROUP_WAIT: Final = metrics.GROUP_WAIT.labels(metrics.LOOKUPS)

GROUPS: Final = 2
"""Groups in flight: while MongoDB works on one, the callers of the other receive their results and ask again."""

LARGE_GROUP: Final = 16
"""Queued look-ups that start a second group: with fewer, it is cheaper to wait for more."""

GROUP_LIMIT: Final = 100
"""Look-ups in a group."""


class LookupBatcher(AdaptiveBatcher):
    """Answers look-ups, those of session tokens in groups, for which applications take turns.

    A look-up whose users are too many or too large for a group has a query of its own, in one of a few slots, which it
    holds until its response is built. So only as many large results are in memory.
    """

    def __init__(self, queries: ProfileQueries) -> None:
        super().__init__(GROUPS)
        self._queries = queries
        self._queue: RoundRobin[str, _QueuedLookup] = RoundRobin()
        self._groups: set[asyncio.Task[None]] = set()
        self._single_queries = Slots(limits.LOOK_UPS_AT_ONCE, limits.LOOK_UPS_AT_ONCE - 1)

    @asynccontextmanager
    async def look_up(self, lookup: Lookup) -> AsyncIterator[Found]:
        """Yield what ProfileQueries.look_up returns, to a block that builds the response."""
        # Later pages are rare, and each begins at another position.
        is_grouped = lookup.field == TOKENS and lookup.after is None
        found = await self._look_up_in_group(lookup) if is_grouped else None
        if found is not None:
            yield found
            return
        async with self._single_queries.within(lookup.application_id):
            yield await self._queries.look_up(lookup)

    async def _look_up_in_group(self, lookup: Lookup) -> Found | None:
        """The result of the look-up, or None if it needs a query of its own."""
        queued = _QueuedLookup(lookup, asyncio.get_running_loop().create_future())
        self._queue.append(lookup.application_id, queued)
        self._unfinished += 1
        self._start_soon()
        return await queued.result

    def _may_start(self) -> bool:
        queued, groups = len(self._queue), self._groups_in_flight
        return queued > 0 and (not groups or (groups < GROUPS and queued >= LARGE_GROUP))

    def _is_share_queued(self) -> bool:
        return len(self._queue) >= self._group_limit()

    def _group_limit(self) -> int:
        return min(GROUP_LIMIT, self._share(LARGE_GROUP))

    def _start_groups(self) -> None:
        while self._may_start():
            group = [self._queue.popleft() for _ in range(min(self._group_limit(), len(self._queue)))]
            self._group_started(len(group))
            _GROUP_ITEMS.add(len(group))
            _GROUP_WAIT.add(time.monotonic() - group[0].submitted)
            self._groups.add(asyncio.get_running_loop().create_task(self._answer(group)))

    async def _answer(self, group: "Sequence[_QueuedLookup]") -> None:
        try:
            results = await self._find_group(group)
        except Exception as error:
            for queued in group:
                queued.fail(error)
        else:
            for queued, result in zip(group, results, strict=True):
                queued.settle(result)
        self._groups.discard(cast(asyncio.Task[None], asyncio.current_task()))
        self._group_ended()
        self._unfinished -= len(group)
        self._start_soon()

    async def _find(self, lookups: Sequence[Lookup]) -> Sequence[Found | None]:
        # If the users are too many for one query, each look-up has its own, for which applications take turns too.
        return await self._queries.look_up_tokens(lookups) or [None] * len(lookups)

    async def _find_group(self, group: "Sequence[_QueuedLookup]") -> Sequence[Found | None]:
        lookups = [queued.lookup for queued in group]
        if traces.active() is None:
            return await self._find(lookups)
        with traces.group("group look-up", "userfold.lookups", [queued.traceparent for queued in group]):
            return await self._find(lookups)


class _QueuedLookup:
    """One look-up, and the future of its result: None if it needs a query of its own."""

    __slots__ = ("lookup", "result", "submitted", "traceparent")

    def __init__(self, lookup: Lookup, result: asyncio.Future[Found | None]) -> None:
        self.submitted = time.monotonic()
        self.traceparent = traces.PARENT.get()
        self.lookup = lookup
        self.result = result

    def settle(self, found: Found | None) -> None:
        if not self.result.done():
            self.result.set_result(found)

    def fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)
