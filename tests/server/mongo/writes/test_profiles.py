"""The store on a real mongod, its failures included."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.synchronous.bulk import _Bulk

from server.errors import DatabaseUnavailable, ProfileTooLarge, WriteOutcomeUnknown, WriteRejected
from server.local.mongod import EmbeddedMongod
from server.merge.times import stored_time
from server.model import STORED, Profile, ProfileWrite, Stored, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.writes import bulk, profiles
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import profile_id
from server.users.ports import AGAIN
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied

_NOW = 1_767_323_045_000_000_000
_ALWAYS = -1


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_store_test")
    await prepare(database)
    await prepare(database)
    yield database
    client.close()


@pytest.fixture(scope="module")
def store(opened: Database) -> MongoProfileStore:
    return MongoProfileStore(opened)


@pytest.fixture(scope="module")
def queries(opened: Database) -> MongoProfileQueries:
    return MongoProfileQueries(opened)


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def _write(user_id: str, **fields: Any) -> ProfileWrite:
    return plan_update("app", UserUpdate(user_id=user_id, **fields), _NOW).write


async def _metadata(queries: MongoProfileQueries, user_id: str) -> dict[str, Any] | None:
    fetched = await queries.find(profile_id("app", user_id))
    return None if fetched is None else fetched.profile().metadata


def _kinds(outcomes: Any) -> list[type[object]]:
    return [type(outcome) for outcome in outcomes]


@contextmanager
def _failing(mongod: EmbeddedMongod, times: int, **data: Any) -> Iterator[None]:
    """MongoDB's own failure injection, for the next `times` update commands of any client."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        failure = {"configureFailPoint": "failCommand", "mode": "alwaysOn" if times == _ALWAYS else {"times": times}}
        client.admin.command(failure | {"data": {"failCommands": ["update"], "appName": "userfold"} | data})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def test_a_path_that_meets_a_scalar_is_redone_exactly_and_its_neighbours_are_untouched(
    store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    await applied(store, [_write(user, metadata={"a": "text", "b": 1})])
    outcomes = await applied(
        store, [_write(user, metadata={"a": {"deep": {"er": 1}}}), _write(f"{user}2", metadata={"x": 1})]
    )
    assert outcomes == [STORED, STORED]
    assert await _metadata(queries, user) == {"a": {"deep": {"er": 1}}, "b": 1}
    assert await _metadata(queries, f"{user}2") == {"x": 1}


async def test_updates_of_one_user_in_one_batch_are_applied_in_order(
    store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    updates: list[dict[str, Any]] = [{"a": {"b": 1}}, {"a": 5}, {"a": {"c": 2}}, {"z": None}, {"a": {"c": None}}]
    assert await applied(store, [_write(user, metadata=metadata) for metadata in updates]) == [STORED] * 5
    assert await _metadata(queries, user) == {"a": {}}


async def test_a_profile_that_grows_too_large_is_refused_alone_and_keeps_what_it_was(
    store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    outcomes = await applied(
        store,
        [
            _write(user, metadata={"a": "x" * 600_000}),
            _write(f"{user}2", metadata={"b": 1}),
            _write(user, metadata={"b": "x" * 600_000}),
            _write(user, metadata={"c": 1}),
        ],
    )
    assert _kinds(outcomes) == [Stored, Stored, ProfileTooLarge, Stored]
    assert await _metadata(queries, user) == {"a": "x" * 600_000, "c": 1}


async def _first_campaign(queries: MongoProfileQueries, user_id: str) -> Any:
    fetched = await queries.find(profile_id("app", user_id))
    assert fetched is not None
    return fetched.profile().initial_campaign


async def test_the_first_campaign_is_kept_whether_its_user_is_new_or_not(
    store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    one, two, three = ({"gclid": each} for each in ("1", "2", "3"))
    known = f"{user}2"
    await applied(store, [_write(user, campaign=one), _write(known, metadata={"a": 1})])
    assert await applied(store, [_write(known, campaign=one), _write(user, campaign=two)]) == [STORED, STORED]
    # In one group, the first of one profile comes before the others.
    writes = [_write(known, clear_fields=["initial_campaign"]), _write(known, campaign=two), _write(user)]
    assert await _first_campaign(queries, known) == one
    assert await applied(store, [*writes, _write(known, campaign=three)]) == [STORED] * 4
    assert (await _first_campaign(queries, user), await _first_campaign(queries, known)) == (one, two)
    await applied(store, [_write(known, clear_fields=["initial_campaign"])])
    assert await _first_campaign(queries, known) is None
    assert await applied(store, [_write(known, campaign=three), _write(known, campaign=one)]) == [STORED, STORED]
    assert await _first_campaign(queries, known) == three


async def test_two_servers_store_one_first_campaign_of_a_user_who_is_there(
    opened: Database, store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    await applied(store, [_write(user)])
    writes = [_write(user, campaign={"gclid": each}) for each in ("1", "2")]
    # Both are refused before either is applied.
    assert [
        await each.apply([write]) for each, write in zip((store, MongoProfileStore(opened)), writes, strict=True)
    ] == [
        [AGAIN],
        [AGAIN],
    ]
    assert await applied(store, [writes[1]]) == await applied(MongoProfileStore(opened), [writes[0]]) == [STORED]
    assert await _first_campaign(queries, user) == {"gclid": "2"}
    stored = await opened.profiles.find_one({"_id": profile_id("app", user)})
    assert stored is not None
    assert len(stored["initial_campaign"]) == 2


async def test_one_update_beyond_the_size_of_a_profile_is_refused(
    store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    outcomes = await applied(store, [_write(user, metadata={"a": {}, "b": "x" * (1 << 20)})])
    assert _kinds(outcomes) == [ProfileTooLarge]
    assert await _metadata(queries, user) is None


async def test_a_profile_that_is_known_to_be_full_takes_a_new_token_in_one_write(
    opened: Database, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[int] = []

    async def counted(collection: Any, operations: Any) -> Any:
        commands.append(len(operations))
        return await bulk.write_in_bulk(collection, operations)

    monkeypatch.setattr(profiles, "write_in_bulk", counted)
    store = MongoProfileStore(opened)
    await applied(store, [_write(user, session_token=f"token {number}") for number in range(1000)])

    async def commands_for(token: str) -> int:
        commands.clear()
        assert await applied(store, [_write(user, session_token=token)]) == [STORED]
        return sum(commands)

    assert await commands_for("token 999") == 1
    assert await commands_for("new") == 2
    assert await commands_for("newer") == 1
    assert await commands_for("newest") == 1
    # A token that the profile has needs no exact write, as soon as that is known.
    repeated = _write(user, session_token="newest")
    assert await store.apply([repeated]) == [STORED]
    assert not repeated.exact
    document = await opened.profiles.find_one({"_id": profile_id("app", user)})
    assert document is not None
    assert document["aliases"] == [
        _write(user, session_token=token).aliases[0]
        for token in [*(f"token {number}" for number in range(3, 1000)), "new", "newer", "newest"]
    ]


async def test_the_alias_set_keeps_the_latest_thousand(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str
) -> None:
    tokens = [f"token-{number}" for number in range(1003)]
    for start in range(0, 1003, 250):
        assert set(await applied(store, [_write(user, session_token=token) for token in tokens[start:][:250]])) == {
            STORED
        }
    assert await applied(store, [_write(user, session_token=tokens[500])]) == [STORED]
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        document = client.userfold_store_test.profiles.find_one({"_id": profile_id("app", user)})
    assert document is not None
    last = [*tokens[3:500], *tokens[501:], tokens[500]]
    assert document["aliases"] == [_write(user, session_token=token).aliases[0] for token in last]


async def test_only_a_token_that_is_not_the_last_is_moved_by_an_exact_write(
    store: MongoProfileStore, opened: Database, user: str
) -> None:
    def write(token: str, now: int) -> ProfileWrite:
        return plan_update("app", UserUpdate(user_id=user, session_token=token), now).write

    async def aliases() -> list[bytes]:
        stored = await opened.profiles.find_one({"_id": profile_id("app", user)})
        assert stored is not None
        found: list[bytes] = stored["aliases"]
        return found

    one, two, three = (write(token, _NOW).aliases[0] for token in ("one", "two", "three"))
    # All at the same millisecond, and then later.
    for now in (_NOW, _NOW + 5_000_000):
        for token, expected, is_moved in (
            ("one", [one], False),
            ("one", [one], False),
            ("two", [one, two], False),
            ("two", [one, two], False),
            ("one", [two, one], True),
            ("one", [two, one], False),
        ):
            sent = write(token, now)
            (outcome,) = await store.apply([sent])
            assert (outcome is AGAIN) == sent.exact == is_moved
            if is_moved:
                # Nothing is written before.
                assert await aliases() == [*reversed(expected)]
                assert await store.apply([sent]) == [STORED]
            assert await aliases() == expected
        # Several at once are in the order in which they were sent last.
        batch = [write(token, now) for token in ("one", "three", "one", "two", "three")]
        assert await applied(store, batch) == [STORED] * 5
        assert await aliases() == [one, two, three]
        await opened.profiles.delete_one({"_id": profile_id("app", user)})


async def test_an_older_server_adds_and_removes_aliases_of_any_order(
    store: MongoProfileStore, opened: Database, user: str
) -> None:
    key = {"_id": profile_id("app", user)}
    batch = [_write(user, session_token=token) for token in ("one", "two")]
    assert await applied(store, batch) == [STORED] * 2
    one, two = (write.aliases[0] for write in batch)
    # It removes one that this server has just written.
    await opened.profiles.update_one(key, {"$pull": {"aliases": two}})
    # It adds one, at a later time, and it adds one that is there already, which it does not move.
    for alias in (b"new", one):
        later, _ = stored_time(_NOW + 1_000_000)
        change = {"$set": {"modified_time": later, "stored_time": later}, "$addToSet": {"aliases": alias}}
        await opened.profiles.update_one(key, change)
    stored = await opened.profiles.find_one(key) or {}
    assert stored["aliases"] == [one, b"new"]
    assert await applied(store, [_write(user, session_token="one")]) == [STORED]
    stored = await opened.profiles.find_one(key) or {}
    assert stored["aliases"] == [b"new", one]


async def test_more_new_tokens_than_the_set_holds_keep_the_last(
    store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    tokens = [_write(user, session_token=f"token-{number}") for number in range(1500)]
    assert set(await applied(store, tokens)) == {STORED}
    fetched = await queries.find(profile_id("app", user))
    assert fetched is not None
    assert fetched.profile().alias_count == 1000


async def test_racing_first_writes_of_one_user_all_arrive(
    store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    outcomes = await asyncio.gather(*(applied(store, [_write(user, metadata={f"k{n}": n})]) for n in range(64)))
    assert outcomes == [[STORED]] * 64
    assert await _metadata(queries, user) == {f"k{n}": n for n in range(64)}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("code", [64, 79])
async def test_a_write_that_the_majority_did_not_confirm_is_of_unknown_outcome(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str, count: int, code: int
) -> None:
    with _failing(mongod, 1, writeConcernError={"code": code, "errmsg": "not confirmed"}):
        outcomes = await applied(store, [_write(f"{user}{number}", metadata={"a": 1}) for number in range(count)])
    assert _kinds(outcomes) == [WriteOutcomeUnknown] * count


async def test_write_errors_and_write_concern_errors_have_different_outcomes(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str
) -> None:
    large = _write(user, metadata={"b": {}, "a": "x" * (1 << 20)})
    with _failing(mongod, 1, writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"}):
        outcomes = await applied(store, [large, _write(f"{user}2", metadata={"a": 1})])
    assert _kinds(outcomes) == [ProfileTooLarge, WriteOutcomeUnknown]
    with _failing(mongod, 1, writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"}):
        assert _kinds(await applied(store, [large])) == [ProfileTooLarge]


async def test_a_lone_write_is_retried_as_one_and_not_in_a_bulk(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Bulk, "execute", None)
    with _failing(mongod, 1, closeConnection=True):
        assert await applied(store, [_write(user, metadata={"a": 1})]) == [STORED]


@pytest.mark.parametrize("code", [50, 64, 262, 11602, 14031])
async def test_a_command_that_ran_out_of_time_or_room_or_lost_its_primary_is_of_unknown_outcome(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "WRITE_SECONDS", 0.5)
    with _failing(mongod, _ALWAYS, errorCode=code):
        assert _kinds(await applied(store, [_write(user, metadata={"a": 1})])) == [WriteOutcomeUnknown]


@pytest.mark.parametrize("failure", [{"closeConnection": True}, {"errorCode": 10107}, {"errorCode": 189}])
async def test_a_write_that_an_election_makes_fail_is_retried_within_its_time(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str, failure: dict[str, Any]
) -> None:
    with _failing(mongod, 3, **failure):
        assert await applied(store, [_write(user, metadata={"a": 1})]) == [STORED]


async def test_connections_that_are_lost_again_leave_the_outcome_unknown_for_all_that_follows(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "WRITE_SECONDS", 0.5)
    big = {f"k{n}": n for n in range(900)}
    with _failing(mongod, _ALWAYS, closeConnection=True):
        outcomes = await applied(store, [_write(user, metadata=big), _write(user, metadata=big), _write(user)])
    assert _kinds(outcomes) == [WriteOutcomeUnknown] * 3


async def test_an_unknown_error_is_a_defect_with_its_code(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str
) -> None:
    with _failing(mongod, 1, errorCode=13):
        (outcome,) = await applied(store, [_write(user, metadata={"a": 1})])
    assert isinstance(outcome, WriteRejected)
    assert outcome.code == 13


async def test_a_duplicate_key_is_tried_again(store: MongoProfileStore, mongod: EmbeddedMongod, user: str) -> None:
    # A unique index of an operator's own is the way to have one on purpose.
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        profiles = client.userfold_store_test.profiles
        profiles.create_index("metadata.unique", unique=True, sparse=True)
        try:
            await applied(store, [_write(f"{user}2", metadata={"unique": 1})])
            outcomes = await applied(
                store, [_write(user, metadata={"unique": 1}), _write(f"{user}3", metadata={"a": 1})]
            )
        finally:
            profiles.drop_index("metadata.unique_1")
    assert _kinds(outcomes) == [WriteOutcomeUnknown, Stored]


async def test_an_unreachable_database_is_reported_as_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "WRITE_SECONDS", 0.05)
    client = connect("mongodb://127.0.0.1:9/?directConnection=true")
    store = MongoProfileStore(open_database(client, "x"))
    assert _kinds(await applied(store, [_write("u")])) == [WriteOutcomeUnknown]
    client.close()


async def test_a_write_that_was_refused_for_an_unknown_reason_may_be_sent_again(
    store: MongoProfileStore, mongod: EmbeddedMongod, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "READ_SECONDS", 0.5)
    large = _write(user, metadata={"a": "x" * (1 << 20)})
    assert _kinds(await applied(store, [large])) == [ProfileTooLarge]
    for failure in ({"errorCode": 91}, {"blockConnection": True, "blockTimeMS": 2_000}):
        with _failing(mongod, _ALWAYS, failCommands=["find"], **failure):
            assert _kinds(await applied(store, [large])) == [DatabaseUnavailable]


async def test_a_write_that_turns_exact_is_handed_back_with_all_later_ones_of_its_profile(
    store: MongoProfileStore, queries: MongoProfileQueries, user: str
) -> None:
    assert await store.apply([_write(user, metadata={"a": "text"})]) == [STORED]
    writes = [_write(user, metadata={"a": {"b": 1}}), _write(f"{user}2"), _write(user, metadata={"a": {"b": 2}})]
    assert await store.apply(writes) == [AGAIN, STORED, AGAIN]
    assert [write.exact for write in writes] == [True, False, True]
    assert await _metadata(queries, user) == {"a": "text"}
    assert await store.apply(writes) == [STORED] * 3
    assert await _metadata(queries, user) == {"a": {"b": 2}}


async def test_a_profile_of_version_0_1_is_read_and_written_as_it_is(
    store: MongoProfileStore, queries: MongoProfileQueries, opened: Database, user: str
) -> None:
    key = {"_id": profile_id("app", user)}
    time = datetime(2026, 1, 1, tzinfo=UTC)
    stored = {"application_id": "app", "user_id": user, "created_time": time, "modified_time": time}
    stored |= {"modified_nanos": 0, "observed_ip_address": "192.0.2.1", "campaign": {"gclid": "g"}}
    await opened.profiles.insert_one(key | stored | {"initial_campaign": [{"gclid": "g"}], "values": 3})

    async def read() -> Profile:
        fetched = await queries.find(key["_id"])
        assert fetched is not None
        return fetched.profile()

    profile = await read()
    assert (profile.stored_time, profile.ip_address, profile.observed_ip_address) == (None, "192.0.2.1", "192.0.2.1")
    recounted = _write(user, clear_fields=["campaign", "observed_ip_address"])
    recounted.recount = True
    assert await store.apply([recounted]) == [STORED]
    profile = await read()
    assert profile.stored_time == stored_time(_NOW)[0]
    assert (profile.campaign, profile.observed_ip_address, profile.initial_campaign) == (None, None, {"gclid": "g"})


async def test_a_recount_sees_each_write_that_came_between(
    store: MongoProfileStore, queries: MongoProfileQueries, opened: Database, user: str
) -> None:
    # It sets the same `modified_time`, and happens to add nothing to the upper bound of values.
    await applied(store, [_write(user, modified_time=1, metadata={"a": 1})])
    document = await opened.profiles.find_one({"_id": profile_id("app", user)})
    other = plan_update("app", UserUpdate(user, modified_time=1, metadata={"a": [0] * 9}), _NOW + 1_000_000).write
    other.values = 0
    assert await store.apply([other]) == [STORED]
    late = _write(user, metadata={"b": 1})
    assert document is not None
    assert await store._recount._write(late, document) is None
    assert await _metadata(queries, user) == {"a": [0] * 9}
