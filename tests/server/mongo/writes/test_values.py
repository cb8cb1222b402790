"""The limit of values in a stored profile, on a real mongod."""

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import limits
from server.errors import DatabaseUnavailable, Overloaded, ProfileTooLarge
from server.local.mongod import EmbeddedMongod
from server.merge.patch import apply_patch
from server.model import STORED, SUPPRESSED, ProfileWrite, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.writes import values
from server.mongo.writes.profiles import MongoProfileStore
from server.mongo.writes.values import FIELD, Recount, values_in
from server.users.ids import profile_id
from server.users.ports import AGAIN
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied

_NOW = 1_767_323_045_000_000_000
_MANY = 9_000


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_values_test")
    await prepare(database)
    yield database
    client.close()


@pytest.fixture
def store(opened: Database, monkeypatch: pytest.MonkeyPatch) -> MongoProfileStore:
    monkeypatch.setattr(values, "PAUSE_SECONDS", 0.0)
    return MongoProfileStore(opened)


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def _write(user: str, metadata: dict[str, Any], **fields: Any) -> ProfileWrite:
    write = plan_update("app", UserUpdate(user, metadata=metadata, **fields), _NOW).write
    write.values = values_in(metadata)
    return write


async def _document(opened: Database, user: str) -> Mapping[str, Any]:
    document = await opened.profiles.find_one({"_id": profile_id("app", user)})
    assert document is not None
    return document


async def _fill(store: MongoProfileStore, user: str, count: int = 5) -> None:
    for number in range(count):
        assert await applied(store, [_write(user, {f"k{number}": [0] * _MANY})]) == [STORED]


def test_every_value_is_counted() -> None:
    assert values_in({}) == 0
    assert values_in({"a": 1, "b": None, "c": {}, "d": [], "e": {"f": [[], {"g": 1}]}}) == 9


_KEYS = st.text(max_size=3)
_JSON = st.recursive(
    st.none(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=20
)


@given(st.dictionaries(_KEYS, _JSON, max_size=4))
def test_the_count_is_that_of_a_walk(metadata: dict[str, Any]) -> None:
    def walk(value: Any) -> int:
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        return 1 + sum(map(walk, inner))

    assert values_in(metadata) == walk(metadata) - 1


@given(st.lists(st.dictionaries(_KEYS, _JSON, max_size=4), min_size=1, max_size=4))
def test_no_write_adds_more_than_its_values(updates: list[dict[str, Any]]) -> None:
    stored: dict[str, Any] = {}
    bound = 0
    for metadata in updates:
        write = plan_update("app", UserUpdate("u", metadata=metadata), _NOW).write
        bound += write.values
        stored = apply_patch(stored, write.patch.get("metadata", {}))  # type: ignore[arg-type]  # It is one.
        assert values_in(stored) <= bound


async def test_a_profile_never_holds_more_values_and_keeps_what_it_was(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    await _fill(store, user)
    before = await _document(opened, user)
    assert [type(each) for each in await applied(store, [_write(user, {"more": [0] * _MANY})])] == [ProfileTooLarge]
    assert await _document(opened, user) == before
    # A write that fits succeeds, and so does one that reduces the profile.
    assert await applied(store, [_write(user, {"more": [0] * 4_000})]) == [STORED]
    assert await applied(store, [_write(user, {"k0": None, "k1": [0] * 5_000})]) == [STORED]
    after = await _document(opened, user)
    assert values_in(after["metadata"]) <= after[FIELD] <= limits.PROFILE_VALUES


async def test_values_that_are_replaced_again_and_again_are_counted_once(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    for number in range(12):
        write = _write(user, {"same": [number] * _MANY}, modified_time=_NOW + number)
        assert await applied(store, [write]) == [STORED]
    document = await _document(opened, user)
    assert document["metadata"] == {"same": [11] * _MANY}
    assert values_in(document["metadata"]) <= document[FIELD] <= limits.PROFILE_VALUES


async def test_a_profile_that_already_holds_too_many_values_can_be_changed_and_reduced_but_not_grow(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    await applied(store, [_write(user, {"a": 1})])
    dense = {f"k{number}": [None] * 10_000 for number in range(7)}
    await opened.profiles.update_one(
        {"_id": profile_id("app", user)}, {"$set": {"metadata": dense, FIELD: limits.PROFILE_VALUES}}
    )
    assert [type(each) for each in await applied(store, [_write(user, {"new": [0] * 100})])] == [ProfileTooLarge]
    assert await applied(store, [_write(user, {"k0": [1] * 9_999})]) == [STORED]
    assert await applied(store, [_write(user, {"k0": None, "k1": {"a": {}}, "few": [0] * 20})]) == [STORED]
    document = await _document(opened, user)
    assert document[FIELD] == limits.PROFILE_VALUES
    del dense["k0"]
    assert document["metadata"] == {**dense, "k1": {"a": {}}, "few": [0] * 20}


@pytest.mark.parametrize("is_exact", [False, True])
async def test_writes_with_few_values_count_at_random_and_as_much_in_all(
    opened: Database, store: MongoProfileStore, user: str, is_exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chances = iter(range(1000))
    monkeypatch.setattr(random, "getrandbits", lambda bits: next(chances) % 2**bits)
    for number in range(40):
        write = _write(user, {f"k{number}": number} | ({"empty": {}} if is_exact else {}))
        assert await applied(store, [write]) == [STORED]
    assert (await _document(opened, user))[FIELD] == 40 * (2 if is_exact else 1)


async def test_a_recount_gives_way_to_what_has_changed_meanwhile(
    opened: Database, store: MongoProfileStore, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _fill(store, user)
    write = Recount._write

    async def changed_meanwhile(self: Recount, each: ProfileWrite, stored: Any) -> Any:
        if meanwhile:
            await opened.profiles.update_one({"_id": each.profile_id}, {"$set": {"modified_nanos": meanwhile.pop()}})
        return await write(self, each, stored)

    monkeypatch.setattr(Recount, "_write", changed_meanwhile)
    meanwhile = [1]
    assert await applied(store, [_write(user, {"k0": [1] * _MANY})]) == [STORED]
    meanwhile = [5, 4, 3, 2]
    (outcome,) = await applied(store, [_write(user, {"k0": [2] * _MANY})])
    assert isinstance(outcome, Overloaded)
    assert (await _document(opened, user))["metadata"]["k0"] == [1] * _MANY


async def test_a_profile_that_is_erased_meanwhile_is_counted_from_the_start(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    await _fill(store, user)
    write = _write(user, {"k0": [1] * _MANY})
    assert await store.apply([write]) == [AGAIN]
    assert write.recount
    await opened.profiles.delete_one({"_id": write.profile_id})
    assert await applied(store, [write]) == [STORED]
    assert (await _document(opened, user))[FIELD] == _MANY + 1


async def test_a_tombstone_and_an_unreachable_database_have_other_outcomes_than_a_large_profile(
    opened: Database, store: MongoProfileStore, user: str, mongod: EmbeddedMongod
) -> None:
    await _fill(store, user)
    write = _write(user, {"k0": [1] * _MANY})
    assert await store.apply([write]) == [AGAIN]
    await opened.profiles.replace_one({"_id": write.profile_id}, {"suppressed_until": None})
    assert await applied(store, [write]) == [SUPPRESSED]
    client = connect("mongodb://127.0.0.1:9/?directConnection=true&serverSelectionTimeoutMS=50")
    (outcome,) = await MongoProfileStore(open_database(client, "x")).apply([write])
    client.close()
    assert isinstance(outcome, DatabaseUnavailable)
