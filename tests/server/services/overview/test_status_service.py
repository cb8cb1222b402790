"""The status of a server: what of it comes from where."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from userfold.v1 import status_service_pb2 as pb

from runtime.metrics.requests import RequestMetrics
from runtime.refusal_counts import RefusalKind
from runtime.turns import Turns
from server import limits, metrics
from server.commit.write_batcher import WriteBatcher
from server.model import STORED, Application, CredentialKind, DatabaseFacts, Member
from server.rpc.call import Call, Metadata
from server.rpc.health import Health
from server.rpc.served_method import Shared
from server.services.overview.status_service import Process, StatusService
from tests.server.served import Served, unstored_counts

_NANOSECONDS = 1_000_000_000


class FakeStore:
    """Stores every write."""

    async def apply(self, writes: Sequence[Any]) -> Sequence[Any]:
        return [STORED] * len(writes)


class FakeDatabase:
    def __init__(self) -> None:
        self.known = DatabaseFacts(
            "7.0.5", "rs0", [Member("mongo-1", "primary", None), Member("", "secondary", 0.5)], 1
        )

    async def facts(self) -> DatabaseFacts:
        return self.known


class Statuses:
    """A status service and what it shows."""

    def __init__(self) -> None:
        served = Served()
        self.profiles = WriteBatcher(FakeStore())
        requests = RequestMetrics(metrics.REQUESTS, metrics.DURATIONS, metrics.APPLICATIONS)
        self.shared = Shared(
            served.authenticator, served.admission, served.streams, Turns(), requests, unstored_counts()
        )
        self.health = Health("users", self._responds, self._why_not)
        self.database = FakeDatabase()
        self.service = StatusService(
            Process("pod-1", 5 * _NANOSECONDS, 1),
            self.profiles,
            self.shared,
            self.health,
            self.database,
            lambda: 900 * _NANOSECONDS,
        )

    async def _responds(self) -> bool:
        return True

    async def _why_not(self) -> str:
        return ""

    async def get(self, metadata: Metadata = ()) -> Any:
        application = Application("app", CredentialKind.MANAGEMENT, frozenset())
        call = Call(application, metadata, lambda: "unix:", unstored_counts())
        return MessageToDict(
            await self.service.GetStatus(pb.GetStatusRequest(), call), preserving_proto_field_name=True
        )


@pytest.fixture
async def statuses() -> Statuses:
    return Statuses()


async def test_the_status_of_a_server_without_work(statuses: Statuses) -> None:
    status = await statuses.get()
    assert status.pop("version")
    assert status == {
        "instance": "pod-1",
        "start_time": "1970-01-01T00:00:05Z",
        "not_ready_reason": "MongoDB does not answer",
        "updates": {
            "pending": {"limit": str(limits.WAITING_UPDATES)},
            "pending_bytes": {"limit": str(limits.WAITING_BYTES)},
        },
        "calls": {"limit": str(limits.CALLS)},
        "streams": {"limit": str(limits.STREAMS)},
        "gateway_streams": {"limit": str(limits.BATCH_STREAMS)},
        "database": {
            "version": "7.0.5",
            "replica_set": "rs0",
            "members": [{"name": "mongo-1", "state": "primary"}, {"state": "secondary", "lag_seconds": 0.5}],
            "schema_version": 1,
            "supported_schema_version": 1,
        },
    }


async def test_what_is_used_is_shown(statuses: Statuses) -> None:
    shared = statuses.shared
    shared.admission.calls.take("app")
    shared.streams.updates.take("app")
    shared.streams.batches.take("app")
    shared.refusals.add("app", RefusalKind("INVALID_REQUEST", False))
    status = await statuses.get()
    assert [status[name]["used"] for name in ("calls", "streams", "gateway_streams")] == ["1"] * 3
    assert status["pending_refusal_count"] == 1
    await shared.refusals.finished()
    assert "pending_refusal_count" not in await statuses.get()


@pytest.mark.parametrize(
    ("agent", "version"),
    [
        ("userfold-gateway/0.2.0 grpc-python-asyncio/1.76.0", "0.2.0"),
        ("userfold-gateway/1.0.0rc1+x", "1.0.0rc1+x"),
        ("grpc-python/1.76.0", None),
        (f"userfold-gateway/{'1' * 41} x", None),
        ("userfold-gateway/<b> x", None),
        ("x userfold-gateway/0.2.0", None),
    ],
)
async def test_a_gateway_names_its_version(statuses: Statuses, agent: str, version: str | None) -> None:
    assert (await statuses.get((("x", "y"), ("user-agent", agent)))).get("gateway_version") == version


async def test_why_a_server_is_not_ready(statuses: Statuses) -> None:
    await statuses.health.set("users", 1)
    status = await statuses.get()
    assert (status["is_ready"], "not_ready_reason" in status) == (True, False)
    await statuses.health.note_fault("the MongoDB at db:27017 is no replica set")
    assert (await statuses.get())["not_ready_reason"] == "the MongoDB at db:27017 is no replica set"
    await statuses.health.enter_graceful_shutdown()
    assert (await statuses.get())["not_ready_reason"] == "stopping"


async def test_data_that_wait_for_a_migration(statuses: Statuses) -> None:
    for stored, supported, is_migrating in ((1, 2, True), (2, 2, False), (3, 2, False), (0, 2, False)):
        statuses.database.known = DatabaseFacts("7.0.5", "", [], stored)
        statuses.service._process = Process("pod-1", 0, supported)
        assert (await statuses.get())["database"].get("is_migrating", False) == is_migrating


async def test_the_times_of_groups(statuses: Statuses) -> None:
    now = 100.0
    statuses.profiles.recent._clock = lambda: now
    for seconds in (0.25, 0.5, 0.75):
        statuses.profiles.recent.add(now - seconds, now)
    now = 110.0
    updates = (await statuses.get())["updates"]
    assert updates["last_stored_time"] == "1970-01-01T00:14:50Z"
    assert (updates["recent_group_count"], updates["median_seconds"], updates["p95_seconds"]) == (3, 0.5, 0.75)
    now = 1_000.0
    updates = (await statuses.get())["updates"]
    assert updates["last_stored_time"] == "1970-01-01T00:00:00Z"
    assert not {"recent_group_count", "median_seconds", "p95_seconds"} & updates.keys()
