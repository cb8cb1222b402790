"""Suppressions in a real MongoDB: listed page by page with the index, and lifted."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
import pytest_asyncio

from server.errors import DatabaseUnavailable, WriteOutcomeUnknown
from server.local.mongod import EmbeddedMongod
from server.model import Erasure, Suppression, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.removal.erasure import MongoProfileErasure
from server.mongo.removal.suppressions import MongoSuppressions
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import profile_id
from server.users.removal.suppressions import SuppressionPage
from server.users.update import plan_update

_NOW = 1_767_323_045_678_000_000
_LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_suppressions_test")
    await prepare(database)
    yield database
    client.close()


@pytest.fixture
def suppressions(opened: Database) -> MongoSuppressions:
    return MongoSuppressions(opened)


async def suppress(opened: Database, application_id: str, *users: str, until: datetime = _LATER) -> list[str]:
    """Suppress users. Returns their digests in order."""
    ids = [profile_id(application_id, user) for user in users]
    await MongoProfileErasure(opened).erase([Erasure(application_id, key, until) for key in ids])
    return sorted(key.rpartition("/")[2] for key in ids)


async def test_a_list_has_the_suppressions_of_its_application_alone(
    opened: Database, suppressions: MongoSuppressions
) -> None:
    writes = [plan_update("listed", UserUpdate(user_id), _NOW).write for user_id in ("kept", "a")]
    await MongoProfileStore(opened).apply(writes)
    digests = await suppress(opened, "listed", "a", "b", "c")
    # The ids of applications around it in the order of the index.
    for other in ("liste", "listed0", "listee"):
        await suppress(opened, other, "a")
    first, has_more = await suppressions.list_page(SuppressionPage("listed", 2))
    assert ([each.user_id_digest for each in first], has_more) == (digests[:2], True)
    assert all(each.end_time == _LATER for each in first)
    assert all(each.start_time and datetime.now(UTC) - each.start_time < timedelta(minutes=1) for each in first)
    rest, has_more = await suppressions.list_page(SuppressionPage("listed", 2, after=digests[1]))
    assert ([each.user_id_digest for each in rest], has_more) == (digests[2:], False)


async def test_one_user_is_found_by_the_id(opened: Database, suppressions: MongoSuppressions) -> None:
    (digest,) = await suppress(opened, "one", "a")
    for user, expected in (("a", [digest]), ("b", [])):
        page = SuppressionPage("one", 10, profile_id=profile_id("one", user))
        found, has_more = await suppressions.list_page(page)
        assert ([each.user_id_digest for each in found], has_more) == (expected, False)


async def test_a_suppression_of_an_earlier_version_has_no_start_and_one_that_has_ended_is_left_out(
    opened: Database, suppressions: MongoSuppressions
) -> None:
    # So long ago that MongoDB may delete it at any time.
    await suppress(opened, "ends", "past", until=datetime.now(UTC) - timedelta(seconds=1))
    await opened.profiles.insert_one({"_id": profile_id("ends", "old"), "suppressed_until": _LATER})
    found, _ = await suppressions.list_page(SuppressionPage("ends", 10))
    assert found == [Suppression(profile_id("ends", "old").rpartition("/")[2], None, _LATER)]


async def test_a_page_reads_no_more_than_its_suppressions(opened: Database, suppressions: MongoSuppressions) -> None:
    users = [f"u{number}" for number in range(300)]
    await MongoProfileStore(opened).apply([plan_update("read", UserUpdate(user), _NOW).write for user in users])
    await suppress(opened, "read", *users[:40])
    await suppress(opened, "reae", *users[:40])
    await opened.command("profile", 2)
    try:
        await suppressions.list_page(SuppressionPage("read", 10))
    finally:
        await opened.command("profile", 0)
    query: Any = await opened.get_collection("system.profile").find_one({"command.find": "profiles"})
    assert (query["docsExamined"], query["keysExamined"]) == (11, 11)


async def test_a_user_whose_suppression_is_lifted_can_be_stored_again(
    opened: Database, suppressions: MongoSuppressions
) -> None:
    await suppress(opened, "lifted", "a", "b")
    assert [await suppressions.lift(profile_id("lifted", "a")) for _ in range(2)] == [True, False]
    await MongoProfileStore(opened).apply([plan_update("lifted", UserUpdate("a"), _NOW).write])
    assert await suppressions.lift(profile_id("lifted", "a")) is False
    assert (await opened.profiles.find_one({"_id": profile_id("lifted", "a")}) or {})["user_id"] == "a"
    assert len((await suppressions.list_page(SuppressionPage("lifted", 10)))[0]) == 1


async def test_a_database_that_does_not_answer() -> None:
    client = connect("mongodb://127.0.0.1:1/")
    suppressions = MongoSuppressions(open_database(client, "userfold_suppressions_test"))
    # Else each would wait for as long as in production.
    with pymongo.timeout(0.1), pytest.raises(DatabaseUnavailable):
        await suppressions.list_page(SuppressionPage("app", 10))
    with pymongo.timeout(0.1):
        assert isinstance(await suppressions.lift("app/u/0"), WriteOutcomeUnknown)
    client.close()
