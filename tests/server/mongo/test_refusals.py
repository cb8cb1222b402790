"""Refusals in a real MongoDB: added up, limited for each application, forgotten, and returned where none is stored."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pymongo
import pytest
import pytest_asyncio

from runtime.refusal_counts import Occurrences, RefusalKind
from server.errors import DatabaseUnavailable
from server.local.mongod import EmbeddedMongod
from server.mongo import refusals as module
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.refusals import MongoRefusals

KIND = RefusalKind("INVALID_REQUEST", False, "/v1/users", (("user_id", "TOO_LONG"),), "curl/7.88.1")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_refusals_test")
    await prepare(database)
    yield database
    client.close()


@pytest.fixture
def refusals(opened: Database) -> MongoRefusals:
    return MongoRefusals(opened)


@pytest.fixture
def now() -> float:
    return float(int(datetime.now(UTC).timestamp()))


async def test_counts_of_a_kind_are_added_up(refusals: MongoRefusals, now: float) -> None:
    warning = RefusalKind("NOT_STORED", True, "/v1/companies", (), "")
    assert (
        await refusals.add({"sum": {KIND: Occurrences(2, now - 9, now - 5)}, "b": {KIND: Occurrences(1, 1, now)}}) == {}
    )
    assert (
        await refusals.add({"sum": {KIND: Occurrences(3, now - 7, now - 1), warning: Occurrences(1, now, now)}}) == {}
    )
    assert await refusals.latest("sum") == [
        (warning, Occurrences(1, now, now)),
        (KIND, Occurrences(5, now - 9, now - 1)),
    ]
    assert await refusals.latest("none") == []


async def test_an_application_has_its_latest_kinds_and_takes_no_place_of_another(
    opened: Database, refusals: MongoRefusals, now: float
) -> None:
    await refusals.add({"quiet": {KIND: Occurrences(1, now - 999, now - 999)}})
    for start in range(0, 300, 50):
        kinds = [KIND._replace(client_library=f"curl/{number}") for number in range(start, start + 50)]
        await refusals.add({"loud": {kind: Occurrences(1, now + start, now + start) for kind in kinds}})
    latest = await refusals.latest("loud")
    assert {int(kind.client_library[5:]) for kind, _ in latest} == set(range(200, 300))
    assert await opened.refusals.count_documents({"application_id": "loud"}) == module.KINDS
    assert len(await refusals.latest("quiet")) == 1


async def test_an_application_has_fewer_kinds_while_very_many_are_stored(
    opened: Database, refusals: MongoRefusals, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_ALL", 0)
    kinds = [KIND._replace(client_library=f"curl/{number}") for number in range(50)]
    await refusals.add({"full": {kind: Occurrences(1, now, now) for kind in kinds}})
    assert await opened.refusals.count_documents({"application_id": "full"}) == module.KINDS_WHEN_FULL


async def test_many_applications_are_stored(refusals: MongoRefusals, now: float) -> None:
    assert await refusals.add({f"many-{number}": {KIND: Occurrences(1, now, now)} for number in range(250)}) == {}
    assert len(await refusals.latest("many-249")) == 1


async def test_a_kind_is_forgotten_after_thirty_days(opened: Database, refusals: MongoRefusals, now: float) -> None:
    days = timedelta(days=30).total_seconds()
    await refusals.add({"old": {KIND: Occurrences(9, now - 2 * days, now - days - 1)}})
    await refusals.add({"new": {KIND: Occurrences(9, now - 2 * days, now - days + 300)}})

    for _ in range(400):  # MongoDB does not report when it has deleted expired documents.
        if not await refusals.latest("old"):
            break
        await asyncio.sleep(0.05)
    assert await refusals.latest("old") == []
    assert len(await refusals.latest("new")) == 1


async def test_refusals_that_mongodb_does_not_take_are_returned(now: float) -> None:
    client = connect("mongodb://127.0.0.1:1/")
    unreachable = MongoRefusals(open_database(client, "userfold_refusals_test"))
    counts = {"a": {KIND: Occurrences(1, now, now)}}
    # Else each would wait for as long as in production.
    with pymongo.timeout(0.1):
        assert await unreachable.add(counts) == counts
    with pymongo.timeout(0.1), pytest.raises(DatabaseUnavailable):
        await unreachable.latest("a")
    client.close()
