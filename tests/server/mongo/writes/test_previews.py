"""Dry runs on a real mongod: what it computes is what it would store."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from server.errors import DatabaseUnavailable, EtagMismatch, ProfileTooLarge, UserfoldError
from server.local.mongod import EmbeddedMongod
from server.model import STORED, SUPPRESSED, Preview, Profile, ProfileWrite, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.writes import previews
from server.mongo.writes.previews import MongoProfilePreviews
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import profile_id
from server.users.ports import Previewed
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied

_NOW = 1_767_323_045_000_000_000


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_previews_test")
    await prepare(database)
    yield database
    client.close()


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def _write(user: str, **fields: Any) -> ProfileWrite:
    return plan_update("app", UserUpdate(user, **fields), _NOW).write


async def _previews(opened: Database, writes: Sequence[ProfileWrite]) -> list[Previewed]:
    return [each async for each in MongoProfilePreviews(opened).preview(writes)]


async def _profile(opened: Database, user: str) -> Profile:
    fetched = await MongoProfileQueries(opened).find(profile_id("app", user))
    assert fetched is not None
    return fetched.profile()


def _after(previewed: Previewed) -> Profile:
    assert isinstance(previewed, Preview)
    return _without_etag(previewed.after.profile())


def _without_etag(profile: Profile) -> Profile:
    """The order of the keys may differ, as updates on dot-paths sort new ones."""
    return replace(profile, etag=None)


def _kinds(previewed: Sequence[Previewed]) -> list[type[object]]:
    return [type(each) for each in previewed]


@pytest.mark.parametrize("command_bytes", [previews._COMMAND_BYTES, 1])
async def test_each_write_is_computed_on_those_before_it(
    opened: Database, user: str, command_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "_COMMAND_BYTES", command_bytes)
    store = MongoProfileStore(opened)
    await applied(store, [_write(f"{user}/0", metadata={"kept": [1], "a.b": {"$c": 1}})])

    def writes() -> list[ProfileWrite]:
        return [
            _write(
                f"{user}/{number * number % 7}",
                session_token=str(number % 5),
                campaign={"gclid": str(number)},
                metadata={"a.b": {str(number % 3): number, "": None}, "e": {} if number % 2 else "$e"},
            )
            for number in range(60)
        ]

    before = await opened.profiles.count_documents({})
    previewed = await _previews(opened, writes())
    assert await opened.profiles.count_documents({}) == before
    expected: Mapping[str, Profile] = {}
    for write, each in zip(writes(), previewed, strict=True):
        assert isinstance(each, Preview)
        stored = expected.get(write.profile_id)
        if stored is not None:
            assert each.before is not None
            assert _without_etag(each.before.profile()) == stored
        assert await applied(store, [write]) == [STORED]
        name = _after(each).user_id
        expected = {**expected, write.profile_id: _without_etag(await _profile(opened, name))}
        assert _after(each) == expected[write.profile_id]


async def test_what_is_refused_changes_nothing_of_what_follows(opened: Database, user: str) -> None:
    await applied(MongoProfileStore(opened), [_write(user, metadata={"a": "x" * 600_000})])
    await opened.profiles.insert_one({"_id": profile_id("app", f"{user}/gone"), "suppressed_until": None})
    etag = (await _profile(opened, user)).etag
    previewed = await _previews(
        opened,
        [
            _write(user, metadata={"b": "x" * 600_000}),
            _write(user, etag=etag, metadata={"c": 1}),
            _write(user, etag=etag, metadata={"c": 2}),
            _write(f"{user}/gone", etag="any"),
            _write(f"{user}/never", etag="any"),
        ],
    )
    assert _kinds(previewed) == [ProfileTooLarge, Preview, EtagMismatch, type(SUPPRESSED), EtagMismatch]
    metadata = _after(previewed[1]).metadata
    assert metadata is not None
    assert metadata.keys() == {"a", "c"}
    assert metadata["c"] == 1


async def test_a_command_that_is_too_large_is_sent_in_parts(
    opened: Database, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "_COMMAND_BYTES", 10**9)
    writes = [_write(f"{user}/{number}", metadata={"a": "x" * 1_000_000}) for number in range(17)]
    previewed = await _previews(opened, writes)
    assert _kinds(previewed) == [Preview] * 17


async def test_an_unreachable_database_is_an_error_of_the_call(user: str) -> None:
    client = connect("mongodb://127.0.0.1:9/?directConnection=true&serverSelectionTimeoutMS=50")
    with pytest.raises(DatabaseUnavailable):
        await _previews(open_database(client, "x"), [_write(user)])
    client.close()


async def test_values_count_where_a_profile_grows(opened: Database, user: str) -> None:
    await applied(MongoProfileStore(opened), [_write(user)])
    dense = {f"k{number}": [None] * 10_000 for number in range(6)}
    await opened.profiles.update_one({"_id": profile_id("app", user)}, {"$set": {"metadata": dense}})
    previewed = await _previews(
        opened, [_write(user, metadata={"k0": [1] * 9_000}), _write(user, metadata={"new": [0] * 2_000})]
    )
    assert _kinds(previewed) == [Preview, ProfileTooLarge]
    assert not any(isinstance(each, UserfoldError) for each in previewed[:1])
