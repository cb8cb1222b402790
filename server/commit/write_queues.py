"""Which queued writes the next group takes."""

from collections import deque
from collections.abc import Collection, Sequence, Set
from itertools import chain
from typing import Final

from server import limits
from server.commit.capacity import Capacity
from server.commit.queued_writes import QueuedWrite, UnplannedWrite

SLOW_LIMIT: Final = 8
"""Slow writes in a group. MongoDB reads and writes the whole profile for each. So slow writes have groups of their own,
each of one application. A recount is alone in its group. Conditional writes, which may be tried again, are only with
each other."""

SHARED_LIMIT: Final = 32
"""Writes in a group of several applications: none waits for a whole group of another application's flood."""

LEAVES_LIMIT: Final = 2000
SHARED_LEAVES_LIMIT: Final = 500
"""Paths of all writes in a group, and in a group of several applications. MongoDB looks up each path among all keys of
its object, which takes long in a large object."""


class WriteQueues:
    """One queue of writes for each application, which take turns.

    No two groups in flight hold writes of one profile, so the writes of a profile stay in their order.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._queues: dict[str, deque[QueuedWrite]] = {}
        self._busy_profiles: set[str] = set()
        # What the latest group had to leave behind another write of the same profile.
        self._blocked = 0
        self._blocked_profiles: set[str] = set()
        self.writes = 0

    @property
    def applications(self) -> Set[str]:
        """The applications that have queued writes."""
        return self._queues.keys()

    @property
    def group_limit(self) -> int:
        """The number of writes that a group may have."""
        return limits.GROUP_UPDATES if len(self._queues) == 1 else SHARED_LIMIT

    @property
    def unblocked(self) -> int:
        """The number of queued writes that are not known to wait for another write of their profile."""
        return self.writes - self._blocked

    @property
    def is_any_unblocked(self) -> bool:
        """Whether a write that was blocked is blocked no longer."""
        return not self._blocked_profiles <= self._busy_profiles

    def append(self, writes: Sequence[QueuedWrite]) -> None:
        """Queue the writes of one submission."""
        self._queues.setdefault(writes[0].submission.application_id, deque()).extend(writes)
        self.writes += len(writes)

    def put_back(self, writes: Sequence[QueuedWrite]) -> None:
        """Queue writes that were in a group again, before all later writes of their profiles."""
        for queued in reversed(writes):
            self._queues.setdefault(queued.submission.application_id, deque()).appendleft(queued)
        self.writes += len(writes)

    def release(self, group: Sequence[QueuedWrite]) -> None:
        """Unblock the profiles of a group that is no longer in flight."""
        self._busy_profiles.difference_update(queued.write.profile_id for queued in group)

    def next_group_without(self, applications: Collection[str], share: int, *, may_be_slow: bool) -> list[QueuedWrite]:
        """As `next_group`, but of applications that are not among these."""
        queues, blocked = self._queues, (self._blocked, self._blocked_profiles)
        self._queues = {key: queue for key, queue in queues.items() if key not in applications}
        group = self.next_group(share, may_be_slow=may_be_slow) if self._queues else []
        self._queues |= {key: queue for key, queue in queues.items() if key in applications}
        self._blocked, self._blocked_profiles = blocked
        return group

    def next_group(self, share: int, *, may_be_slow: bool) -> list[QueuedWrite]:
        """Remove and return at most `share` writes, either all slow or none. They must be released.

        Updates that cannot be planned fail and are removed as well.
        """
        limit = min(share, self.group_limit)
        leaves_limit = SHARED_LEAVES_LIMIT if len(self._queues) > 1 else LEAVES_LIMIT
        is_slow = is_conditional = False
        group: list[QueuedWrite] = []
        blocked: dict[str, list[QueuedWrite]] = {}
        turns, later = deque(self._queues.items()), deque[tuple[str, deque[QueuedWrite]]]()
        # Applications whose next write does not fit into this group.
        too_large: dict[str, deque[QueuedWrite]] = {}
        # Profiles whose next write is of the other kind, and their applications.
        passed: dict[str, str] = {}
        size = leaves = examined = unplanned_size = 0
        # Blocked writes are examined too. Half as many count as one write of the group, so the search ends.
        while turns and max(len(group), examined // 2) < limit:
            application_id, queue = turns.popleft()
            queued = queue[0]
            if isinstance(queued, UnplannedWrite) and not queued.planned:
                if unplanned_size and unplanned_size + queued.size > limits.GROUP_UNPLANNED_BYTES:
                    too_large[application_id] = queue
                    continue
                unplanned_size += queued.size
                if not self._plan(queued):
                    queue.popleft()
                    if queue:
                        turns.append((application_id, queue))
                    continue
            write = queued.write
            write_is_slow = write.is_slow
            if write.profile_id in self._busy_profiles:
                blocked.setdefault(application_id, []).append(queue.popleft())
            elif write.profile_id in passed or (
                write_is_slow is not is_slow or (is_slow and (write.recount or (write.etag is None) is is_conditional))
                if group
                else write_is_slow and not may_be_slow
            ):
                passed[write.profile_id] = application_id
                blocked.setdefault(application_id, []).append(queue.popleft())
            elif group and (size + write.size > limits.GROUP_BYTES or leaves + write.leaves > leaves_limit):
                too_large[application_id] = queue
                continue
            else:
                if write_is_slow and not group:
                    # The slow writes of one application: the remaining applications keep their turns.
                    is_slow, limit = True, 1 if write.recount else SLOW_LIMIT
                    is_conditional = write.etag is not None
                    turns, later = later, turns
                group.append(queue.popleft())
                size += write.size
                leaves += write.leaves
            examined += 1
            if queue:
                turns.append((application_id, queue))
        self.writes -= len(group)
        self._remember_blocked(list(chain.from_iterable(blocked.values())), group)
        if is_slow or not may_be_slow:
            # These were passed over for their kind, not for a write of their profile.
            self._blocked_profiles -= passed.keys()
        for application_id, writes in blocked.items():
            self._queues[application_id].extendleft(reversed(writes))
        # The next group begins with the writes for which this one had no room, and then where this one ended.
        first = {application_id: self._queues[application_id] for application_id in passed.values()}
        first |= too_large | dict(later) | dict(turns)
        self._queues = first | {key: queue for key, queue in self._queues.items() if queue and key not in first}
        self._busy_profiles.update(queued.write.profile_id for queued in group)
        return group

    def _remember_blocked(self, blocked: Sequence[QueuedWrite], group: Sequence[QueuedWrite]) -> None:
        self._blocked_profiles = {queued.write.profile_id for queued in blocked}
        # If many writes wait for one profile, not all were examined. If none may start, all count as blocked:
        # otherwise they would be examined again in each turn of the loop.
        self._blocked = self.writes if blocked and not group else len(blocked)

    def _plan(self, queued: UnplannedWrite) -> bool:
        """Whether there is a write now. Otherwise, the submission has failed."""
        try:
            queued.planned = queued.plan()
        except Exception as error:
            self.writes -= 1
            self._capacity.give_back([queued])
            queued.submission.fail(error)
            return False
        queued.write = queued.planned.write
        self._capacity.resize(queued, queued.write.size)
        return True
