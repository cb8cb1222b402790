"""Samples on a real mongod: who is in them, and where they end."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener, CommandStartedEvent

from server.errors import DatabaseUnavailable, QueryTooSlow
from server.local.mongod import EmbeddedMongod
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.queries import samples
from server.mongo.queries.samples import MongoMetadataSamples
from server.users.catalogue.sample import SAMPLE_SECONDS, Sample, SamplePlan, plan_sample
from server.users.ids import profile_id, visitor_id

_NAME = "userfold_samples_test"
_PLAN = plan_sample("app", b"secret")
_USERS = 60


class Finds(CommandListener):
    """The commands that read."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("find", "getMore"):
            self.sent.append(dict(event.command))

    def succeeded(self, _: Any) -> None: ...

    def failed(self, _: Any) -> None: ...


@pytest.fixture(scope="module")
def finds() -> Finds:
    return Finds()


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod, finds: Finds) -> AsyncIterator[Database]:
    client = connect(mongod.uri, event_listeners=[finds])
    database = open_database(client, _NAME)
    await prepare(database)
    users = [_user("app", number) for number in range(_USERS)] + [_user("app2", number) for number in range(5)]
    await database.profiles.insert_many(users)
    await database.profiles.insert_many(
        [
            {"_id": profile_id("app", f"erased {number}"), "suppressed_until": datetime(2100, 1, 1, tzinfo=UTC)}
            for number in range(9)
        ]
        + [{"_id": visitor_id("app", "v"), "application_id": "app", "anonymous_id": "v", "metadata": {"n": -1}}]
    )
    yield database
    await client.drop_database(_NAME)
    client.close()


def _user(application_id: str, number: int) -> dict[str, Any]:
    user = {"application_id": application_id, "user_id": f"{number}", "aliases": [b"x" * 32]}
    return user | {"_id": profile_id(application_id, f"{number}"), **({"metadata": {"n": number}} if number else {})}


def in_order(plan: SamplePlan = _PLAN) -> Sequence[int]:
    """The numbers of the users in the order of their digests, from the start of the plan."""
    keys = {profile_id("app", f"{number}"): number for number in range(_USERS)}
    start = f"app/u/{plan.start}"
    return [keys[key] for key in sorted(keys, key=lambda key: (key < start, key))]


def numbers(sample: Sample) -> Sequence[int]:
    return [cast(int, each.metadata().get("n", 0)) for each in sample.users]


def clock(*times: float) -> Iterator[float]:
    yield from times
    while True:
        yield times[-1]


async def read(opened: Database, *times: float, plan: SamplePlan = _PLAN) -> Sample:
    ticks = clock(*(times or (0.0,)))
    return await MongoMetadataSamples(opened, lambda: next(ticks)).sample(plan)


async def test_few_users_are_read_as_a_whole(opened: Database, finds: Finds) -> None:
    finds.sent.clear()
    sample = await read(opened)
    assert sample.last_id is None
    assert numbers(sample) == in_order()
    # Of each profile the metadata alone, found by the ids.
    sent = [command for command in finds.sent if "find" in command]
    assert [(command["hint"], command["projection"]) for command in sent] == [("_id_", {"metadata": 1})] * 2
    assert max(each.size for each in sample.users) < 200


async def test_a_user_without_metadata_is_one_of_the_sample(opened: Database) -> None:
    sample = await read(opened)
    (without,) = (each for each in sample.users if "n" not in each.metadata())
    assert without.metadata() == {}


@pytest.mark.parametrize(
    ("users", "is_complete"), [(1, False), (20, False), (_USERS - 1, False), (_USERS, True), (_USERS + 1, True)]
)
async def test_a_sample_ends_with_its_number_of_users(
    opened: Database, monkeypatch: pytest.MonkeyPatch, users: int, is_complete: bool
) -> None:
    monkeypatch.setattr(samples, "SAMPLE_USERS", users)
    sample = await read(opened)
    assert numbers(sample) == in_order()[:users]
    assert sample.last_id == (None if is_complete else profile_id("app", f"{in_order()[users - 1]}"))


async def test_a_sample_goes_round_the_circle(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SAMPLE_USERS", 20)
    # The last ten digests, then the first ten.
    start = sorted(profile_id("app", f"{number}") for number in range(_USERS))[-10].removeprefix("app/u/")
    plan = SamplePlan("app", start[:15])
    sample = await read(opened, plan=plan)
    assert numbers(sample) == in_order(plan)[:20]
    assert len({*numbers(sample)}) == 20


async def test_a_sample_ends_with_its_number_of_bytes(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [each.size for each in (await read(opened)).users]
    monkeypatch.setattr(samples, "SAMPLE_BYTES", sum(sizes[:7]) - 1)
    # The seventh profile exceeds it.
    assert numbers(await read(opened)) == in_order()[:7]
    monkeypatch.setattr(samples, "SAMPLE_BYTES", 0)
    assert numbers(await read(opened)) == in_order()[:1]


async def test_a_sample_ends_after_its_time(opened: Database) -> None:
    late = SAMPLE_SECONDS + 0.1
    sample = await read(opened, *[0.0] * 6, late)
    assert numbers(sample) == in_order()[:5]
    assert sample.last_id is not None
    # One user is read, however late.
    assert numbers(await read(opened, 0.0, late)) == in_order()[:1]


async def test_what_mongodb_could_read_in_its_time_is_the_sample(
    opened: Database, mongod: EmbeddedMongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_AT_ONCE", 5)
    failing: dict[str, Any] = {
        "configureFailPoint": "failCommand",
        "data": {"errorCode": 50, "namespace": f"{_NAME}.profiles"},
    }
    with MongoClient[dict[str, Any]](mongod.uri) as admin:
        try:
            failing["data"]["failCommands"] = ["getMore"]
            admin.admin.command(failing | {"mode": "alwaysOn"})
            assert numbers(await read(opened)) == in_order()[:5]
            failing["data"]["failCommands"] = ["find"]
            admin.admin.command(failing | {"mode": "alwaysOn"})
            with pytest.raises(QueryTooSlow):
                await read(opened)
            failing["data"] |= {"errorCode": 91, "failCommands": ["find"]}
            admin.admin.command(failing | {"mode": "alwaysOn"})
            with pytest.raises(DatabaseUnavailable):
                await read(opened)
        finally:
            admin.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
