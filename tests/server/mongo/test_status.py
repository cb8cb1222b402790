"""What a server knows of its MongoDB, from the driver and from a real mongod."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.hello import Hello
from pymongo.server_description import ServerDescription
from pymongo.topology_description import TOPOLOGY_TYPE, TopologyDescription

from server.local.mongod import EmbeddedMongod
from server.model import Member
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.schema import KEY, SCHEMA
from server.mongo.status import KEPT_SECONDS, MongoStatus, members_of

_NAME = "userfold_status_test"
_VERSION = 4
_TIME = datetime(2026, 11, 29)  # In UTC, as heartbeats have it.


def described(address: tuple[str, int], written: float | None, seen: float, **hello: Any) -> ServerDescription:
    """A member whose latest write was `written` seconds after _TIME, as its heartbeat said `seen` seconds later."""
    document = {"ok": 1, "setName": "rs0", "maxWireVersion": 21, "minWireVersion": 0, **hello}
    if written is not None:
        document["lastWrite"] = {"lastWriteDate": _TIME + timedelta(seconds=written)}
    document = {name: value for name, value in document.items() if value is not None}
    description = ServerDescription(address, Hello(document), 0.001)
    description._last_update_time = seen
    return description


def members(*servers: ServerDescription) -> list[Member]:
    topology = TopologyDescription(
        TOPOLOGY_TYPE.ReplicaSetWithPrimary, {each.address: each for each in servers}, "rs0", None, None, None
    )
    return list(members_of(topology))


_PRIMARY: dict[str, Any] = {"isWritablePrimary": True}
_SECONDARY: dict[str, Any] = {"secondary": True}


def test_the_members_have_states_and_lags() -> None:
    unreachable = ServerDescription(("mongo-3.db.internal", 27017))
    assert members(
        unreachable,
        described(("mongo-1.db.internal", 27017), 10, 100.0, **_PRIMARY),
        # Its heartbeat was half a second later, when the primary may have written for as long.
        described(("mongo-2.db.internal", 27017), 8, 100.5, **_SECONDARY),
        described(("arbiter", 27017), None, 100.0, arbiterOnly=True),
        described(("starting", 27017), None, 100.0),
    ) == [
        Member("arbiter", "arbiter", None),
        Member("mongo-1", "primary", None),
        Member("mongo-2", "secondary", 2.5),
        Member("mongo-3", "unreachable", None),
        Member("starting", "other", None),
    ]


def test_a_lag_is_never_negative_and_needs_a_primary() -> None:
    ahead = described(("b", 1), 11, 100.0, **_SECONDARY)
    assert members(described(("a", 1), 10, 100.0, **_PRIMARY), ahead)[1].lag_seconds == 0.0
    assert members(ahead)[0].lag_seconds is None
    silent = described(("b", 1), None, 100.0, **_SECONDARY)
    assert members(described(("a", 1), 10, 100.0, **_PRIMARY), silent)[1].lag_seconds is None


def test_a_router_is_one_and_an_ip_address_is_not_shown() -> None:
    assert members(described(("192.0.2.1", 27017), None, 100.0, msg="isdbgrid", setName=None)) == [
        Member("", "router", None)
    ]
    assert members(described(("2001:db8::1", 27017), 1, 100.0, **_PRIMARY)) == [Member("", "primary", None)]


@pytest.fixture
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, _NAME)
    await prepare(database)
    await database.get_collection(SCHEMA).update_one(KEY, {"$set": {"version": _VERSION}}, upsert=True)
    yield database
    await client.drop_database(_NAME)
    client.close()


async def test_the_facts_are_asked_now_and_then(opened: Database, mongod: EmbeddedMongod) -> None:
    seconds = 0.0
    status = MongoStatus(opened, lambda: seconds)
    facts = await status.facts()
    build = await opened.command("buildInfo")
    assert (facts.version, facts.schema_version) == (build["version"], _VERSION)
    assert [member.state for member in facts.members] == ["primary"]
    await opened.get_collection(SCHEMA).update_one(KEY, {"$set": {"version": 7}}, upsert=True)
    assert (await status.facts()).schema_version == _VERSION
    seconds = KEPT_SECONDS + 1
    assert (await status.facts()).schema_version == 7
    with MongoClient[dict[str, Any]](mongod.uri) as admin:
        failing = {"failCommands": ["find", "buildInfo"], "errorCode": 91, "namespace": f"{_NAME}.{SCHEMA}"}
        try:
            admin.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": failing})
            seconds = 3 * KEPT_SECONDS
            # What was known before.
            assert (await status.facts()).schema_version == 7
        finally:
            admin.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def test_facts_of_a_mongodb_that_never_answered() -> None:
    client = connect("mongodb://127.0.0.1:1/?replicaSet=rs0", serverSelectionTimeoutMS=20)
    facts = await MongoStatus(open_database(client, _NAME), lambda: 0.0).facts()
    assert (facts.version, facts.schema_version, facts.replica_set) == ("", 0, "rs0")
    assert [member.state for member in facts.members] == ["unreachable"]
    client.close()
