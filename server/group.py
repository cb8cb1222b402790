"""Group commit: the writes that arrive while others are under way form the next group."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final, cast

from server import limits, metrics
from server.errors import Overloaded, UserfoldError
from server.model import SUPPRESSED, PlannedUpdate, ProfileWrite
from server.store.profiles import Outcome, ProfileStore

GROUPS: Final = 2
"""Groups under way at once: while MongoDB syncs one to its journal, it works on the other."""

LARGE: Final = 32
"""What a group must have to be started beside another: with less, it is cheaper to let more come together."""

SHARED: Final = 32
"""The most of a group in which several applications have writes: none is to wait for the whole group of a flood."""

# Turns of the event loop for which a group may wait for more: a loop that is never idle must not keep it for ever.
_MOST_TURNS = 128

# Turns without anything new after which a group of several starts: gRPC takes a few to bring a call.
_QUIET_TURNS = 4


class GroupedProfileStore:
    """A profile store that applies the writes of many callers together, and tells each caller of its own.

    There is no timer: a write that finds nothing under way is applied at once. Groups take writes from one application
    after the other, so none waits behind another's flood. No two groups hold writes of one profile, so those stay in
    their order. Belongs to the running event loop.
    """

    def __init__(self, store: ProfileStore, *, waiting: int = limits.WAITING_UPDATES) -> None:
        self._store = store
        self._most_waiting = waiting
        self._queues: dict[object, deque[_Waiting]] = {}
        self._updates = 0
        self._under_way = 0
        # How many writes were found to have to wait for another of their profile, and of which profiles.
        self._held = 0
        self._held_profiles: set[str] = set()
        self._bytes = 0
        self._updates_of: Counter[object] = Counter()
        self._bytes_of: Counter[object] = Counter()
        self._busy: set[str] = set()
        self._groups: set[asyncio.Task[None]] = set()
        self._start_is_due = False
        self._patience = 1
        self._settled = asyncio.Event()

    def submit(self, writes: Sequence[ProfileWrite]) -> "asyncio.Future[Sequence[Outcome]]":
        """Apply writes of one application, and tell what became of each, in the order given.

        They are applied whatever becomes of the caller. Raises Overloaded, and applies none, where too many wait.
        """
        if not writes:
            call = _Call("", 0)
            call.done.set_result([])
            return call.done
        call = _Call(cast(str, writes[0].on_insert["application_id"]), len(writes))
        self._enqueue([_Waiting(call, index, write) for index, write in enumerate(writes)])
        return call.done

    async def submit_unplanned(
        self, application_id: str, size: int, plan: Callable[[], PlannedUpdate]
    ) -> tuple[PlannedUpdate, Outcome]:
        """Apply an update of about `size` bytes, planned only when its group is made, and tell what became of it.

        Planned one after the other, updates cost much less than each on its arrival, among all else that a call needs:
        the processor's caches hold what planning needs. Raises what `submit` and `plan` raise.
        """
        call = _Call(application_id, 1)
        update = _Unplanned(call, size, plan)
        self._enqueue([update])
        (outcome,) = await call.done
        return cast(PlannedUpdate, update.planned), outcome

    def require_room(self, application_id: str) -> None:
        """Raise Overloaded where `submit` would, for any update of this application."""
        if self._updates and not self._has_room(application_id, 1, 0):
            raise Overloaded

    async def room(self, application_id: str, updates: int) -> None:
        """Wait until `submit` would take so many updates of an application and leave as much again for others."""
        while self._updates and not self._has_room(application_id, 2 * updates, 0):
            self._settled.clear()
            await self._settled.wait()

    async def drain(self) -> None:
        """Wait until every write is answered, those of callers that went away included."""
        while self._updates:
            self._settled.clear()
            await self._settled.wait()

    def _has_room(self, application: object, updates: int, size: int) -> bool:
        # An application may have as much as it leaves free for all others.
        updates += self._updates_of[application]
        size += self._bytes_of[application]
        return updates <= self._most_waiting - self._updates and size <= limits.WAITING_BYTES - self._bytes

    def _enqueue(self, writes: "Sequence[_Waiting]") -> None:
        """Let the writes of one call wait. Raises Overloaded where too many do."""
        application = writes[0].call.application
        size = writes[0].size if len(writes) == 1 else sum([waiting.size for waiting in writes])
        if self._updates and not self._has_room(application, len(writes), size):
            raise Overloaded
        self._updates += len(writes)
        self._bytes += size
        self._updates_of[application] += len(writes)
        self._bytes_of[application] += size
        self._queues.setdefault(application, deque()).extend(writes)
        self._start_soon()

    def _forget(self, writes: "Sequence[_Waiting]") -> None:
        self._updates -= len(writes)
        for waiting in writes:
            application = waiting.call.application
            self._bytes -= waiting.size
            self._bytes_of[application] -= waiting.size
            self._updates_of[application] -= 1
            if not self._updates_of[application]:
                del self._updates_of[application], self._bytes_of[application]
        self._settled.set()

    def _start_soon(self) -> None:
        if not self._start_is_due and self._may_start():
            self._start_is_due = True
            asyncio.get_running_loop().call_soon(self._start, 0, 0, self._updates)

    def _start(self, turns: int, quiet: int, before: int) -> None:
        # As long as the turns of the loop bring more, the loop is what is busy, and a group of few would only add to
        # its work: each group costs as much as several writes.
        quiet = quiet + 1 if self._updates == before else 0
        if turns < _MOST_TURNS and quiet < self._patience and self._fresh() < self._most():
            asyncio.get_running_loop().call_soon(self._start, turns + 1, quiet, self._updates)
            return
        self._start_is_due = False
        while self._may_start() and (group := self._next_group()):
            # A lone caller waits for nobody.
            self._patience = _QUIET_TURNS if len(group) > 1 else 1
            self._under_way += len(group)
            self._busy.update(waiting.write.profile_id for waiting in group)
            task = asyncio.get_running_loop().create_task(self._commit(group))
            self._groups.add(task)
        if self._queues and not self._groups:
            # All that was looked at is refused.
            self._start_soon()

    def _may_start(self) -> bool:
        # One that had to wait for another of its profile has waited for a whole group, and whoever sent it with others
        # waits for those, too: it goes as soon as that one is done.
        is_some_free = not self._held_profiles <= self._busy
        return not self._groups or (len(self._groups) < GROUPS and (is_some_free or self._fresh() >= LARGE))

    def _fresh(self) -> int:
        """How many wait that may have no other of their profile before them."""
        return self._updates - self._under_way - self._held

    def _most(self) -> int:
        """How many the next group may take: its share, so that all groups are about as large.

        While MongoDB works on one of them, the callers of another are answered and send again. If one took all that
        wait, it would be turn and turn about.
        """
        most = limits.GROUP_UPDATES if len(self._queues) == 1 else SHARED
        return min(most, max(LARGE, -(-self._updates // GROUPS)))

    def _next_group(self) -> "list[_Waiting]":
        most = self._most()
        group: list[_Waiting] = []
        held: dict[object, list[_Waiting]] = {}
        turns = deque(self._queues.items())
        size = seen = 0
        # Writes that must wait for another of their profile are looked at too: not for ever.
        while turns and size < limits.GROUP_BYTES and max(len(group), seen // 2) < most:
            application, queue = turns.popleft()
            waiting = queue.popleft()
            seen += 1
            if not self._is_planned(waiting):
                pass
            elif waiting.write.profile_id in self._busy:
                held.setdefault(application, []).append(waiting)
            else:
                group.append(waiting)
                size += waiting.write.size
            if queue:
                turns.append((application, queue))
        waiting_for_others = list(chain.from_iterable(held.values()))
        self._held_profiles = {waiting.write.profile_id for waiting in waiting_for_others}
        # Of a flood on one profile not all are looked at. Where nothing may go, all count: else they would be looked at
        # in each turn of the loop.
        is_flood = waiting_for_others and not group
        self._held = self._updates - self._under_way if is_flood else len(waiting_for_others)
        for application, kept in held.items():
            self._queues[application].extendleft(reversed(kept))
        # The next group begins where this one ended.
        ahead = dict(turns)
        self._queues = ahead | {
            application: queue for application, queue in self._queues.items() if queue and application not in ahead
        }
        return group

    def _is_planned(self, waiting: "_Waiting") -> bool:
        """Whether there is a write: planned now, where it was not. A refusal is told, and that was it."""
        if not isinstance(waiting, _Unplanned) or waiting.planned:
            return True
        try:
            waiting.planned = waiting.plan()
        except Exception as error:
            self._forget([waiting])
            waiting.call.fail(error)
            return False
        waiting.write = waiting.planned.write
        return True

    async def _commit(self, group: "list[_Waiting]") -> None:
        try:
            outcomes: Sequence[Outcome | Exception] = await self._store.apply([waiting.write for waiting in group])
        except Exception as defect:
            outcomes = [defect] * len(group)
        self._groups.discard(cast(asyncio.Task[None], asyncio.current_task()))
        self._busy.difference_update(waiting.write.profile_id for waiting in group)
        self._under_way -= len(group)
        self._forget(group)
        self._start_soon()
        metrics.UPDATES.inc(sum(outcome is None for outcome in outcomes))
        metrics.SUPPRESSED.inc(sum(outcome is SUPPRESSED for outcome in outcomes))
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.call.settle(waiting.index, outcome)


class _Waiting:
    """One write of a call."""

    __slots__ = ("call", "index", "size", "write")

    def __init__(self, call: "_Call", index: int, write: ProfileWrite) -> None:
        self.call = call
        self.index = index
        self.write = write
        self.size = write.size


class _Unplanned(_Waiting):
    """An update whose write is there when it is `planned`."""

    __slots__ = ("plan", "planned")

    def __init__(self, call: "_Call", size: int, plan: Callable[[], PlannedUpdate]) -> None:
        self.call = call
        self.index = 0
        self.size = size
        self.plan = plan
        self.planned: PlannedUpdate | None = None


class _Call:
    """The writes of one caller: answered together, though they may travel in several groups."""

    __slots__ = ("_left", "_outcomes", "application", "done")

    def __init__(self, application: str, writes: int) -> None:
        self.application = application
        self._outcomes: list[Outcome] = [None] * writes
        self._left = writes
        self.done: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, outcome: "Outcome | Exception") -> None:
        if isinstance(outcome, Exception) and not isinstance(outcome, UserfoldError):
            # A defect of the store's is told to everyone who waits for it.
            self.fail(outcome)
            return
        self._outcomes[index] = outcome
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(self._outcomes)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
