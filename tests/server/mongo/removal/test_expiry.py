"""Visitors without updates expire, users and pointers never do, and no update that was acknowledged is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from server import metrics
from server.accounts.credentials import generate_application_id
from server.local.mongod import EmbeddedMongod
from server.model import STORED, UserUpdate
from server.mongo.client import BY_VISITOR, INDEXES, LEASES, Database, connect, open_database, prepare
from server.mongo.removal import expiry as module
from server.mongo.removal.expiry import LEASE_MS, PASS_SECONDS, VisitorExpiry
from server.mongo.writes.bulk import write_in_bulk
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import profile_id, visitor_id
from server.users.update import plan_update

_DAY = 24 * 3600 * 10**9
_START = 1_767_323_045_678_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_expiry_test")
    await prepare(database)
    yield database
    client.close()


class Visitors:
    """The visitors of one application, and servers that expire them: after 10 days, two at a time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.profiles = database.get_collection("profiles")
        self.application_id = generate_application_id()
        self.day = 0.0

    def now(self) -> int:
        """The time, in nanoseconds."""
        return _START + int(self.day * _DAY)

    def expiry(self, days: int = 10, slice_size: int = 2) -> VisitorExpiry:
        """What a server has, whose clock shows the `day`."""
        return VisitorExpiry(self.database, days, self.now, slice_size)

    async def update(self, *updates: UserUpdate) -> None:
        """Store updates on the `day`."""
        writes = [plan_update(self.application_id, update, self.now()).write for update in updates]
        assert set(await MongoProfileStore(self.database).apply(writes)) == {STORED}

    async def visit(self, *anonymous_ids: str) -> None:
        await self.update(*(UserUpdate(anonymous_id=each) for each in anonymous_ids))

    async def left(self) -> Sequence[str]:
        """The visitors that are stored."""
        own = {"application_id": self.application_id, "user_id": None}
        return sorted([each["anonymous_id"] async for each in self.profiles.find(own)])

    def id(self, anonymous_id: str) -> str:
        return visitor_id(self.application_id, anonymous_id)


@pytest_asyncio.fixture(loop_scope="session")
async def visitors(opened: Database) -> Visitors:
    await opened.get_collection(LEASES).delete_many({})
    await opened.get_collection("profiles").delete_many({})
    return Visitors(opened)


async def test_visitors_without_updates_for_the_period_expire(visitors: Visitors) -> None:
    before = metrics.EXPIRED_VISITORS._value.get()
    other = Visitors(visitors.database)
    for each in (visitors, other):
        await each.visit("a", "b", "c", "d", "e")
        each.day = 5
        await each.visit("b", "d")
        each.day = 9
        await each.visit("new")
        each.day = 10
    # To the day, they are kept.
    await visitors.expiry().expire()
    assert await visitors.left() == ["a", "b", "c", "d", "e", "new"]
    visitors.day = 11
    await visitors.expiry().expire()
    assert await visitors.left() == await other.left() == ["b", "d", "new"]
    assert metrics.EXPIRED_VISITORS._value.get() - before == 6
    # So are those who were updated later than they came.
    visitors.day = 15
    await visitors.expiry().expire()
    assert await visitors.left() == await other.left() == ["b", "d", "new"]


async def test_users_pointers_and_suppressions_never_expire(visitors: Visitors) -> None:
    await visitors.update(UserUpdate("u"), UserUpdate("v"))
    old = datetime(2000, 1, 1, tzinfo=UTC)
    absorbed = {"created_time": old, "stored_time": old, "anonymous_id": "a"}
    kept: Sequence[dict[str, Any]] = [
        {"_id": visitors.id("a"), "pointer": profile_id(visitors.application_id, "v"), "absorbed": absorbed},
        {"_id": visitors.id("b"), "pointer": profile_id(visitors.application_id, "v")},
        {"_id": profile_id(visitors.application_id, "w"), "suppressed_until": datetime(2100, 1, 1, tzinfo=UTC)},
    ]
    await visitors.profiles.insert_many(kept)
    before = await visitors.profiles.find().sort("_id", 1).to_list(None)
    visitors.day = 36_500
    await visitors.expiry().expire()
    assert await visitors.profiles.find().sort("_id", 1).to_list(None) == before


