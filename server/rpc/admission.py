"""What a call must pass before its message is looked at: is there room for it, does it come too often?"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from enum import Enum, auto
from typing import Final, TypeAlias

from server import limits
from server.accounts.scopes import ANY_CREDENTIAL
from server.errors import Overloaded
from server.model import Application
from server.rpc.concurrency import Gate
from server.rpc.places import Places
from server.rpc.rate_limit import TokenBuckets


class CallKind(Enum):
    """What shares one gate."""

    READ = auto()
    LOOK_UP = auto()
    QUERY = auto()
    CHANGE = auto()


_SIZES: Final[Mapping[CallKind, tuple[int, int]]] = {
    CallKind.READ: (limits.LOOK_UPS, limits.LOOK_UPS_AT_ONCE),
    # All at once: they go to where they are grouped, or wait for their turn there.
    CallKind.LOOK_UP: (limits.LOOK_UPS, limits.LOOK_UPS),
    CallKind.QUERY: (limits.QUERIES, limits.QUERIES_AT_ONCE),
    CallKind.CHANGE: (limits.CHANGES, limits.CHANGES_AT_ONCE),
}
"""How many may be under way, and be served at once."""

GATES: Final[Mapping[str, CallKind]] = {
    "GetUser": CallKind.READ,
    "BatchGetUsers": CallKind.QUERY,
    "LookupUsers": CallKind.LOOK_UP,
    "ExportUser": CallKind.READ,
    "ListUsers": CallKind.QUERY,
    "CountUsers": CallKind.QUERY,
    "ReportCampaigns": CallKind.QUERY,
    "BatchExportUsers": CallKind.QUERY,
    "RemoveAlias": CallKind.CHANGE,
    "BatchRemoveAliases": CallKind.CHANGE,
    "DeleteUser": CallKind.CHANGE,
    "BatchDeleteUsers": CallKind.CHANGE,
}
"""By the name of the method, which gate it goes through. Updates go through none: they wait in groups, whose room is
asked for."""

_READS: Final = frozenset({CallKind.READ, CallKind.LOOK_UP, CallKind.QUERY})

RequireRoom: TypeAlias = Callable[[str], None]
"""Raises Overloaded where the groups have no room for an application's updates."""


class Admission:
    """What all calls share: places by application, a few more for callers that are not known yet, gates and rates."""

    def __init__(self, require_room: RequireRoom, buckets: TokenBuckets) -> None:
        self._require_room = require_room
        self._buckets = buckets
        self._gates = {kind: Gate(*size) for kind, size in _SIZES.items()}
        self.calls = Places(limits.CALLS, limits.CALL_BYTES)
        self._unverified = 0

    def require_place_of_unverified(self) -> None:
        """Raise Overloaded where too many calls wait for the look-up of their credential."""
        if self._unverified >= limits.UNVERIFIED_CALLS:
            raise Overloaded

    @contextmanager
    def unverified(self) -> Iterator[None]:
        """In the block, the credential of a call is looked up that was not known before. Raises Overloaded."""
        self.require_place_of_unverified()
        self._unverified += 1
        try:
            yield
        finally:
            self._unverified -= 1

    def admit(self, method: str, application: Application) -> AbstractAsyncContextManager[None] | None:
        """Within what is returned, the call is served; None where it can be served at once.

        Raises RateLimited or Overloaded.
        """
        kind = GATES.get(method)
        if kind is None and method in ANY_CREDENTIAL:
            # It asks for no work: neither the rate nor the room of an application is touched.
            return None
        if self._buckets.is_limiting:
            self._buckets.require((application.application_id, kind in _READS))
        if kind is None:
            self._require_room(application.application_id)
            return None
        return self._gates[kind].within(application.application_id)

    def count(self, method: str, application: Application, items: int) -> None:
        """A call that was admitted holds so many items: a batch counts as many as it has."""
        if self._buckets.is_limiting and method not in ANY_CREDENTIAL:
            self._buckets.take((application.application_id, GATES.get(method) in _READS), items)

    def pause(self, method: str, application: Application) -> float:
        """For how many seconds the next message of a stream has to wait."""
        return self._buckets.seconds((application.application_id, GATES.get(method) in _READS))
