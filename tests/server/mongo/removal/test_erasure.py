"""Erasing in a real MongoDB: what is left, what is stored again, and the outcomes of failures."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
import pytest_asyncio
from pymongo import MongoClient

from server.errors import (
    DatabaseUnavailable,
    ProfileTooLarge,
    UserfoldError,
    UserNotFound,
    WriteOutcomeUnknown,
    WriteRejected,
)
from server.local.mongod import EmbeddedMongod
from server.model import STORED, SUPPRESSED, AliasRemoval, Erasure, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.removal.erasure import MongoProfileErasure
from server.mongo.writes import bulk
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import alias_digest, profile_id, visitor_id
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied

_NOW = 1_767_323_045_678_000_000
_LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_erasure_test")
    await prepare(database)
    yield database
    client.close()


@pytest.fixture
def erasure(opened: Database) -> MongoProfileErasure:
    return MongoProfileErasure(opened)


@pytest.fixture
def store(opened: Database) -> MongoProfileStore:
    return MongoProfileStore(opened)


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


async def update(store: MongoProfileStore, user: str, **fields: Any) -> Any:
    (outcome,) = await applied(store, [plan_update("app", UserUpdate(user, **fields), _NOW).write])
    return outcome


def erasure_of(user: str, until: datetime | None = None) -> Erasure:
    return Erasure("app", profile_id("app", user), until)


async def stored(opened: Database, _id: str) -> Any:
    return await opened.profiles.find_one({"_id": _id})


async def test_nothing_is_left_of_a_profile_and_its_visitor(
    opened: Database, erasure: MongoProfileErasure, store: MongoProfileStore, user: str
) -> None:
    await store.apply([plan_update("app", UserUpdate(anonymous_id=user, campaign={"utm_source": "s"}), _NOW).write])
    await update(store, user, anonymous_id=user, metadata={"a": 1})
    assert await erasure.erase([erasure_of(user), erasure_of(user)]) in ([True, False], [False, True])
    assert await stored(opened, profile_id("app", user)) is None
    assert await stored(opened, visitor_id("app", user)) is None
    assert await update(store, user, metadata={"b": 1}) is STORED
    assert (await stored(opened, profile_id("app", user)))["metadata"] == {"b": 1}


async def test_a_tombstone_holds_nothing_but_its_period_and_takes_no_update(
    opened: Database, erasure: MongoProfileErasure, store: MongoProfileStore, user: str
) -> None:
    await update(store, user, metadata={"a": 1}, session_token="t")
    assert await erasure.erase([erasure_of(user, _LATER)]) == [True]
    tombstone = await stored(opened, profile_id("app", user))
    assert datetime.now(UTC) - tombstone.pop("suppressed_time") < timedelta(minutes=1)
    assert tombstone == {"_id": profile_id("app", user), "suppressed_until": _LATER}
    tombstone = await stored(opened, profile_id("app", user))
    later: list[dict[str, Any]] = [{}, {"metadata": {"a": {}}}, {"session_token": "t"}, {"metadata": {"a": {"b": 1}}}]
    for fields in later:
        assert await update(store, user, **fields) is SUPPRESSED
        assert await stored(opened, tombstone["_id"]) == tombstone


async def test_each_of_many_updates_has_its_own_outcome(
    erasure: MongoProfileErasure, store: MongoProfileStore, user: str
) -> None:
    await erasure.erase([erasure_of(user, _LATER)])
    large: dict[str, Any] = {"x": "x" * 600_000}
    sent: list[Any] = [
        (user, {}),
        ("kept", {}),
        (user, {"a": 1}),
        (f"{user}-large", large),
        (f"{user}-large", {"y": large["x"]}),
    ]
    outcomes = await store.apply(
        [plan_update("app", UserUpdate(name, metadata=metadata), _NOW).write for name, metadata in sent]
    )
    assert outcomes[:4] == [SUPPRESSED, STORED, SUPPRESSED, STORED]
    assert isinstance(outcomes[4], ProfileTooLarge)


async def test_a_period_is_prolonged_and_never_shortened(
    opened: Database, erasure: MongoProfileErasure, user: str
) -> None:
    await erasure.erase([erasure_of(user, _LATER)])
    start = (await stored(opened, profile_id("app", user)))["suppressed_time"]
    for until, expected in (
        (_LATER, _LATER),
        (_LATER - timedelta(days=1), _LATER),
        (None, _LATER),
        (_LATER + timedelta(days=1), _LATER + timedelta(days=1)),
    ):
        assert await erasure.erase([erasure_of(user, until)]) == [False]
        tombstone = await stored(opened, profile_id("app", user))
        assert (tombstone["suppressed_time"], tombstone["suppressed_until"]) == (start, expected)


async def test_a_user_can_be_stored_again_after_the_suppression_ends(
    opened: Database, erasure: MongoProfileErasure, store: MongoProfileStore, user: str
) -> None:
    await erasure.erase([erasure_of(user, datetime.now(UTC) + timedelta(milliseconds=200))])
    assert await update(store, user) is SUPPRESSED
    for _ in range(400):  # MongoDB does not report when it has deleted expired documents.
        if await stored(opened, profile_id("app", user)) is None:
            break
        await asyncio.sleep(0.05)
    assert await update(store, user) is STORED


@pytest.mark.parametrize("until", [None, _LATER])
async def test_the_visitor_that_the_profile_names_last_is_erased_despite_concurrent_writes(
    opened: Database, erasure: MongoProfileErasure, store: MongoProfileStore, user: str, until: datetime | None
) -> None:
    visitors = [f"{user}-{number}" for number in range(20)]

    async def write() -> None:
        for visitor in visitors:
            await store.apply([plan_update("app", UserUpdate(anonymous_id=visitor), _NOW).write])
            await update(store, user, anonymous_id=visitor)

    async def erase() -> None:
        for _ in range(10):
            await erasure.erase([erasure_of(user, until)])
            profile = await stored(opened, profile_id("app", user))
            named = {visitor for visitor in visitors if await stored(opened, visitor_id("app", visitor))}
            # Of those that are left, each was never named, or is named by a profile that came later.
            assert profile is None or "modified_time" not in profile or profile["anonymous_id"] in visitors
            assert until is None or {*profile} == {"_id", "suppressed_time", "suppressed_until"}
            assert named <= set(visitors)

    await asyncio.gather(write(), erase())
    await erasure.erase([erasure_of(user, until)])
    if until is None:
        assert await stored(opened, visitor_id("app", visitors[-1])) is None


@pytest.mark.parametrize("until", [None, _LATER])
async def test_a_pointer_that_is_stored_during_an_erasure_is_erased_too(
    opened: Database,
    erasure: MongoProfileErasure,
    store: MongoProfileStore,
    user: str,
    until: datetime | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await update(store, user)
    pointer = {"_id": visitor_id("app", user), "pointer": profile_id("app", user)}
    late = iter([pointer])
    read = MongoProfileErasure._pointers_to

    async def read_too_early(self: MongoProfileErasure, users: Iterable[str]) -> Any:
        found = await read(self, users)
        for each in late:
            await opened.profiles.insert_one(each)
        return found

    monkeypatch.setattr(MongoProfileErasure, "_pointers_to", read_too_early)
    assert await erasure.erase([erasure_of(user, until)]) == [True]
    left = await stored(opened, pointer["_id"])
    assert left is None if until is None else "suppressed_until" in left


@contextmanager
def _failing(mongod: EmbeddedMongod, command: str, **data: Any) -> Iterator[None]:
    """MongoDB's own failure injection, for all such commands: the driver retries until its time has expired."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        failure = {"configureFailPoint": "failCommand", "mode": "alwaysOn"}
        client.admin.command(failure | {"data": {"failCommands": [command], "appName": "userfold"} | data})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ({"errorCode": 13}, WriteRejected),
        ({"errorCode": 50}, WriteOutcomeUnknown),
        ({"closeConnection": True}, WriteOutcomeUnknown),
        ({"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}, WriteOutcomeUnknown),
    ],
)
@pytest.mark.parametrize("command", ["update", "delete"])
async def test_an_erasure_that_may_be_incomplete_is_reported(
    mongod: EmbeddedMongod,
    erasure: MongoProfileErasure,
    store: MongoProfileStore,
    user: str,
    command: str,
    failure: dict[str, Any],
    error: type[UserfoldError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for each in (user, f"{user}2"):
        await update(store, each, session_token="t")
    removal = AliasRemoval(profile_id("app", f"{user}2"), alias_digest("app", "t"))
    monkeypatch.setattr(bulk, "WRITE_SECONDS", 0.5)
    with _failing(mongod, command, **failure):
        outcomes: Any = [await erasure.erase([erasure_of(user, _LATER if command == "update" else None)])]
        if command == "update":
            outcomes.append(await erasure.remove_aliases([removal]))
    assert {type(each) for reported in outcomes for each in reported} == {error}


@pytest.mark.parametrize("failure", [{"errorCode": 13}, {"blockConnection": True, "blockTimeMS": 3_000}])
async def test_nothing_is_written_if_the_profiles_cannot_be_read(
    mongod: EmbeddedMongod,
    erasure: MongoProfileErasure,
    store: MongoProfileStore,
    opened: Database,
    user: str,
    failure: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await update(store, user, session_token="t")
    removal = AliasRemoval(profile_id("app", user), alias_digest("app", "t"))
    monkeypatch.setattr("server.mongo.removal.erasure.WRITE_SECONDS", 0.3)
    started = time.monotonic()
    with _failing(mongod, "find", **failure):
        outcomes: Any = [await erasure.erase([erasure_of(user)]), await erasure.remove_aliases([removal])]
        # Within the block: switching the failure off waits for blocked commands.
        assert time.monotonic() - started < 2.9
    assert [type(each) for reported in outcomes for each in reported] == [DatabaseUnavailable] * 2
    document: Any = await opened.get_collection("profiles").find_one({"_id": removal.profile_id})
    assert document["aliases"] == [removal.alias]


async def test_one_alias_is_removed_and_only_from_a_user(
    erasure: MongoProfileErasure, store: MongoProfileStore, user: str
) -> None:
    await update(store, user, session_token="t")
    await erasure.erase([erasure_of(f"{user}-erased", _LATER)])
    outcomes = await erasure.remove_aliases(
        [AliasRemoval(profile_id("app", each), b"x") for each in (user, f"{user}-erased", f"{user}-never")]
    )
    assert outcomes[0] is False
    assert [type(each) for each in outcomes[1:]] == [UserNotFound, UserNotFound]


async def test_no_byte_of_a_removed_alias_is_left(
    erasure: MongoProfileErasure, opened: Database, store: MongoProfileStore, user: str
) -> None:
    for token in ("kept", "t"):
        await update(store, user, session_token=token)
    removal = AliasRemoval(profile_id("app", user), alias_digest("app", "t"))
    assert await erasure.remove_aliases([removal]) == [True]
    document = await stored(opened, removal.profile_id)
    assert document["aliases"] == [alias_digest("app", "kept")]
    assert removal.alias not in bson.encode(document)
