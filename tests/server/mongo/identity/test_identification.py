"""Visitors become users, in a real MongoDB."""

import itertools
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from bson import ObjectId

from server import limits
from server.local.mongod import EmbeddedMongod
from server.model import STORED, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.etags import etag_of
from server.mongo.identity.absorption import Absorption
from server.mongo.migrations import MIGRATIONS
from server.mongo.writes.by_kind import MongoProfileStores
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import profile_id, visitor_id
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied
from tests.support.plans import Commands

_NOW = 1_767_323_045_678_000_000
_LATER = datetime(2100, 1, 1, tzinfo=UTC)


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


async def test_a_user_and_a_visitor_who_are_too_large_together_stay_apart(
    opened: Database, store: MongoProfileStore, name: str
) -> None:
    large = {"metadata": {"visitor": "x" * 600_000}}
    await update(store, anonymous_id=name, **large)
    outcome = await update(store, user_id=name, anonymous_id=name, metadata={"user": "x" * 600_000})
    assert [(each.field, each.reason) for each in outcome.warnings] == [("anonymous_id", "NOT_ABSORBED")]
    assert (await visitor(opened, name))["metadata"].keys() == {"visitor"}
    # When the user has room, the next update makes the visitor the user.
    assert await update(store, user_id=name, metadata={"user": None}) is STORED
    assert await update(store, user_id=name, anonymous_id=name) is STORED
    assert (await visitor(opened, name)).keys() == {"_id", "pointer"}
    assert (await user(opened, name))["metadata"].keys() == {"visitor"}


