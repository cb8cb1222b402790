"""Group commit: the writes of many calls are applied together."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, cast

from runtime.batcher import AdaptiveBatcher
from runtime.reporting import traces
from server import limits, metrics
from server.commit.capacity import Capacity
from server.commit.queued_writes import QueuedWrite, Submission, UnplannedWrite
from server.commit.recent_groups import RecentGroups
from server.commit.write_queues import SHARED_LIMIT, WriteQueues
from server.errors import Overloaded
from server.model import STORED, SUPPRESSED, PlannedUpdate, ProfileWrite, Stored
from server.users.ports import AGAIN, Again, Outcome, ProfileStore

_QUEUED: Final = metrics.PENDING_UPDATES.labels("queued")
_IN_FLIGHT: Final = metrics.PENDING_UPDATES.labels("in_flight")
_GROUP_ITEMS: Final = metrics.GROUP_ITEMS.labels(metrics.WRITES)
_GROUP_WAIT: Final = metrics.GROUP_WAIT.labels(metrics.WRITES)

GROUPS: Final = 2
"""Groups in flight: while MongoDB syncs one to its journal, it works on the other."""

LARGE_GROUP: Final = 32
"""Queued writes that start a group beside another one: with fewer, it is cheaper to wait for more."""

QUIET_WRITES: Final = 12
QUIET_GROUPS: Final = 6
"""While no more than this many writes are queued or in flight, this many groups may be in flight, of whatever size:
MongoDB and the cores have time, and a write must not wait for the sync of another one to the journal."""

EXTRA_GROUPS: Final = 3
"""Groups beside `GROUPS`: one of slow writes, and some for applications that have nothing in flight."""

PROMPT_GROUPS: Final = 1
"""Extra groups in flight that start without waiting."""

FEW_WRITES: Final = GROUPS * SHARED_LIMIT
"""Queued writes and writes in flight of all applications, up to which an application needs no extra group: its writes
are in the next group, which starts soon."""

LONG_SECONDS: Final = 0.05
"""How long an application that has nothing in flight waits for a further extra group."""


@dataclass(frozen=True, slots=True)
class Load:
    """The updates that have no outcome yet, their bytes, how many of them are queued, and the groups in flight."""

    updates: int
    size: int
    queued: int
    groups: int


class WriteBatcher(AdaptiveBatcher):
    """Applies the writes of many calls to a profile store in groups, and returns to each call its own outcomes.

    Applications take turns, so none waits behind another one's flood. Slow writes have groups of their own. In a flood,
    applications that have nothing in flight get an extra group immediately, and further ones if that takes long.
    """

    def __init__(self, store: ProfileStore, *, updates_limit: int = limits.WAITING_UPDATES) -> None:
        super().__init__(GROUPS, lone_quiet_turns=1)
        self._store = store
        self._capacity = Capacity(updates_limit)
        self._queues = WriteQueues(self._capacity)
        self._groups: set[asyncio.Task[None]] = set()
        # How many groups in flight hold writes of an application.
        self._groups_of: Counter[str] = Counter()
        self._slow_groups = 0
        self._prompt_groups = 0
        self._is_prompt_due = self._is_extra_due = False
        self.recent = RecentGroups(time.monotonic)
        """The latest groups of which something was stored."""

    def submit(self, writes: Sequence[ProfileWrite]) -> "asyncio.Future[Sequence[Outcome]]":
        """Apply writes of one application, and return their outcomes in the same order.

        The writes are applied even if the caller is cancelled. Raises Overloaded, and applies none, where too many
        writes are queued.
        """
        if not writes:
            submission = Submission("", 0)
            submission.done.set_result([])
            return submission.done
        submission = Submission(cast(str, writes[0].on_insert["application_id"]), len(writes))
        self._enqueue([QueuedWrite(submission, index, write) for index, write in enumerate(writes)])
        return submission.done

    async def submit_unplanned(
        self, application_id: str, size: int, plan: Callable[[], PlannedUpdate]
    ) -> tuple[PlannedUpdate, Outcome]:
        """Apply an update of about `size` bytes, and return what `plan` returned and the outcome.

        `plan` is called when the group of the update is made: planning many updates in a row is cheaper than planning
        each on its arrival. Raises what `submit` and `plan` raise.
        """
        submission = Submission(application_id, 1)
        update = UnplannedWrite(submission, size, plan)
        self._enqueue([update])
        (outcome,) = await submission.done
        return cast(PlannedUpdate, update.planned), outcome

    def require_room(self, application_id: str) -> None:
        """Raise Overloaded where `submit` would, for any update of this application."""
        if not self._capacity.has_room(application_id, 1, 0):
            raise Overloaded

    async def wait_for_room(self, application_id: str, updates: int, size: int) -> None:
        """Wait until `submit` would accept so many updates of an application, of `size` bytes in all, and leave as much
        room again for other calls."""
        await self._capacity.wait_for_room(application_id, 2 * updates, 2 * size)

    def note_load(self) -> None:
        """Set the gauges of updates that are queued or in flight."""
        load = self.load()
        _QUEUED.set(load.queued)
        _IN_FLIGHT.set(load.updates - load.queued)
        metrics.PENDING_BYTES.set(load.size)

    def load(self) -> Load:
        """What there is to do now."""
        return Load(self._capacity.updates, self._capacity.size, self._queues.writes, self._groups_in_flight)

    async def drain(self) -> None:
        """Wait until every write has its outcome, those of cancelled callers included."""
        await self._capacity.wait_until_unused()

    def _enqueue(self, writes: Sequence[QueuedWrite]) -> None:
        application_id = writes[0].submission.application_id
        size = writes[0].size if len(writes) == 1 else sum([queued.size for queued in writes])
        if not self._capacity.has_room(application_id, len(writes), size):
            raise Overloaded
        self._capacity.take(application_id, len(writes), size)
        self._queues.append(writes)
        self._unfinished = self._capacity.updates
        if not self._is_due:
            self._start_next()
            if application_id not in self._groups_of:
                self._start_promptly_soon()

    def _may_start(self) -> bool:
        # A write blocked by an in-flight write to the same profile starts as soon as that write commits.
        queues = self._queues
        groups = self._groups_in_flight - self._slow_groups - self._prompt_groups
        if groups < GROUPS:
            return groups <= 0 or self._is_quiet or queues.is_any_unblocked or queues.unblocked >= LARGE_GROUP
        return groups < QUIET_GROUPS and self._is_quiet

    @property
    def _is_quiet(self) -> bool:
        return self._unfinished <= QUIET_WRITES

    def _is_share_queued(self) -> bool:
        return self._queues.unblocked >= min(self._share(LARGE_GROUP), self._queues.group_limit)

    def _start_groups(self) -> None:
        while self._may_start() and (group := self._next_group()):
            self._start(group)
            if self._is_quiet:
                # The group may have planned as many bytes as one turn has time for.
                self._start_next()
                return
        if self._queues.writes and self._groups:
            self._start_extra_later()
        elif self._queues.writes:
            # All examined updates were refused.
            self._start_next()

    def _next_group(self) -> Sequence[QueuedWrite]:
        group = self._queues.next_group(self._share(LARGE_GROUP), may_be_slow=not self._slow_groups)
        # Less those that could not be planned.
        self._unfinished = self._capacity.updates
        return group

    def _start_next(self) -> None:
        self._start_soon()
        if not self._is_due:
            self._start_extra_later()

    def _start_promptly_soon(self) -> None:
        if not (self._is_due or self._is_prompt_due) and self._may_start_promptly():
            self._is_prompt_due = True
            asyncio.get_running_loop().call_soon(self._start_promptly)

    def _may_start_promptly(self) -> bool:
        """Whether an application with nothing in flight would wait for much more than one small group."""
        return (
            self._prompt_groups < PROMPT_GROUPS
            and self._unfinished > FEW_WRITES
            and self._may_start_extra()
            and not self._queues.applications <= self._groups_of.keys()
        )

    def _start_promptly(self) -> None:
        self._is_prompt_due = False
        if self._may_start_promptly() and (group := self._next_extra_group(SHARED_LIMIT, may_be_slow=False)):
            self._start(group, is_prompt=True)

    def _may_start_extra(self) -> bool:
        return self._groups_in_flight < GROUPS + EXTRA_GROUPS

    def _next_extra_group(self, limit: int, *, may_be_slow: bool) -> Sequence[QueuedWrite]:
        """Writes of the applications that have nothing in flight: no write blocks theirs."""
        group = self._queues.next_group_without(self._groups_of.keys(), limit, may_be_slow=may_be_slow)
        self._unfinished = self._capacity.updates
        return group

    def _start_extra_later(self) -> None:
        if not self._is_extra_due:
            self._is_extra_due = True
            asyncio.get_running_loop().call_later(LONG_SECONDS, self._start_extra)

    def _start_extra(self) -> None:
        self._is_extra_due = False
        if self._may_start_extra() and (group := self._next_extra_group(self._share(LARGE_GROUP), may_be_slow=True)):
            self._start(group)
        if self._queues.writes:
            self._start_extra_later()

    def _start(self, group: Sequence[QueuedWrite], *, is_prompt: bool = False) -> None:
        # Read now, since a write may turn out to be slow when it is applied.
        is_slow = group[0].write.is_slow
        self._slow_groups += is_slow
        self._prompt_groups += is_prompt
        self._group_started(len(group))
        _GROUP_ITEMS.add(len(group))
        _GROUP_WAIT.add(time.monotonic() - group[0].submission.submitted)
        self._groups_of.update(_applications(group))
        commit = self._commit(group, is_slow=is_slow, is_prompt=is_prompt)
        self._groups.add(asyncio.get_running_loop().create_task(commit))

    async def _apply(self, group: Sequence[QueuedWrite]) -> Sequence[Outcome | Again | Exception]:
        writes = [each.write for each in group]
        if traces.active() is None:
            return await self._store.apply(writes)
        with traces.group("group commit", "userfold.writes", [each.submission.traceparent for each in group]):
            return await self._store.apply(writes)

    async def _commit(self, group: Sequence[QueuedWrite], *, is_slow: bool, is_prompt: bool) -> None:
        started = time.monotonic()
        try:
            outcomes: Sequence[Outcome | Again | Exception] = await self._apply(group)
        except Exception as defect:
            outcomes = [defect] * len(group)
        if STORED in outcomes:
            self.recent.add(started, time.monotonic())
        self._groups.discard(cast(asyncio.Task[None], asyncio.current_task()))
        self._groups_of -= Counter(_applications(group))
        self._slow_groups -= is_slow
        self._prompt_groups -= is_prompt
        self._group_ended()
        self._queues.release(group)
        if AGAIN in outcomes:
            self._queues.put_back([queued for queued, outcome in zip(group, outcomes, strict=True) if outcome is AGAIN])
            group = [queued for queued, outcome in zip(group, outcomes, strict=True) if outcome is not AGAIN]
            outcomes = [outcome for outcome in outcomes if outcome is not AGAIN]
        self._capacity.give_back(group)
        self._unfinished = self._capacity.updates
        self._start_next()
        self._start_promptly_soon()
        metrics.UPDATES.inc(sum([isinstance(outcome, Stored) for outcome in outcomes]))
        metrics.SUPPRESSED.inc(outcomes.count(SUPPRESSED))
        for queued, outcome in zip(group, outcomes, strict=True):
            queued.submission.settle(queued.index, cast(Outcome | Exception, outcome))


def _applications(group: Sequence[QueuedWrite]) -> Collection[str]:
    """The applications whose writes a group holds."""
    return {queued.submission.application_id for queued in group}
