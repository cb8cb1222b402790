"""A report that is read in parts equals the one that is read as a whole."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

import pytest
from bson import Timestamp
from pymongo import MongoClient

from server import limits
from server.local.mongod import EmbeddedMongod
from server.model import CampaignGroup, CampaignReport, ReportRequest
from server.mongo.client import BY_CREATED_TIME, Database, connect, open_database, prepare
from server.mongo.queries.report_pipelines import part_pipelines
from server.mongo.queries.reports import CampaignReports
from server.users.ids import profile_id, sampled_ids
from server.users.report_campaigns import Report, plan_report
from tests.support.plans import stages_of

pytestmark = pytest.mark.long

_NAME = "userfold_reports_test"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_TEXTS = ["google", "bing", "", "é", "\U0001f600", "\uffff", "$x", None]
_NO_NUMBERS = ["5", True, None, [1, 2], [{"value": 7}], {"value": 1}]
_INTEGERS = [0, 1, -5, 2**53 + 1, -(2**53), *_NO_NUMBERS]
_DOUBLES = [0, 1, -5, 24000, 2.5, 0.1, -0.3, *_NO_NUMBERS]
_USERS = 500


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(f"{mongod.uri}&appName={_NAME}")
    database = open_database(client, _NAME)
    await prepare(database)
    yield database
    await client.drop_database(_NAME)
    client.close()


@pytest.fixture(autouse=True)
def _reads_small_reports_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REPORT_IN_PARTS_USERS", 1)


def _user_ids(application_id: str) -> Iterator[str]:
    """Ids of users, some of whom are in the sample of a report."""
    yield from (f"u{number}" for number in range(_USERS))
    first, end = sampled_ids(application_id)
    others = (f"v{number}" for number in count())
    yield from islice((each for each in others if first <= profile_id(application_id, each) < end), 5)


def _users(application_id: str, chance: random.Random, texts: Sequence[str | None] = _TEXTS) -> list[dict[str, Any]]:
    users = []
    days, values = chance.choice([0, 1, 40]), chance.choice([_INTEGERS, _DOUBLES])
    for user_id in _user_ids(application_id):
        campaigns = {
            name: {field: text for field in ("utm_source", "utm_term") if (text := chance.choice(texts)) is not None}
            for name in ("campaign", "initial_campaign")
        }
        # Many at exactly the same time, and within one day.
        created = _START + timedelta(days=chance.randint(0, days), seconds=chance.randrange(100))
        users.append(
            {
                "_id": profile_id(application_id, user_id),
                "application_id": application_id,
                "user_id": user_id,
                "company_id": chance.choice("cd"),
                "created_time": created,
                "metadata": {"value": chance.choice(values), "plan": chance.choice("pq")},
                **({"campaign": campaigns["campaign"]} if chance.random() < 0.8 else {}),
                **({"initial_campaign": [campaigns["initial_campaign"]]} if chance.random() < 0.8 else {}),
            }
        )
    return users


async def _in_parts(database: Database, report: Report, monkeypatch: pytest.MonkeyPatch) -> CampaignReport:
    with monkeypatch.context() as patch:
        patch.setattr(CampaignReports, "_whole", None)
        return await CampaignReports(database).report(report, frozenset())


async def _as_a_whole(database: Database, report: Report, monkeypatch: pytest.MonkeyPatch) -> CampaignReport:
    with monkeypatch.context() as patch:
        patch.setattr(limits, "REPORT_IN_PARTS_USERS", 10**9)
        return await CampaignReports(database).report(report, frozenset())


def _content(report: CampaignReport) -> tuple[Sequence[CampaignGroup], bool, CampaignGroup | None]:
    total = None if report.total is None else report.total.group()
    return [each.group() for each in report.groups], report.has_more, total


def _assert_same(group: CampaignGroup, expected: CampaignGroup) -> None:
    names = ("campaign", "users", "days", "value_count")
    assert [getattr(group, name) for name in names] == [getattr(expected, name) for name in names]
    # Sums of integers that have 64 bits are exact. MongoDB rounds the sum of the doubles of a day, in each part.
    if isinstance(expected.value_sum, int):
        assert group.value_sum == expected.value_sum
    else:
        assert math.isclose(group.value_sum, expected.value_sum, rel_tol=4 * 2.0**-52, abs_tol=1e-10)


@pytest.mark.parametrize("seed", range(4))
async def test_a_report_in_parts_equals_the_one_of_the_whole(
    opened: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # Test data.
    application_id = f"same{seed}"
    profiles = opened.get_collection("profiles")
    await profiles.insert_many(_users(application_id, chance))
    await profiles.insert_many(_users(f"other{seed}", chance))
    visitor = {"_id": f"{application_id}/a/00", "application_id": application_id, "created_time": _START}
    erased = {"_id": f"{application_id}/u/00", "suppressed_until": datetime(2099, 1, 1, tzinfo=UTC)}
    await profiles.insert_many([visitor, erased])
    start = int(_START.timestamp() * 1e9)
    requests = [
        ReportRequest(value_path="metadata.value", max_groups=1000),
        ReportRequest(group_by=["campaign.utm_term,initial_campaign.utm_source"], value_path="metadata.value"),
        ReportRequest(group_by=["campaign.utm_source,campaign.utm_term"], max_groups=7),
        ReportRequest(max_groups=1, value_path="metadata.plan"),
        ReportRequest(filter="metadata.plan = p AND NOT campaign.utm_source = google", value_path="metadata.value"),
        ReportRequest(start_time=start + 20_000_000_000, end_time=start + 86_400_000_000_000),
    ]
    sizes = set()
    for request in requests:
        report = plan_report(application_id, request)
        groups, has_more, total = _content(await _in_parts(opened, report, monkeypatch))
        expected, expected_more, expected_total = _content(await _as_a_whole(opened, report, monkeypatch))
        assert (len(groups), has_more) == (len(expected), expected_more)
        assert total is not None
        assert expected_total is not None
        for group, same in zip([total, *groups], [expected_total, *expected], strict=True):
            _assert_same(group, same)
        sizes.add(total.users)
    assert len(sizes) == 3


async def test_each_part_reads_its_own_users_only_through_the_index(opened: Database) -> None:
    chance = random.Random(7)  # noqa: S311  # Test data.
    users = _users("halves", chance)
    await opened.get_collection("profiles").insert_many(users)
    examined = []
    for pipeline in part_pipelines(plan_report("halves", ReportRequest())):
        hint = dict.fromkeys(BY_CREATED_TIME, 1)
        command = {"aggregate": "profiles", "pipeline": pipeline, "cursor": {}, "hint": hint}
        plan = await opened.command("explain", command, verbosity="executionStats")
        stages = list(stages_of(plan))
        assert "COLLSCAN" not in {stage["stage"] for stage in stages}
        executed = [each["$cursor"]["executionStats"] for each in plan["stages"] if "$cursor" in each]
        examined += [each["totalDocsExamined"] for each in executed]
    assert sum(examined) == len(users)
    assert min(examined) > len(users) // 3


async def test_parts_are_of_one_snapshot(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(8)  # noqa: S311  # Test data.
    users = _users("moved", chance, ["google"])
    profiles = opened.get_collection("profiles")
    await profiles.insert_many(users)
    read = CampaignReports._snapshot_for_parts

    async def then_erased(*given: Any) -> Timestamp | None:
        snapshot = await read(*given)
        # As if all users were erased, and some were created again, while the parts are read.
        await profiles.delete_many({"application_id": "moved"})
        await profiles.insert_many(users[:100])
        return snapshot

    monkeypatch.setattr(CampaignReports, "_snapshot_for_parts", then_erased)
    report = await _in_parts(opened, plan_report("moved", ReportRequest()), monkeypatch)
    assert report.total is not None
    assert report.total.group().users == len(users)


async def test_a_report_with_too_many_groups_is_read_as_a_whole(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(9)  # noqa: S311  # Test data.
    await opened.get_collection("profiles").insert_many(_users("groups", chance, [f"g{each}" for each in range(50)]))
    report = plan_report("groups", ReportRequest(max_groups=1000))
    expected = _content(await _as_a_whole(opened, report, monkeypatch))
    parts: list[object] = []
    read = CampaignReports._parts

    async def recorded(*given: Any) -> Any:
        parts.append(await read(*given))
        return parts[-1]

    monkeypatch.setattr(CampaignReports, "_parts", recorded)
    # The sample has few groups, and its parts have more.
    monkeypatch.setattr("server.users.report_campaigns.SAMPLE_SHARE", 1)
    monkeypatch.setattr(limits, "REPORT_PART_GROUPS", 45)
    assert _content(await CampaignReports(opened).report(report, frozenset())) == expected
    assert parts == [None]
    monkeypatch.setattr(limits, "REPORT_PART_GROUPS", 51)
    assert _content(await CampaignReports(opened).report(report, frozenset())) == expected
    assert parts[-1] is not None


async def test_one_report_at_a_time_is_read_in_parts(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(10)  # noqa: S311  # Test data.
    await opened.get_collection("profiles").insert_many(_users("turns", chance))
    report = plan_report("turns", ReportRequest())
    started, may_end = asyncio.Event(), asyncio.Event()
    samples = []
    read = CampaignReports._snapshot_for_parts

    async def held(*given: Any) -> Timestamp | None:
        samples.append(given)
        started.set()
        await may_end.wait()
        return await read(*given)

    monkeypatch.setattr(CampaignReports, "_snapshot_for_parts", held)
    reports = CampaignReports(opened)
    first = asyncio.create_task(reports.report(report, frozenset()))
    await started.wait()
    second = _content(await reports.report(report, frozenset()))
    may_end.set()
    assert _content(await first) == second
    assert len(samples) == 1
    assert _content(await reports.report(report, frozenset())) == second
    assert len(samples) == 2


async def test_a_report_that_an_index_serves_is_read_as_a_whole(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CampaignReports, "_parts", None)
    reports = CampaignReports(opened)
    await reports.report(plan_report("served", ReportRequest(filter="company_id = c", start_time=1)), frozenset())
    declared = frozenset({("metadata", "plan")})
    await reports.report(plan_report("served", ReportRequest(filter="metadata.plan = p")), declared)


@contextmanager
def _failing_once(mongod: EmbeddedMongod, **data: Any) -> Iterator[None]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        failure = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
        client.admin.command(failure | {"data": {"failCommands": ["aggregate"], "appName": _NAME} | data})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def test_a_report_whose_sample_fails_is_read_as_a_whole(opened: Database, mongod: EmbeddedMongod) -> None:
    chance = random.Random(11)  # noqa: S311  # Test data.
    await opened.get_collection("profiles").insert_many(_users("failing", chance))
    with _failing_once(mongod, closeConnection=True):
        report = await CampaignReports(opened).report(plan_report("failing", ReportRequest()), frozenset())
    assert report.total is not None
