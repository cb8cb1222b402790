"""What a call must pass before its request is parsed: a place among all calls, the rate limit, and its gate."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final, TypeAlias

from server import limits, metrics
from server.errors import Overloaded
from server.rpc.admission.gate import Gate
from server.rpc.admission.rate_limit import TokenBuckets
from server.rpc.admission.shared_capacity import SharedCapacity
from server.rpc.methods import Work

_GATES: Final[Mapping[Work, tuple[int, int]]] = {
    Work.READ: (limits.LOOK_UPS, limits.LOOK_UPS_AT_ONCE),
    # All concurrently: look-ups are batched, and queued, further on.
    Work.LOOKUP: (limits.LOOK_UPS, limits.LOOK_UPS),
    Work.QUERY: (limits.QUERIES, limits.QUERIES_AT_ONCE),
    Work.CHANGE: (limits.CHANGES, limits.CHANGES_AT_ONCE),
    # It waits for MongoDB hardly ever, and never for long.
    Work.STATUS: (limits.LOOK_UPS, limits.LOOK_UPS_AT_ONCE),
}
"""The limit and the concurrency of each gate."""

RequireRoom: TypeAlias = Callable[[str], None]
"""Raises Overloaded where an application may not add to the updates that wait for MongoDB."""


class Admission:
    """What all calls share: `calls` in flight, calls whose credential is being looked up, rate limits and gates."""

    def __init__(self, require_room: RequireRoom, buckets: TokenBuckets) -> None:
        self._require_room = require_room
        self._buckets = buckets
        self._gates = {work: Gate(limit, concurrency) for work, (limit, concurrency) in _GATES.items()}
        self.calls = SharedCapacity(limits.CALLS, limits.CALL_BYTES)
        self._unverified = 0

    def note_load(self) -> None:
        """Set the gauges of calls in flight."""
        metrics.CALLS.set(limits.CALLS - self.calls.free)
        metrics.CALL_BYTES.set(limits.CALL_BYTES - self.calls.free_bytes)

    def require_room_for_unverified(self) -> None:
        """Raise Overloaded where too many calls wait until an unknown credential is looked up."""
        if self._unverified >= limits.UNVERIFIED_CALLS:
            raise Overloaded

    @contextmanager
    def unverified(self) -> Iterator[None]:
        """In the block, a call waits until an unknown credential is looked up. Raises Overloaded."""
        self.require_room_for_unverified()
        self._unverified += 1
        try:
            yield
        finally:
            self._unverified -= 1

    def admit(self, work: Work, application_id: str) -> AbstractAsyncContextManager[None] | None:
        """Admit a call. It must be served inside the gate that is returned; None: there is no gate to wait at.

        Raises RateLimited or Overloaded.
        """
        if work is Work.NONE:
            return None
        if self._buckets.is_limiting:
            self._buckets.require((application_id, work.is_read))
        if work is Work.UPDATE:
            self._require_room(application_id)
            return None
        return self._gates[work].within(application_id)

    def count(self, work: Work, application_id: str, items: int) -> None:
        """Charge the items of an admitted request to the rate limit of its application."""
        if self._buckets.is_limiting and work is not Work.NONE:
            self._buckets.take((application_id, work.is_read), items)

    def pause(self, work: Work, application_id: str) -> float:
        """The seconds that the next request of a stream must wait."""
        return self._buckets.seconds((application_id, work.is_read))
