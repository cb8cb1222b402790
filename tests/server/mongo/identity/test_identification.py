"""Visitors become users, in a real MongoDB."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.local.mongod import EmbeddedMongod
from server.model import STORED, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import profile_id, visitor_id
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied

_NOW = 1_767_323_045_678_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_identification_test")
    await prepare(database)
    yield database
    client.close()


@pytest.fixture
def store(opened: Database) -> MongoProfileStore:
    return MongoProfileStore(opened)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


async def update(store: MongoProfileStore, **fields: Any) -> Any:
    (outcome,) = await applied(store, [plan_update("app", UserUpdate(**fields), _NOW).write])
    return outcome


async def user(opened: Database, user_id: str) -> Any:
    return await opened.profiles.find_one({"_id": profile_id("app", user_id)})


async def visitor(opened: Database, anonymous_id: str) -> Any:
    return await opened.profiles.find_one({"_id": visitor_id("app", anonymous_id)})


async def test_a_visitor_becomes_the_user_and_later_visits_are_those_of_the_user(
    opened: Database, store: MongoProfileStore, name: str
) -> None:
    campaign = {"utm_source": "google"}
    assert await update(store, anonymous_id=name, campaign=campaign, metadata={"a": {"b": 1, "c": 1}}) is STORED
    assert await update(store, user_id=name, anonymous_id=name, metadata={"a": {"b": 2}}) is STORED
    pointer = {"_id": visitor_id("app", name), "pointer": profile_id("app", name)}
    assert await visitor(opened, name) == pointer
    stored = await user(opened, name)
    assert (stored["campaign"], stored["initial_campaign"][0]) == (campaign, campaign)
    assert (stored["metadata"], stored["anonymous_ids"]) == ({"a": {"b": 2, "c": 1}}, [name])
    assert await update(store, anonymous_id=name, metadata={"a": {"c": 3}}, session_token="t") is STORED
    stored = await user(opened, name)
    assert (stored["metadata"], len(stored["aliases"])) == ({"a": {"b": 2, "c": 3}}, 1)
    assert await visitor(opened, name) == pointer
