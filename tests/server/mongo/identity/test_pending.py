"""Absorptions that a server did not finish."""

from collections.abc import AsyncIterator, Sequence

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from server.errors import Overloaded, ProfileTooLarge
from server.local.mongod import EmbeddedMongod
from server.mongo.client import Database, connect, open_database
from server.mongo.identity.absorption import Absorption
from server.mongo.identity.pending import PendingAbsorptions

_ERRORS = {"changing": Overloaded, "too large": ProfileTooLarge, "failing": AutoReconnect}


@pytest.fixture
async def pending(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    """A database of its own."""
    client = connect(mongod.uri)
    await client.drop_database("userfold_pending_test")
    yield open_database(client, "userfold_pending_test")
    client.close()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pointers whose absorptions were taken up. Those that are called as an error end with it."""
    pointers: list[str] = []
    finish = Absorption.finish

    async def finish_or_fail(absorption: Absorption, pointer: str) -> None:
        pointers.append(pointer)
        if error := _ERRORS.get(pointer.rstrip(" 12345")):
            raise error
        await finish(absorption, pointer)

    monkeypatch.setattr(Absorption, "finish", finish_or_fail)
    return pointers


async def _store(database: Database, pointers: Sequence[str]) -> None:
    """Store pointers with unfinished absorptions, in this order."""
    for number, key in enumerate(pointers):
        absorption = ObjectId(f"{number + 1:024x}")
        # Of a user who was erased, so nothing is left of it.
        pointer = {"_id": key, "pointer": "nobody", "absorption": absorption, "absorbed": {"_id": key}}
        await database.profiles.insert_one(pointer)


@pytest.mark.parametrize("staying", ["changing", "too large"])
async def test_an_absorption_that_cannot_be_finished_holds_up_no_other(
    pending: Database, taken: list[str], staying: str
) -> None:
    await _store(pending, [staying, "next"])
    await PendingAbsorptions(pending).make_pass()
    assert taken == [staying, "next"]
    assert await pending.profiles.distinct("_id") == [staying]


async def test_those_that_stay_hide_no_later_ones_however_many_they_are(pending: Database, taken: list[str]) -> None:
    large = ["too large 1", "too large 2", "too large 3"]
    await _store(pending, [*large, "next"])
    absorptions = PendingAbsorptions(pending, at_once=2)
    for expected in (large[:2], [large[2], "next"], large[:2], [large[2], large[0]]):
        taken.clear()
        await absorptions.make_pass()
        assert taken == expected
    assert await pending.profiles.distinct("_id") == large


async def test_after_an_error_of_mongodb_a_pass_begins_behind_it_and_takes_all(
    pending: Database, taken: list[str]
) -> None:
    await _store(pending, ["too large", "failing", "next"])
    absorptions = PendingAbsorptions(pending, at_once=3)
    with pytest.raises(AutoReconnect):
        await absorptions.make_pass()
    assert taken == ["too large", "failing"]
    taken.clear()
    with pytest.raises(AutoReconnect):
        await absorptions.make_pass()
    assert taken == ["next", "too large", "failing"]