async def test_what_is_written_while_a_user_gets_what_a_visitor_had_is_kept(
    opened: Database, store: MongoProfileStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await update(store, anonymous_id=name, metadata={"a": {"of": "visitor"}, "b": 1})
    await update(store, user_id=name, metadata={"a": {}})
    read = Absorption._documents
    late = iter([{"a": {"late": 1}}, {"b": 2}])

    async def read_and_changed(absorption: Absorption, visitor: str, user: str) -> Any:
        found = await read(absorption, visitor, user)
        for metadata in itertools.islice(late, 1):
            assert await update(MongoProfileStore(opened), user_id=name, metadata=metadata) is STORED
        return found

    monkeypatch.setattr(Absorption, "_documents", read_and_changed)
    assert await update(store, user_id=name, anonymous_id=name) is STORED
    assert (await user(opened, name))["metadata"] == {"a": {"of": "visitor", "late": 1}, "b": 2}


async def test_a_visitor_who_was_erased_and_is_suppressed_becomes_no_user(opened: Database, name: str) -> None:
    key = visitor_id("app", name)
    tombstone = {"_id": key, "suppressed_until": _LATER}
    await opened.profiles.insert_one(tombstone)
    await Absorption(opened.get_collection("profiles")).absorb(key, profile_id("app", name))
    assert await visitor(opened, name) == tombstone


async def test_what_a_pointer_holds_for_a_user_who_was_erased_and_is_suppressed_is_erased(
    opened: Database, name: str
) -> None:
    pointer = {"_id": visitor_id("app", name), "pointer": profile_id("app", name)}
    held = {"absorption": ObjectId(), "absorbed": {"_id": pointer["_id"], "metadata": {"a": 1}}}
    await opened.profiles.insert_many([pointer | held, {"_id": pointer["pointer"], "suppressed_until": _LATER}])
    await Absorption(opened.get_collection("profiles")).finish(pointer["_id"])
    assert await visitor(opened, name) == pointer


async def test_a_visit_after_the_erasure_of_the_user_is_that_of_a_visitor(
    opened: Database, store: MongoProfileStore, name: str
) -> None:
    await opened.profiles.insert_one({"_id": visitor_id("app", name), "pointer": profile_id("app", name)})
    assert await update(store, anonymous_id=name, metadata={"a": 1}) is STORED
    assert (await visitor(opened, name))["metadata"] == {"a": 1}
    assert await user(opened, name) is None


async def test_of_two_users_who_sign_in_at_once_one_gets_what_the_visitor_had(
    opened: Database, store: MongoProfileStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await update(store, anonymous_id=name, metadata={"a": 1})
    await update(store, user_id=f"{name}/first")
    absorption = Absorption(opened.get_collection("profiles"))
    first = iter([profile_id("app", f"{name}/first")])
    require_room = Absorption._require_room

    async def require_room_too_early(late: Absorption, visitor: str, user: str) -> None:
        await require_room(late, visitor, user)
        for each in first:
            await absorption.absorb(visitor, each)

    monkeypatch.setattr(Absorption, "_require_room", require_room_too_early)
    assert await update(store, user_id=f"{name}/second", anonymous_id=name) is STORED
    assert (await visitor(opened, name))["pointer"] == profile_id("app", f"{name}/first")
    metadata = [(await user(opened, f"{name}/{which}")).get("metadata") for which in ("first", "second")]
    assert metadata == [{"a": 1}, None]


async def test_too_many_values_stay_apart(opened: Database, store: MongoProfileStore, name: str) -> None:
    for who in ({"anonymous_id": name}, {"user_id": name}):
        for part in range(3):
            values = {f"{next(iter(who))}{part}": [0] * 9_000}
            assert await update(store, **who, metadata=values) is STORED
    outcome = await update(store, user_id=name, anonymous_id=name)
    assert [each.reason for each in outcome.warnings] == ["NOT_ABSORBED"]
    assert "pointer" not in await visitor(opened, name)


async def test_the_latest_hundred_anonymous_ids_are_kept(opened: Database, store: MongoProfileStore, name: str) -> None:
    for number in range(limits.ANONYMOUS_IDS + 2):
        assert await update(store, user_id=name, anonymous_id=f"{name}/{number}") is STORED
    stored = await user(opened, name)
    assert stored["anonymous_ids"] == [f"{name}/{number}" for number in range(2, limits.ANONYMOUS_IDS + 2)]


async def test_updates_in_one_group_identify_each_visitor_once(
    opened: Database, store: MongoProfileStore, name: str
) -> None:
    for number in range(3):
        await update(store, anonymous_id=f"{name}/{number}", metadata={f"k{number}": number})
    ids: list[tuple[str, object]] = [("u", 0), ("u", 1), ("v", 2), ("w", 3)]
    sent = [UserUpdate(f"{name}/{who}", anonymous_id=f"{name}/{number}") for who, number in ids]
    assert await applied(store, [plan_update("app", each, _NOW).write for each in sent]) == [STORED] * len(sent)
    metadata = [(await user(opened, f"{name}/{who}")).get("metadata", {}) for who in "uvw"]
    assert metadata == [{"k0": 0, "k1": 1}, {"k2": 2}, {}]
    # Of two users in a group, the first one.
    ids = [("u", "shared"), ("v", "shared")]
    sent = [UserUpdate(f"{name}/{who}", anonymous_id=f"{name}/{number}") for who, number in ids]
    assert await applied(store, [plan_update("app", each, _NOW).write for each in sent]) == [STORED] * 2
    assert (await visitor(opened, f"{name}/shared"))["pointer"] == profile_id("app", f"{name}/u")


async def test_a_conditional_update_identifies_a_visitor(opened: Database, store: MongoProfileStore, name: str) -> None:
    await update(store, anonymous_id=name, metadata={"a": 1})
    await update(store, user_id=name)
    etag = etag_of(await user(opened, name))
    assert await update(store, user_id=name, anonymous_id=name, etag=etag) is STORED
    assert (await user(opened, name))["metadata"] == {"a": 1}
    assert (await visitor(opened, name)).keys() == {"_id", "pointer"}


async def test_an_update_without_an_anonymous_id_is_one_command_and_one_whose_visitor_is_known_two(
    mongod: EmbeddedMongod, store: MongoProfileStore, name: str
) -> None:
    await update(store, user_id=name, anonymous_id=name)
    commands = Commands()
    client = connect(mongod.uri, event_listeners=[commands])
    listened = MongoProfileStore(open_database(client, "userfold_identification_test"))
    assert await update(listened, user_id=name, metadata={"a": 1}) is STORED
    assert commands.names == ["update"]
    users = [UserUpdate(user, anonymous_id=name) for user in (name, f"{name}/2", f"{name}/3")]
    assert await listened.apply([plan_update("app", each, _NOW).write for each in users]) == [STORED] * 3
    assert commands.names == ["update", "update", "find"]
    client.close()


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({"anonymous_id": "second"}, ["first", "second"]),
        ({"anonymous_id": "first"}, ["first"]),
        ({"anonymous_id": "second", "metadata": {"a": {}}}, ["first", "second"]),
        ({"anonymous_id": "second", "etag": "as stored"}, ["first", "second"]),
        ({"clear_fields": ["anonymous_id"]}, ["first"]),
        ({"anonymous_id": "second", "clear_fields": ["anonymous_id"]}, ["first", "second"]),
        ({"session_token": "t"}, None),
    ],
)
async def test_what_replaces_the_only_anonymous_id_of_an_earlier_version_keeps_it(
    opened: Database, name: str, fields: dict[str, Any], ids: list[str] | None
) -> None:
    write = plan_update("app", UserUpdate(user_id=name, anonymous_id="first"), _NOW).write
    stored = {"_id": write.profile_id, **write.on_insert, **write.patch}
    await opened.profiles.insert_one(stored)
    if "etag" in fields:
        fields = {**fields, "etag": etag_of(stored)}
    stores: Any = MongoProfileStores(opened)
    assert await update(stores, user_id=name, **fields) is STORED
    assert (await user(opened, name)).get("anonymous_ids") == ids
    # Once all profiles are migrated, an update costs what it did.
    stores.note_version(4)
    assert await update(stores, user_id=name, anonymous_id="third") is STORED
    assert (await user(opened, name))["anonymous_ids"][-1] == "third"


