"""Group commit: the writes that arrive while others are under way form the next group."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final, cast

from server import limits, metrics
from server.commit.queued_updates import Call, Room, Unplanned, Waiting
from server.errors import Overloaded
from server.model import STORED, SUPPRESSED, PlannedUpdate, ProfileWrite
from server.users.ports import AGAIN, Again, Outcome, ProfileStore

GROUPS: Final = 2
"""Groups under way at once: while MongoDB syncs one to its journal, it works on the other."""

LARGE: Final = 32
"""What a group must have to be started beside another: with less, it is cheaper to let more come together."""

SHARED: Final = 32
"""The most of a group in which several applications have writes: none is to wait for the whole group of a flood."""

SLOW: Final = 8
"""Exact updates in a group. On a profile of 1 MiB of small values, one takes MongoDB up to 50 ms. So slow writes are in
groups of their own, each of one application, and recounts alone. One such group is under way beside the others."""

LEAVES: Final = 2000
SHARED_LEAVES: Final = 500
"""Paths of all updates in a group, and in one of several applications. MongoDB looks for each among all keys of its
object: 1,000 new keys in an object of 50,000 take it 0.3 s."""

EXTRA_GROUPS: Final = 3
"""Groups beside those: one of slow writes, and some for applications that have waited while others' took long."""

LONG_SECONDS: Final = 0.05
"""How long such an application waits."""

# Turns of the event loop for which a group may wait for more: a loop that is never idle must not keep it for ever.
_MOST_TURNS = 128

# Turns without anything new after which a group of several starts: gRPC takes a few to bring a call.
_QUIET_TURNS = 4


