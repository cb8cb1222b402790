"""What a call must pass before its message is looked at: is there room for it, does it come too often?"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from enum import Enum, auto
from typing import Final, TypeAlias

from server import limits
from server.gate import Gate
from server.model import Application
from server.rate import TokenBuckets
from server.scopes import ANY_CREDENTIAL


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

# Around an update there is nothing to do.
_NOTHING: Final[AbstractAsyncContextManager[None]] = nullcontext()

RequireRoom: TypeAlias = Callable[[str], None]
"""Raises Overloaded where the groups have no room for an application's updates."""


class Streams:
    """The streams of one kind, each of them open in a `with` block. `ended` is set when one has ended."""

    def __init__(self, most: Callable[[], int], ended: asyncio.Event) -> None:
        self._most = most
        self._ended = ended
        self.open = 0

    @property
    def has_room(self) -> bool:
        """Whether another may begin."""
        return self.open < self._most()

    def __enter__(self) -> None:
        self.open += 1

    def __exit__(self, *_: object) -> None:
        self.open -= 1
        self._ended.set()


class Admission:
    """What all calls share: how many are under way, with messages of so many `octets`."""

    def __init__(self, require_room: RequireRoom, buckets: TokenBuckets) -> None:
        self._require_room = require_room
        self._buckets = buckets
        self._gates = {kind: Gate(*size) for kind, size in _SIZES.items()}
        self.calls = self.octets = 0
        self._stream_ended = asyncio.Event()
        self.streams = Streams(lambda: limits.STREAMS, self._stream_ended)
        self.batch_streams = Streams(lambda: limits.BATCH_STREAMS, self._stream_ended)
        self.stopping = asyncio.Event()
        """Set when the server stops: streams, which would go on for ever, then end."""

    @property
    def has_room(self) -> bool:
        """Whether another call may begin."""
        return self.calls < limits.CALLS and self.octets < limits.CALL_BYTES

    async def streams_ended(self) -> None:
        """Wait until there is no stream."""
        while self.streams.open or self.batch_streams.open:
            self._stream_ended.clear()
            await self._stream_ended.wait()

    def admit(self, method: str, application: Application) -> AbstractAsyncContextManager[None]:
        """Within what is returned, the call is served. Raises RateLimited or Overloaded."""
        if method in ANY_CREDENTIAL:  # It asks for no work: neither the rate nor the room of an application is touched.
            return _NOTHING
        kind = GATES.get(method)
        self._buckets.require((application.application_id, kind in _READS))
        if kind is None:
            self._require_room(application.application_id)
            return _NOTHING
        return self._gates[kind].within(application.application_id)

    def count(self, method: str, application: Application, items: int) -> None:
        """A call that was admitted holds so many items: a batch counts as many as it has."""
        if method not in ANY_CREDENTIAL:
            self._buckets.take((application.application_id, GATES.get(method) in _READS), items)

    def pause(self, method: str, application: Application) -> float:
        """For how many seconds the next message of a stream has to wait."""
        return self._buckets.seconds((application.application_id, GATES.get(method) in _READS))