async def test_a_visitor_whom_version_0_1_stored_is_kept_for_a_period_from_the_first_pass_on(
    visitors: Visitors,
) -> None:
    await visitors.visit("old", "updated")
    # The last update of that version is long ago, or was a moment ago: it stored no time.
    await visitors.profiles.update_many({}, {"$unset": {"stored_time": ""}})
    visitors.day = 100
    await visitors.expiry().expire()
    assert await visitors.left() == ["old", "updated"]
    visitors.day = 109
    await visitors.visit("updated")
    visitors.day = 111
    await visitors.expiry().expire()
    assert await visitors.left() == ["updated"]


async def test_an_update_between_the_read_and_the_deletion_is_kept(
    visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    await visitors.visit("a", "b", "old")
    await visitors.profiles.update_one({"_id": visitors.id("old")}, {"$unset": {"stored_time": ""}})
    visitors.day = 11
    raced: list[bool] = []

    async def update_first(*arguments: Any) -> Any:
        if not raced:
            raced.append(True)
            await visitors.update(UserUpdate(anonymous_id="a", metadata={"acknowledged": True}))
            # And this one is identified.
            pointer = {"_id": visitors.id("old"), "pointer": profile_id(visitors.application_id, "u")}
            await visitors.profiles.replace_one({"_id": visitors.id("old")}, pointer)
        return await write_in_bulk(*arguments)

    monkeypatch.setattr(module, "write_in_bulk", update_first)
    await visitors.expiry(slice_size=3).expire()
    assert raced
    assert await visitors.left() == ["a"]
    stored = await visitors.profiles.find_one({"_id": visitors.id("a")})
    assert stored is not None
    assert stored["metadata"] == {"acknowledged": True}
    pointer = await visitors.profiles.find_one({"_id": visitors.id("old")})
    assert pointer is not None
    assert set(pointer) == {"_id", "pointer"}


async def test_one_server_at_a_time_makes_a_pass_and_another_takes_over(
    visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    await visitors.visit("a", "b", "c")
    visitors.day = 11
    deleting = asyncio.Event()

    async def hang(*_: Any) -> Any:
        deleting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "write_in_bulk", hang)
    killed = asyncio.create_task(visitors.expiry().expire())
    await deleting.wait()
    monkeypatch.setattr(module, "write_in_bulk", write_in_bulk)
    await visitors.expiry().expire()
    assert await visitors.left() == ["a", "b", "c"]
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    # As if its lease had expired.
    leases = visitors.database.get_collection(LEASES)
    await leases.update_one({}, [{"$set": {"until": {"$subtract": ["$until", LEASE_MS]}}}])
    await visitors.expiry().expire()
    assert await visitors.left() == []


async def test_the_next_pass_is_a_day_after_the_last_one(visitors: Visitors) -> None:
    assert PASS_SECONDS == 24 * 3600
    await visitors.visit("a")
    visitors.day = 10
    await visitors.expiry().expire()
    visitors.day = 10.5
    await visitors.expiry().expire()
    assert await visitors.left() == ["a"]
    visitors.day = 11
    await visitors.expiry().expire()
    assert await visitors.left() == []


async def test_nothing_expires_where_the_period_is_0(visitors: Visitors) -> None:
    async with asyncio.timeout(10):
        await visitors.expiry(days=0).run()
    assert await visitors.database.get_collection(LEASES).count_documents({}) == 0


def test_no_update_changes_a_field_of_the_index_of_visitors() -> None:
    update = UserUpdate(
        "u",
        company_id="c",
        modified_time=1,
        ip_address="192.0.2.1",
        session_token="t",
        user_agent_string="x",
        metadata={"email": "a@acme.com", "x": {"y": 1}},
        campaign={"utm_source": "x"},
        anonymous_id="a",
        clear_fields=["initial_campaign"],
    )
    (index,) = (each for each in INDEXES if each.keys is BY_VISITOR)
    fields = {*BY_VISITOR, *index.options["partialFilterExpression"]}
    assert not fields & plan_update("app", update, _START).write.patch.keys()