class GroupedProfileStore:
    """A profile store that applies the writes of many callers together, and tells each caller of its own.

    A write that finds nothing under way is applied at once, without a timer. Groups take writes from one application
    after the other, so none waits behind another's flood. Writes that are known to be slow have a group of their own.
    Where others take long, too, because of the profiles that they are about, an application that has no write under way
    gets a group of its own. No two groups hold writes of one profile, so those stay in their order. Belongs to the
    running event loop.
    """

    def __init__(self, store: ProfileStore, *, waiting: int = limits.WAITING_UPDATES) -> None:
        self._store = store
        self._room = Room(waiting)
        self._queues: dict[object, deque[Waiting]] = {}
        self._under_way = 0
        # How many writes were found to have to wait for another of their profile, and of which profiles.
        self._held = 0
        self._held_profiles: set[str] = set()
        self._busy: set[str] = set()
        self._groups: dict[asyncio.Task[None], Sequence[Waiting]] = {}
        self._slow_groups = 0
        self._extra_is_due = False
        self._start_is_due = False
        self._patience = 1
        self._settled = asyncio.Event()

    def submit(self, writes: Sequence[ProfileWrite]) -> "asyncio.Future[Sequence[Outcome]]":
        """Apply writes of one application, and tell what became of each, in the order given.

        They are applied whatever becomes of the caller. Raises Overloaded, and applies none, where too many wait.
        """
        if not writes:
            call = Call("", 0)
            call.done.set_result([])
            return call.done
        call = Call(cast(str, writes[0].on_insert["application_id"]), len(writes))
        self._enqueue([Waiting(call, index, write) for index, write in enumerate(writes)])
        return call.done

    async def submit_unplanned(
        self, application_id: str, size: int, plan: Callable[[], PlannedUpdate]
    ) -> tuple[PlannedUpdate, Outcome]:
        """Apply an update of about `size` bytes, planned only when its group is made, and tell what became of it.

        Planned one after the other, updates cost much less than each on its arrival, among all else that a call needs:
        the processor's caches hold what planning needs. Raises what `submit` and `plan` raise.
        """
        call = Call(application_id, 1)
        update = Unplanned(call, size, plan)
        self._enqueue([update])
        (outcome,) = await call.done
        return cast(PlannedUpdate, update.planned), outcome

    def require_room(self, application_id: str) -> None:
        """Raise Overloaded where `submit` would, for any update of this application."""
        if not self._room.has(application_id, 1, 0):
            raise Overloaded

    async def room(self, application_id: str, updates: int, size: int) -> None:
        """Wait until `submit` would take so many updates of an application, of `size` bytes in all, and leave as much
        again for others."""
        while not self._room.has(application_id, 2 * updates, 2 * size):
            self._settled.clear()
            await self._settled.wait()

    async def drain(self) -> None:
        """Wait until every write is answered, those of callers that went away included."""
        while self._room.updates:
            self._settled.clear()
            await self._settled.wait()

    def _enqueue(self, writes: Sequence[Waiting]) -> None:
        """Let the writes of one call wait. Raises Overloaded where too many do."""
        application = writes[0].call.application
        size = writes[0].size if len(writes) == 1 else sum([waiting.size for waiting in writes])
        if not self._room.has(application, len(writes), size):
            raise Overloaded
        self._room.take(application, len(writes), size)
        self._queues.setdefault(application, deque()).extend(writes)
        self._start_soon()

    def _forget(self, writes: Sequence[Waiting]) -> None:
        self._room.give_back(writes)
        self._settled.set()

    def _start_soon(self) -> None:
        if self._start_is_due:
            return
        if self._may_start():
            self._start_is_due = True
            asyncio.get_running_loop().call_soon(self._start, 0, 0, self._room.updates)
        else:
            self._start_extra_later()

    def _start(self, turns: int, quiet: int, before: int) -> None:
        # As long as the turns of the loop bring more, the loop is what is busy, and a group of few would only add to
        # its work: each group costs as much as several writes.
        quiet = quiet + 1 if self._room.updates == before else 0
        if turns < _MOST_TURNS and quiet < self._patience and self._fresh() < self._most():
            asyncio.get_running_loop().call_soon(self._start, turns + 1, quiet, self._room.updates)
            return
        self._start_is_due = False
        while self._may_start() and (group := self._next_group(may_be_slow=not self._slow_groups)):
            # A lone caller waits for nobody.
            self._patience = _QUIET_TURNS if len(group) > 1 else 1
            self._begin(group)
        if self._queues and self._groups:
            self._start_extra_later()
        elif self._queues:
            # All that was looked at is refused.
            self._start_soon()

    def _start_extra_later(self) -> None:
        if not self._extra_is_due:
            self._extra_is_due = True
            asyncio.get_running_loop().call_later(LONG_SECONDS, self._start_extra)

    def _start_extra(self) -> None:
        """Start a group for the applications that have nothing under way: none of their profiles is busy."""
        self._extra_is_due = False
        under_way = {waiting.call.application for group in self._groups.values() for waiting in group}
        queues, held = self._queues, (self._held, self._held_profiles)
        self._queues = {application: queue for application, queue in queues.items() if application not in under_way}
        if self._queues and len(self._groups) < GROUPS + EXTRA_GROUPS and (group := self._next_group(may_be_slow=True)):
            self._begin(group)
        self._held, self._held_profiles = held
        self._queues |= {application: queue for application, queue in queues.items() if application in under_way}
        if self._queues:
            self._start_extra_later()

    def _begin(self, group: Sequence[Waiting]) -> None:
        self._under_way += len(group)
        self._busy.update(waiting.write.profile_id for waiting in group)
        # Not to be asked for later: to apply a write may tell that it is slow.
        is_slow = group[0].write.is_slow
        self._slow_groups += is_slow
        task = asyncio.get_running_loop().create_task(self._commit(group, is_slow=is_slow))
        self._groups[task] = group

    def _may_start(self) -> bool:
        # One that had to wait for another of its profile has waited for a whole group, and whoever sent it with others
        # waits for those, too: it goes as soon as that one is done.
        is_some_free = not self._held_profiles <= self._busy
        groups = len(self._groups) - self._slow_groups
        return groups <= 0 or (groups < GROUPS and (is_some_free or self._fresh() >= LARGE))

    def _fresh(self) -> int:
        """How many wait that may have no other of their profile before them."""
        return self._room.updates - self._under_way - self._held

    def _most(self) -> int:
        """How many the next group may take: its share, so that all groups are about as large.

        While MongoDB works on one of them, the callers of another are answered and send again. If one took all that
        wait, it would be turn and turn about.
        """
        most = limits.GROUP_UPDATES if len(self._queues) == 1 else SHARED
        return min(most, max(LARGE, -(-self._room.updates // GROUPS)))

    def _next_group(self, *, may_be_slow: bool) -> list[Waiting]:
        """The writes of a group: either slow ones, or others."""
        most = self._most()
        most_leaves = SHARED_LEAVES if len(self._queues) > 1 else LEAVES
        is_slow = False
        group: list[Waiting] = []
        held: dict[object, list[Waiting]] = {}
        turns, others = deque(self._queues.items()), deque[tuple[object, deque[Waiting]]]()
        # Applications whose next write is too much for this group.
        too_much: dict[object, deque[Waiting]] = {}
        # Profiles that have a write of another kind, and their applications.
        passed: dict[str, object] = {}
        size = leaves = seen = unplanned = 0
        # Writes that must wait for another of their profile are looked at too: not for ever.
        while turns and max(len(group), seen // 2) < most:
            application, queue = turns.popleft()
            waiting = queue[0]
            if isinstance(waiting, Unplanned) and not waiting.planned:
                if unplanned and unplanned + waiting.size > limits.GROUP_UNPLANNED_BYTES:
                    too_much[application] = queue
                    continue
                unplanned += waiting.size
                if not self._plan(waiting):
                    queue.popleft()
                    if queue:
                        turns.append((application, queue))
                    continue
            write = waiting.write
            if write.profile_id in self._busy:
                held.setdefault(application, []).append(queue.popleft())
            elif write.profile_id in passed or (
                write.is_slow is not is_slow or write.recount if group else write.is_slow and not may_be_slow
            ):
                passed[write.profile_id] = application
                held.setdefault(application, []).append(queue.popleft())
            elif group and (size + write.size > limits.GROUP_BYTES or leaves + write.leaves > most_leaves):
                too_much[application] = queue
                continue
            else:
                if write.is_slow and not group:
                    is_slow, most = True, 1 if write.recount else SLOW
                    turns, others = others, turns
                group.append(queue.popleft())
                size += write.size
                leaves += write.leaves
            seen += 1
            if queue:
                turns.append((application, queue))
        waiting_for_others = list(chain.from_iterable(held.values()))
        self._held_profiles = {waiting.write.profile_id for waiting in waiting_for_others}
        if is_slow or not may_be_slow:
            # Those that were passed over wait for more than their profiles.
            self._held_profiles -= passed.keys()
        # Of a flood on one profile not all are looked at. Where nothing may go, all count: else they would be looked at
        # in each turn of the loop.
        is_flood = waiting_for_others and not group
        self._held = self._room.updates - self._under_way if is_flood else len(waiting_for_others)
        for application, kept in held.items():
            self._queues[application].extendleft(reversed(kept))
        # The next group begins with those for which this one had no room, and then where it ended.
        ahead = {application: self._queues[application] for application in passed.values()}
        ahead |= too_much | dict(others) | dict(turns)
        self._queues = ahead | {
            application: queue for application, queue in self._queues.items() if queue and application not in ahead
        }
        return group

    def _plan(self, waiting: Unplanned) -> bool:
        """Whether there is a write. Otherwise, the caller gets the error, and that was it."""
        try:
            waiting.planned = waiting.plan()
        except Exception as error:
            self._forget([waiting])
            waiting.call.fail(error)
            return False
        waiting.write = waiting.planned.write
        self._room.resize(waiting, waiting.write.size)
        return True

    async def _commit(self, group: Sequence[Waiting], *, is_slow: bool) -> None:
        try:
            outcomes: Sequence[Outcome | Again | Exception] = await self._store.apply([each.write for each in group])
        except Exception as defect:
            outcomes = [defect] * len(group)
        del self._groups[cast(asyncio.Task[None], asyncio.current_task())]
        self._busy.difference_update(waiting.write.profile_id for waiting in group)
        self._under_way -= len(group)
        self._slow_groups -= is_slow
        if AGAIN in outcomes:
            self._wait_again([waiting for waiting, outcome in zip(group, outcomes, strict=True) if outcome is AGAIN])
            group = [waiting for waiting, outcome in zip(group, outcomes, strict=True) if outcome is not AGAIN]
            outcomes = [outcome for outcome in outcomes if outcome is not AGAIN]
        self._forget(group)
        self._start_soon()
        metrics.UPDATES.inc(outcomes.count(STORED))
        metrics.SUPPRESSED.inc(outcomes.count(SUPPRESSED))
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.call.settle(waiting.index, cast(Outcome | Exception, outcome))

    def _wait_again(self, writes: Sequence[Waiting]) -> None:
        """Let writes wait at the head, before all later ones of their profiles."""
        for waiting in reversed(writes):
            self._queues.setdefault(waiting.call.application, deque()).appendleft(waiting)
