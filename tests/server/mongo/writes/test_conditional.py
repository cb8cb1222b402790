"""Conditional updates on a real mongod: applied to the document whose etag they name, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern

from server import limits
from server.errors import DatabaseUnavailable, EtagMismatch, Overloaded, ProfileTooLarge, WriteOutcomeUnknown
from server.local.mongod import EmbeddedMongod
from server.model import STORED, SUPPRESSED, ProfileWrite, UserUpdate
from server.mongo.client import Collection, Database, connect, open_database, prepare
from server.mongo.documents import only
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.writes import bulk, conditional, values
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import profile_id
from server.users.ports import AGAIN
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied

_NOW = 1_767_323_045_000_000_000
_RAW = CodecOptions(document_class=RawBSONDocument)


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_conditional_test")
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


def _write(user: str, etag: str | None = None, **fields: Any) -> ProfileWrite:
    return plan_update("app", UserUpdate(user, etag=etag, **fields), _NOW).write


async def _etag(opened: Database, user: str) -> str:
    fetched = await MongoProfileQueries(opened).find(profile_id("app", user))
    assert fetched is not None
    etag = fetched.profile().etag
    assert etag is not None
    return etag


async def _document(opened: Database, user: str) -> Mapping[str, Any]:
    document = await opened.profiles.find_one({"_id": profile_id("app", user)})
    assert document is not None
    return document


def _kinds(outcomes: Any) -> list[type[object]]:
    return [type(outcome) for outcome in outcomes]


async def test_it_is_applied_to_the_profile_with_the_etag_alone(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    await applied(store, [_write(user, metadata={"a": {"b": 1}, "c": 2})])
    etag = await _etag(opened, user)
    assert await applied(store, [_write(user, etag, metadata={"a": {"b": None}, "d": "$c"})]) == [STORED]
    after = await _document(opened, user)
    assert after["metadata"] == {"a": {}, "c": 2, "d": "$c"}
    assert _kinds(await store.apply([_write(user, etag, metadata={"a": 3})])) == [EtagMismatch]
    assert _kinds(await store.apply([_write("nobody", etag, metadata={"a": 3})])) == [EtagMismatch]
    assert await _document(opened, user) == after
    assert await opened.profiles.find_one({"_id": profile_id("app", "nobody")}) is None


async def test_those_of_one_profile_are_applied_in_order_and_never_as_one(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    other = f"{user} other"
    await applied(store, [_write(user, metadata={"n": 0}), _write(other, metadata={"n": 0})])
    etag, other_etag = await _etag(opened, user), await _etag(opened, other)
    writes = [
        # Nothing changes, so the next one has the right etag too.
        _write(user, etag, metadata={"n": 0}),
        _write(user, etag, metadata={"n": 1}),
        _write(other, other_etag, metadata={"n": 5}),
        _write(user, etag, metadata={"n": 2}),
    ]
    assert _kinds(await store.apply(writes)) == [type(STORED), type(STORED), type(STORED), EtagMismatch]
    assert (await _document(opened, user))["metadata"] == {"n": 1}
    assert (await _document(opened, other))["metadata"] == {"n": 5}


@contextmanager
def _meanwhile(monkeypatch: pytest.MonkeyPatch, change: Any) -> Iterator[list[int]]:
    """Apply `change` between the read and the write of each attempt. Yields a list with an item for each."""
    attempts: list[int] = []
    write = bulk.write_in_bulk

    async def delayed(profiles: Collection, operations: Any) -> Any:
        attempts.append(1)
        await change(len(attempts))
        return await write(profiles, operations)

    with monkeypatch.context() as patch:
        patch.setattr(conditional, "write_in_bulk", delayed)
        yield attempts


async def test_only_a_profile_that_has_changed_meanwhile_is_a_mismatch(
    opened: Database, store: MongoProfileStore, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await applied(store, [_write(user, metadata={"n": 0})])
    etag = await _etag(opened, user)
    key = {"_id": profile_id("app", user)}

    async def same(attempt: int) -> None:
        if attempt < moves:
            await applied(
                store, [plan_update("app", UserUpdate(user, modified_time=_NOW), _NOW + attempt * 10**6).write]
            )

    moves = 3
    with _meanwhile(monkeypatch, same) as attempts:
        assert await store.apply([_write(user, etag, metadata={"n": 0})]) == [STORED]
    assert len(attempts) == 3
    moves = 100
    with _meanwhile(monkeypatch, same) as attempts:
        assert _kinds(await store.apply([_write(user, etag, metadata={"n": 1})])) == [Overloaded]
    assert len(attempts) == 5

    async def different(_: int) -> None:
        await opened.profiles.update_one(key, {"$set": {"metadata.n": 7}})

    with _meanwhile(monkeypatch, different) as attempts:
        assert _kinds(await store.apply([_write(user, etag, metadata={"n": 2})])) == [EtagMismatch]
    assert len(attempts) == 1

    async def erased(_: int) -> None:
        await opened.profiles.delete_one(key)

    etag = await _etag(opened, user)
    with _meanwhile(monkeypatch, erased):
        assert _kinds(await store.apply([_write(user, etag, metadata={"n": 2})])) == [EtagMismatch]
    assert await opened.profiles.find_one(key) is None


async def test_a_suppressed_user_is_dropped_whatever_the_etag(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    await opened.profiles.insert_one({"_id": profile_id("app", user), "suppressed_until": None})
    assert await store.apply([_write(user, "any", metadata={"n": 1})]) == [SUPPRESSED]
    assert "metadata" not in await _document(opened, user)


async def test_a_profile_that_would_grow_too_large_is_refused(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    await applied(store, [_write(user, metadata={"a": "x" * 600_000})])
    etag = await _etag(opened, user)
    assert _kinds(await applied(store, [_write(user, etag, metadata={"b": "x" * 600_000})])) == [ProfileTooLarge]
    # Nothing has changed, so the etag is still right.
    assert await applied(store, [_write(user, etag, metadata={"a": "y" * 900_000})]) == [STORED]


async def test_values_are_counted_where_the_bound_is_reached(
    opened: Database, store: MongoProfileStore, user: str
) -> None:
    for number in range(5):
        await applied(store, [_write(user, metadata={f"k{number}": [0] * 9_000})])
    etag = await _etag(opened, user)
    refused = _write(user, etag, metadata={"more": [0] * 9_000})
    assert await store.apply([refused]) == [AGAIN]
    assert _kinds(await store.apply([refused])) == [ProfileTooLarge]
    # The later write of its profile waits for the one that is counted.
    replaced, later = _write(user, etag, metadata={"k0": [1] * 9_000}), _write(user, etag, metadata={"k1": None})
    assert await store.apply([replaced, later]) == [AGAIN, AGAIN]
    assert _kinds(await applied(store, [replaced, later])) == [type(STORED), EtagMismatch]
    document = await _document(opened, user)
    assert document["metadata"]["k0"] == [1] * 9_000
    assert document["values"] <= limits.PROFILE_VALUES


@contextmanager
def _failing(mongod: EmbeddedMongod, command: str, **data: Any) -> Iterator[None]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        failure = {"configureFailPoint": "failCommand", "mode": "alwaysOn"}
        client.admin.command(failure | {"data": {"failCommands": [command], "appName": "userfold"} | data})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def test_large_profiles_that_wait_for_each_other_hold_no_other_back(
    store: MongoProfileStore, opened: Database, user: str
) -> None:
    large = [f"{user} {number}" for number in range(conditional.AT_ONCE)]
    text = "x" * limits.SLICE_BYTES
    await applied(store, [*(_write(each, metadata={"a": text}) for each in large), _write(user, company_id="a")])
    writes = [_write(each, await _etag(opened, each), company_id="b") for each in large]
    async with store._conditional._large._one_at_a_time:
        waiting = asyncio.create_task(store.apply(writes))
        async with asyncio.timeout(20):
            assert await store.apply([_write(user, await _etag(opened, user), company_id="b")]) == [STORED]
        assert not waiting.done()
    assert await waiting == [STORED] * len(large)


async def test_a_write_that_is_not_confirmed_is_of_unknown_outcome_and_ends_those_of_its_profile(
    opened: Database, store: MongoProfileStore, user: str, mongod: EmbeddedMongod
) -> None:
    await applied(store, [_write(user, metadata={"n": 0})])
    etag = await _etag(opened, user)
    with _failing(mongod, "update", writeConcernError={"code": 64, "errmsg": "not confirmed"}):
        outcomes = await store.apply([_write(user, etag, metadata={"n": 1}), _write(user, "x", metadata={"n": 2})])
    assert _kinds(outcomes) == [WriteOutcomeUnknown, WriteOutcomeUnknown]
    # It was applied, but not confirmed.
    latest = opened.profiles.with_options(read_concern=ReadConcern("local"))
    assert (await latest.find_one({"_id": profile_id("app", user)}) or {})["metadata"] == {"n": 1}


async def test_nothing_is_written_where_the_profile_cannot_be_read(
    opened: Database, store: MongoProfileStore, user: str, mongod: EmbeddedMongod
) -> None:
    await applied(store, [_write(user, metadata={"n": 0})])
    etag = await _etag(opened, user)
    with _failing(mongod, "find", errorCode=13):
        assert _kinds(await store.apply([_write(user, etag, metadata={"n": 1})])) == [DatabaseUnavailable]
    assert (await _document(opened, user))["metadata"] == {"n": 0}


async def test_a_defect_fails_the_group_after_all_of_its_writes(
    opened: Database, store: MongoProfileStore, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"{user} other"
    await applied(store, [_write(user, metadata={"n": 0}), _write(other, metadata={"n": 0})])
    etags = [await _etag(opened, each) for each in (user, other)]

    async def fail_first(attempt: int) -> None:
        if attempt == 1:
            raise RuntimeError("a defect")

    with _meanwhile(monkeypatch, fail_first), pytest.raises(RuntimeError):
        await store.apply([_write(user, etags[0], metadata={"n": 1}), _write(other, etags[1], metadata={"n": 1})])
    stored = [(await _document(opened, each))["metadata"]["n"] for each in (user, other)]
    assert sorted(stored) == [0, 1]


_LARGE = {f"k{number}": ["x" * 90, number, None, {"a": 0.5}] for number in range(7_000)}

_DIFFERENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"m": {"a": 1, "b": 2}}, {"m": {"b": 2, "a": 1}}),
    ({"m": 0}, {"m": -0.0}),
    ({"m": [0]}, {"m": [-0.0]}),
    ({"m": 1}, {"m": 1.0}),
    ({"m": 1}, {"m": True}),
    ({"m": 1}, {"m": "1"}),
    ({"m": None}, {}),
    ({"m": {"a": None}}, {"m": {}}),
    ({"m": {}}, {"m": []}),
    ({"m": []}, {"m": [None]}),
    ({"m": [1, 2]}, {"m": [2, 1]}),
    ({"m": "a"}, {"m": "A"}),
    ({"m": "é"}, {"m": "e\u0301"}),
    ({"m": 0.1}, {"m": 0.1 + 2**-56}),
    ({"m": 2**53}, {"m": 2**53 + 1}),
    ({"m": _LARGE}, {"m": _LARGE | {"k6999": 0}}),
]


@pytest.mark.parametrize(("stored", "changed"), _DIFFERENT, ids=[str(number) for number in range(len(_DIFFERENT))])
async def test_the_filter_is_met_by_the_very_document_alone(
    opened: Database, stored: dict[str, Any], changed: dict[str, Any]
) -> None:
    documents = opened["documents"]
    await documents.delete_many({})
    await documents.insert_one({"_id": "d", **stored})
    read: Any = await documents.with_options(_RAW).find_one({"_id": "d"})
    assert await documents.count_documents(only(read)) == 1
    await documents.replace_one({"_id": "d"}, {"_id": "d", **changed})
    assert await documents.count_documents(only(read)) == 0


async def test_keys_and_strings_in_the_filter_are_not_evaluated(opened: Database) -> None:
    documents = opened["documents"]
    await documents.delete_many({})
    hostile = {"_id": "d", "m": {"$literal": "$$ROOT", "$eq": ["$_id", "$_id"], "a.b": Int64(1), "": "$m"}}
    await documents.insert_one(hostile)
    read: Any = await documents.with_options(_RAW).find_one({"_id": "d"})
    assert await documents.count_documents(only(read)) == 1
