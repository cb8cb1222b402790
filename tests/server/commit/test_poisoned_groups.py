"""Two applications share one server and one mongod: whatever the one sends, every update of the other is stored."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.commit.write_batcher import WriteBatcher
from server.errors import ProfileTooLarge, WriteOutcomeUnknown, WriteRejected
from server.local.mongod import EmbeddedMongod
from server.model import STORED, ProfileWrite, Stored, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ports import Outcome
from server.users.update import plan_update

_UPDATES = 500


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_poisoned_test")
    await prepare(database)
    yield database
    client.close()


def _write(application: str, user: str, metadata: dict[str, Any] | None = None) -> ProfileWrite:
    return plan_update(application, UserUpdate(user, metadata=metadata), 10**18).write


def _raw(user: str, change: object, *, exact: bool = False) -> ProfileWrite:
    """A write that planning would refuse, with a wrong size."""
    write = _write("bad", user)
    write.change = {**write.patch, "metadata": {"a": change}}
    write.exact = exact
    return write


def _nested(depth: int, width: int) -> dict[str, object]:
    return {f"{'k' * 60}{n}": _nested(depth - 1, width) for n in range(width)} if depth else {}


def _poison(number: int) -> ProfileWrite:
    user = f"p{number}"
    match number % 8:
        case 0:
            return _raw(user, "half \ud83d")
        case 1:
            return _raw(user, 2**70)
        case 2 if number < 16:
            return _raw(user, "x" * (17 << 20), exact=True)
        case 3 if number < 16:
            return _raw(user, _nested(14, 2), exact=True)
        case 4:
            return _write("bad", user, {"a": "x" * (1 << 20)})
        case 5:
            return _write("bad", "same", {"a": {"b": number} if number % 16 == 5 else "text"})
        case 6:
            return _write("bad", user, {"a": {}, "b": {"c": {}}})
        case _:
            return _write("bad", user, {f"k{n}": n for n in range(900)})


async def test_every_update_is_stored_while_another_application_sends_the_worst(opened: Database) -> None:
    grouped = WriteBatcher(MongoProfileStore(opened))
    poisoned: list[Outcome] = []

    async def poison(start: int) -> None:
        for number in range(start, 160, 16):
            poisoned.extend(await grouped.submit([_poison(number)]))

    async def update(start: int) -> list[Outcome]:
        return [
            outcome
            for number in range(start, _UPDATES, 10)
            for outcome in await grouped.submit([_write("good", f"u{number}", {"n": number})])
        ]

    poisons = [asyncio.ensure_future(poison(start)) for start in range(16)]
    outcomes = await asyncio.gather(*(update(start) for start in range(10)))
    await asyncio.gather(*poisons)
    assert Counter(map(type, (each for some in outcomes for each in some))) == {Stored: _UPDATES}
    assert await opened.profiles.count_documents({"application_id": "good"}) == _UPDATES
    reported = Counter(map(type, poisoned))
    assert reported.total() == 160
    assert reported[WriteRejected] == 40
    assert reported[ProfileTooLarge] >= 20
    assert reported[WriteOutcomeUnknown] == 0
    await grouped.drain()


async def test_one_update_waits_for_few_of_anothers_flood(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MongoProfileStore(opened)
    dense = {f"k{number}": [{"a": None}] * 250 for number in range(40)}
    users = [f"d{number}" for number in range(40)]
    assert await store.apply([_write("bad", user) for user in users]) == [STORED] * len(users)
    await opened.profiles.update_many({"application_id": "bad"}, {"$set": {"metadata": dense}})
    grouped = WriteBatcher(store)
    sizes: list[int] = []
    apply = store.apply

    async def counted(writes: Any) -> Any:
        sizes.append(sum(write.exact for write in writes))
        return await apply(writes)

    monkeypatch.setattr(store, "apply", counted)
    flood = grouped.submit([_write("bad", user, {"x": {}}) for user in users])
    before = len(sizes)
    single = await grouped.submit([_write("good", "single")])
    assert single == [STORED]
    assert not flood.done()
    # Those that were in flight, and those of its own group.
    assert sum(sizes[before:]) <= 32
    assert await flood == [STORED] * len(users)
    assert max(sizes) <= 8