async def test_a_visit_keeps_the_only_anonymous_id_of_a_user_of_an_earlier_version(
    opened: Database, store: MongoProfileStore, name: str
) -> None:
    write = plan_update("app", UserUpdate(user_id=name, anonymous_id="first"), _NOW).write
    await opened.profiles.insert_many(
        [
            {"_id": write.profile_id, **write.on_insert, **write.patch},
            {"_id": visitor_id("app", name), "pointer": write.profile_id},
        ]
    )
    assert await update(store, anonymous_id=name) is STORED
    assert (await user(opened, name))["anonymous_ids"] == ["first", name]


async def test_stored_profiles_get_their_anonymous_id_as_the_first_of_many(opened: Database, name: str) -> None:
    migration = MIGRATIONS[2]
    profiles = opened.get_collection("profiles")
    documents: list[dict[str, Any]] = [
        {"_id": f"{name}/0", "user_id": "u", "anonymous_id": "a"},
        {"_id": f"{name}/1", "user_id": "u", "anonymous_id": "b", "anonymous_ids": ["a"]},
        {"_id": f"{name}/2", "user_id": "u", "anonymous_ids": ["a"]},
        {"_id": f"{name}/3", "anonymous_id": "a"},
        {"_id": f"{name}/4", "user_id": "u", "anonymous_id": "z", "anonymous_ids": [str(each) for each in range(100)]},
    ]
    await profiles.insert_many(documents)
    own = {"_id": {"$regex": f"^{re.escape(name)}/"}}
    await profiles.update_many({**own, **migration.pending}, list(migration.update))
    ids = [each.get("anonymous_ids") async for each in profiles.find(own).sort("_id", 1)]
    assert ids[:4] == [["a"], ["a", "b"], ["a"], None]
    assert ids[4] == [*(str(each) for each in range(1, 100)), "z"]
    assert await profiles.count_documents({**own, **migration.pending}) == 0
