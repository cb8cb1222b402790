"""The method of StatusService."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Protocol

from userfold.v1 import status_service_pb2 as pb

from server import limits
from server.commit.write_batcher import WriteBatcher
from server.model import DatabaseFacts
from server.rpc.call import Call, Metadata
from server.rpc.health import Health
from server.rpc.served_method import Shared

_NANOSECONDS: Final = 1_000_000_000

# Gateways name themselves in the user agent of their connections: `gateway/upstream/channel.py`.
_GATEWAY: Final = re.compile(r"userfold-gateway/([0-9A-Za-z.+-]{1,40})(?: |\Z)")


class DatabaseState(Protocol):
    """What is known of the database."""

    async def facts(self) -> DatabaseFacts:
        """What is known now. Must return soon, whatever the database does."""


@dataclass(frozen=True, slots=True)
class Process:
    """This process: the name of its machine, when it started (nanoseconds since 1970-01-01 UTC), and the version of the
    stored data that it knows."""

    instance: str
    started: int
    schema_version: int


class StatusService:
    """Serves `userfold.v1.StatusService`. `now` returns nanoseconds since 1970-01-01 UTC."""

    def __init__(
        self,
        process: Process,
        profiles: WriteBatcher,
        shared: Shared,
        health: Health,
        database: DatabaseState,
        now: Callable[[], int],
    ) -> None:
        self._process = process
        self._profiles = profiles
        self._shared = shared
        self._health = health
        self._database = database
        self._now = now

    async def GetStatus(self, _: pb.GetStatusRequest, call: Call) -> pb.GetStatusResponse:
        facts = await self._database.facts()
        calls, streams = self._shared.admission.calls, self._shared.streams
        response = pb.GetStatusResponse(
            version=version("userfold"),
            gateway_version=_gateway_version(call.metadata),
            instance=self._process.instance,
            is_ready=self._health.is_ready,
            not_ready_reason=self._health.why_not_ready,
            calls=pb.Usage(used=limits.CALLS - calls.free, limit=limits.CALLS),
            streams=pb.Usage(used=limits.STREAMS - streams.updates.free, limit=limits.STREAMS),
            gateway_streams=pb.Usage(used=limits.BATCH_STREAMS - streams.batches.free, limit=limits.BATCH_STREAMS),
            pending_refusal_count=self._shared.refusals.pending,
            database=self._database_status(facts),
        )
        response.start_time.FromNanoseconds(self._process.started)
        self._fill_updates(response.updates)
        return response

    def _fill_updates(self, updates: pb.UpdateStatus) -> None:
        load, times = self._profiles.load(), self._profiles.recent.times()
        updates.pending.used, updates.pending.limit = load.updates, limits.WAITING_UPDATES
        updates.pending_bytes.used, updates.pending_bytes.limit = load.size, limits.WAITING_BYTES
        updates.queued_count = load.queued
        updates.groups_in_flight = load.groups
        updates.recent_group_count = times.count
        if times.last_ended is not None:
            updates.last_stored_time.FromNanoseconds(self._now() - round(times.last_ended * _NANOSECONDS))
        if times.count:
            updates.median_seconds, updates.p95_seconds = times.median, times.p95

    def _database_status(self, facts: DatabaseFacts) -> pb.DatabaseStatus:
        supported = self._process.schema_version
        return pb.DatabaseStatus(
            version=facts.version,
            replica_set=facts.replica_set,
            members=[
                pb.DatabaseMember(name=each.name, state=each.state, lag_seconds=each.lag_seconds)
                for each in facts.members
            ],
            schema_version=facts.schema_version,
            supported_schema_version=supported,
            is_migrating=0 < facts.schema_version < supported,
        )


def _gateway_version(metadata: Metadata) -> str:
    agents = (value for name, value in metadata if name == "user-agent" and isinstance(value, str))
    named = _GATEWAY.match(next(agents, ""))
    return named[1] if named else ""
