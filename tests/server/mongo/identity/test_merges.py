"""Merges of users in a real MongoDB: concurrent ones, and what follows the pointers."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from server.errors import ProfileTooLarge, UserfoldError, UserNotFound
from server.local.mongod import EmbeddedMongod
from server.model import STORED, SUPPRESSED, AliasRemoval, Erasure, Preview, UserMerge, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.identity.merges import MongoProfileMerges
from server.mongo.identity.pointers import HOPS
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.removal.erasure import MongoProfileErasure
from server.mongo.writes.previews import MongoProfilePreviews
from server.mongo.writes.profiles import MongoProfileStore
from server.query.field_mask import WHOLE
from server.users.ids import alias_digest, profile_id, visitor_id
from server.users.update import plan_update
from tests.server.mongo.writes.store_writes import applied
from tests.support.plans import Commands

_NOW = 1_767_323_045_678_000_000
_LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_merges_test")
    await prepare(database)
    yield database
    client.close()


class Users:
    """The users of one test, by the names that it gives them."""

    def __init__(self, database: Database, name: str) -> None:
        self._name = name
        self.profiles = database.profiles
        self.store = MongoProfileStore(database)
        self.queries = MongoProfileQueries(database)
        self.erasure = MongoProfileErasure(database)
        self.previews = MongoProfilePreviews(database)
        self._merges = MongoProfileMerges(database)

    def id(self, name: str) -> str:
        return profile_id("app", f"{self._name}/{name}")

    async def update(self, name: str, **fields: Any) -> Any:
        (outcome,) = await applied(self.store, [self.write(name, **fields)])
        return outcome

    def write(self, name: str, **fields: Any) -> Any:
        return plan_update("app", UserUpdate(f"{self._name}/{name}" if name else "", **fields), _NOW).write

    async def merge(self, target: str, source: str) -> bool:
        return await self._merges.merge(UserMerge(self.id(source), self.id(target)))

    async def pointers(self) -> dict[str, str]:
        return {each["_id"]: each["pointer"] async for each in self.profiles.find({"pointer": {"$exists": True}})}

    async def read(self, name: str) -> Any:
        fetched = await self.queries.find(self.id(name))
        return None if fetched is None else fetched.profile()


@pytest.fixture
def users(opened: Database, request: pytest.FixtureRequest) -> Users:
    return Users(opened, str(request.node.name))


async def test_two_merges_into_each_other_end_in_one_of_two_results_and_never_in_a_cycle(users: Users) -> None:
    for attempt in range(8):
        one, other = f"one{attempt}", f"other{attempt}"
        for name in (one, other):
            assert await users.update(name, session_token=name) is STORED
        merged = await asyncio.gather(users.merge(one, other), users.merge(other, one))
        assert sorted(merged) == [False, True]
        target, source = (one, other) if merged[0] else (other, one)
        assert (await users.pointers())[users.id(source)] == users.id(target)
        for name in (one, other):
            assert (await users.read(name)).alias_count == 2


async def test_documents_are_changed_by_the_last_command_before_the_commit(
    mongod: EmbeddedMongod, users: Users
) -> None:
    await users.update("a", session_token="t")
    await users.update("b", session_token="u")
    commands = Commands()
    client = connect(mongod.uri, event_listeners=[commands])
    merges = MongoProfileMerges(open_database(client, "userfold_merges_test"))
    assert await merges.merge(UserMerge(users.id("b"), users.id("a")))
    # The last one shortens ways of pointers, after the transaction.
    assert commands.names == ["find", "find", "update", "commitTransaction", "update"]
    client.close()


async def test_merges_in_a_ring_leave_one_user(users: Users) -> None:
    names = [f"n{number}" for number in range(5)]
    for name in names:
        await users.update(name, metadata={name: 1})
    await asyncio.gather(*(users.merge(one, other) for one, other in zip(names, names[1:] + names[:1], strict=True)))
    read = [await users.read(name) for name in names]
    assert len({each.user_id for each in read}) == 1
    assert read[0].metadata.keys() == {*names}
    assert len(read[0].merged_user_ids) == 4


async def test_a_user_who_was_merged_many_times_is_still_found_by_the_first_id(users: Users) -> None:
    names = [f"n{number}" for number in range(HOPS + 3)]
    for name in names:
        await users.update(name, metadata={name: 1})
    for one, other in itertools.pairwise(names):
        assert await users.merge(other, one)
    assert await users.update(names[0], metadata={"last": 1}) is STORED
    assert (await users.read(names[0])).metadata.keys() == {*names, "last"}


async def test_every_read_and_write_of_a_merged_user_is_of_the_other_one(users: Users) -> None:
    await users.update("a", metadata={"a": 1})
    await users.update("b", session_token="t", anonymous_id=users.id("b")[-9:])
    assert await users.merge("a", "b") is True
    assert await users.merge("a", "b") is False
    assert await users.update("b", metadata={"b": {"x": {}}}, session_token="u") is STORED
    profile = await users.read("b")
    assert (profile.metadata, profile.alias_count) == ({"a": 1, "b": {"x": {}}}, 2)
    many = await users.queries.find_many([users.id("b"), users.id("a"), users.id("c")], WHOLE)
    shown = [None if isinstance(each, UserfoldError) else each.profile() for each in many]
    assert shown == [profile, profile, None]
    # A conditional update, and a dry run.
    assert await users.update("b", etag=profile.etag, company_id="c") is STORED
    previews = [each async for each in users.previews.preview([users.write("b", company_id="d")])]
    assert isinstance(previews[0], Preview)
    assert (previews[0].after.profile().company_id, previews[0].after.profile().user_id) == ("d", profile.user_id)
    removal = AliasRemoval(users.id("b"), alias_digest("app", "t"))
    assert await users.erasure.remove_aliases([removal, removal]) == [True, False]
    (exported,) = await users.queries.export("app", [users.id("b")])
    assert not isinstance(exported, UserfoldError)
    assert exported.stored_user().profile.user_id == profile.user_id


@pytest.mark.parametrize("suppresses", [False, True])
async def test_an_erasure_by_a_merged_id_erases_all_that_leads_to_the_user(users: Users, suppresses: bool) -> None:
    browser = users.id("browser")[-9:]
    for name in ("a", "b", "c"):
        await users.update(name, session_token=name)
    await users.update("c", anonymous_id=browser)
    await users.merge("b", "c")
    await users.merge("a", "b")
    until = _LATER if suppresses else None
    (would,) = await users.erasure.preview([Erasure("app", users.id("c"), until)])
    assert (would.is_stored, would.aliases, would.visitors, would.pointers) == (True, 3, 0, 3)
    assert await users.erasure.erase([Erasure("app", users.id("c"), until)]) == [True]
    ids = [*map(users.id, "abc"), visitor_id("app", browser)]
    left = [each async for each in users.profiles.find({"_id": {"$in": ids}})]
    assert [set(each) for each in left] == [{"_id", "suppressed_time", "suppressed_until"}] * (4 if suppresses else 0)
    expected = SUPPRESSED if suppresses else STORED
    assert [await users.update(name) for name in "abc"] == [expected] * 3
    assert await users.update("", anonymous_id=browser) is expected


async def test_what_cannot_be_merged_stays_as_it_is(users: Users) -> None:
    text = "x" * 600_000
    await users.update("a", metadata={"a": text})
    await users.update("b", metadata={"b": text})
    await users.erasure.erase([Erasure("app", users.id("erased"), _LATER)])
    for source, error in (("b", ProfileTooLarge), ("nobody", UserNotFound), ("erased", UserNotFound)):
        with pytest.raises(error):
            await users.merge("a", source)
    with pytest.raises(UserNotFound):
        await users.merge("nobody", "a")
    assert [(await users.read(name)).metadata.keys() for name in "ab"] == [{"a"}, {"b"}]
