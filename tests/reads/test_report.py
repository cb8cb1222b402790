"""Campaign reports equal an independent computation."""

import math
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import campaign_service_pb2 as pb
from userfold.v1.campaign_service_pb2_grpc import CampaignServiceStub

from server.users.ids import profile_id
from tests.support.applications import Application, register
from tests.support.stack import Api, Stack

_START = datetime(2026, 1, 1, tzinfo=UTC)
_TEXTS = ["google", "bing", "", "é", "$x", "a.b", None]
_VALUES = [0, 1, -5, 2.5, 24000, 2**53, 1e12, "5", True, None, [1, 2], [{"value": 7}], {"value": 1}, {}]


def report_of(api: Api, **asked: Any) -> Any:
    return api.client.get("/v1/campaigns:report", params=asked, headers=api.reader)


def refused(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 400, answer.text
    return [(each["field"], each["reason"]) for each in answer.json()["details"][-1]["field_violations"]]


def _seed(database: Database[dict[str, Any]], application_id: str) -> list[dict[str, Any]]:
    """Random users, as the server stores them."""
    chance = random.Random(4)  # noqa: S311  # Test data.
    users = []
    behind: list[list[Any]] = [[], [_START], [{"utm_source": "later", "utm_medium": "later"}]]
    for number in range(600):
        campaigns = {
            name: {field: text for field in ("utm_source", "utm_medium") if (text := chance.choice(_TEXTS)) is not None}
            for name in ("campaign", "initial_campaign", "latest_campaign")
        }
        value, inner = chance.choice(_VALUES), chance.choice(_VALUES)
        metadata: Any = {"value": value} if number % 3 else {"sales": chance.choice([{"value": inner}, [{"value": 1}]])}
        users.append(
            {
                "_id": profile_id(application_id, f"u{number}"),
                "application_id": application_id,
                "user_id": f"u{number}",
                "company_id": chance.choice("cd"),
                "created_time": _START + timedelta(milliseconds=chance.randrange(10 * 86_400_000)),
                "modified_time": _START,
                "modified_nanos": 0,
                "metadata": metadata,
                **({"campaign": campaigns["campaign"]} if number % 5 else {}),
                # Behind the first campaign are its time, another campaign, or nothing.
                **({"initial_campaign": [campaigns["initial_campaign"], *behind[number % 3]]} if number % 7 else {}),
                **({"latest_campaign": campaigns["latest_campaign"]} if number % 2 else {}),
            }
        )
    database.profiles.insert_many(users)
    visitor = {"_id": f"{application_id}/a/v", "application_id": application_id, "created_time": _START}
    database.profiles.insert_many([visitor, {"_id": f"{application_id}/u/erased", "suppressed_until": _START}])
    return users


def _text(user: dict[str, Any], name: str) -> str | None:
    campaign_name, field = name.split(".")
    campaign = user.get(campaign_name, {})
    found: str | None = (campaign[0] if isinstance(campaign, list) else campaign).get(field)
    return found


def _number(user: dict[str, Any], path: str) -> list[float]:
    found: Any = user
    for key in path.split(".") if path else ["none"]:
        found = found.get(key) if isinstance(found, dict) else None
    return [float(found)] if isinstance(found, int | float) and not isinstance(found, bool) else []


def _group(users: list[dict[str, Any]], value: str) -> dict[str, Any]:
    days = Counter(user["created_time"].strftime("%Y-%m-%d") for user in users)
    values = [number for user in users for number in _number(user, value)]
    counted = {"value_sum": math.fsum(values), "value_average": math.fsum(values) / len(values)} if values else {}
    by_day = [{"day": day, "user_count": count} for day, count in sorted(days.items())]
    return {"user_count": len(users), "days": by_day, "value_count": len(values), **counted}


def _report(users: list[dict[str, Any]], names: list[str], value: str) -> dict[str, Any]:
    """The report that the contract defines."""
    groups = defaultdict(list)
    for user in users:
        groups[tuple(_text(user, name) for name in names)].append(user)
    # An absent value sorts before every string.
    ordered = sorted(
        groups, key=lambda key: (-len(groups[key]), [(text is not None, (text or "").encode()) for text in key])
    )
    return {
        "groups": [
            {"campaign": {name: text for name, text in zip(names, key, strict=True) if text is not None}}
            | _group(groups[key], value)
            for key in ordered
        ],
        "has_more": False,
        "total": {"campaign": {}} | _group(users, value),
    }


_DOUBLES = ("value_sum", "value_average")


def _rounded(value: Any) -> Any:
    """A sum of doubles depends on their order, which the contract leaves open."""
    if isinstance(value, dict):
        return {key: float(f"{inner:.9g}") if key in _DOUBLES else _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return value


def test_a_report_equals_an_independent_computation(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    users = _seed(database, application.application_id)
    end = "2026-01-07T12:00:00.0000005Z"
    for group_by in (
        *("", "campaign.utm_source", "latest_campaign.utm_source", "initial_campaign.utm_source,campaign.utm_medium"),
        *("campaign.utm_source,campaign.utm_medium,initial_campaign.utm_source,initial_campaign.gclid",),
    ):
        names = group_by.split(",") if group_by else ["initial_campaign.utm_source"]
        for value in ("", "metadata.value", "metadata.sales.value", "metadata.value.value"):
            answer = report_of(api, group_by=group_by, value_path=value, max_groups=1000)
            assert _rounded(answer.json()) == _rounded(_report(users, names, value)), (group_by, value)
    asked = {"start_time": "2026-01-03T00:00:00Z", "end_time": end, "filter": "company_id = c", "max_groups": 1000}
    chosen = [
        user
        for user in users
        if user["company_id"] == "c"
        and _START + timedelta(days=2) <= user["created_time"] <= datetime(2026, 1, 7, 12, tzinfo=UTC)
    ]
    answer = report_of(api, group_by="campaign.utm_source", value_path="metadata.value", **asked)
    assert _rounded(answer.json()) == _rounded(_report(chosen, ["campaign.utm_source"], "metadata.value"))


def test_the_largest_groups_are_returned_and_the_total_includes_all(api: Api) -> None:
    for number, source in enumerate("aabbbc"):
        api.stored({"campaign": {"utm_source": source}}, user_id=f"u{number}")
    answer = report_of(api, max_groups=2).json()
    assert [(each["campaign"], each["user_count"]) for each in answer["groups"]] == [
        ({"initial_campaign.utm_source": "b"}, 3),
        ({"initial_campaign.utm_source": "a"}, 2),
    ]
    assert (answer["has_more"], answer["total"]["user_count"]) == (True, 6)
    assert report_of(api, max_groups=3).json()["has_more"] is False


def test_a_sum_can_exceed_64_bits(api: Api) -> None:
    for number in range(3):
        api.stored({"metadata": {"value": 2**62}}, user_id=f"u{number}")
    total = report_of(api, value_path="metadata.value").json()["total"]
    assert (total["value_sum"], total["value_count"]) == (3.0 * 2**62, 3)


def test_first_and_last_campaign_are_grouped_separately(api: Api) -> None:
    api.stored({"campaign": {"utm_source": "first"}}, {"campaign": {"utm_source": "last"}})
    for name, text in (("campaign", "last"), ("initial_campaign", "first")):
        (group,) = report_of(api, group_by=f"{name}.utm_source").json()["groups"]
        assert group["campaign"] == {f"{name}.utm_source": text}


def test_an_application_cannot_report_users_of_another(
    api: Api, stack: Stack, database: Database[dict[str, Any]]
) -> None:
    api.stored({"campaign": {"utm_source": "google"}})
    other = Api(stack.http, register(database, "the other one's report"))
    no_users = {"campaign": {}, "user_count": 0, "days": [], "value_count": 0}
    with other.client:
        assert report_of(other).json() == {"groups": [], "has_more": False, "total": no_users}


@pytest.mark.parametrize(
    ("asked", "violation"),
    [
        ({"start_time": "2026-01-02", "end_time": "2026-01-02"}, ("end_time", "NOT_AFTER_START_TIME")),
        ({"start_time": "yesterday"}, ("start_time", "NOT_A_TIME")),
        ({"group_by": "company_id"}, ("group_by", "INVALID_GROUP_BY")),
        ({"group_by": "campaign"}, ("group_by", "INVALID_GROUP_BY")),
        ({"group_by": 'campaign."$x"'}, ("group_by", "INVALID_GROUP_BY")),
        ({"group_by": "campaign.gclid,campaign.gclid"}, ("group_by", "OUT_OF_RANGE")),
        (
            {
                "group_by": ",".join(
                    f"campaign.utm_{name}" for name in ("source", "medium", "term", "content", "campaign")
                )
            },
            ("group_by", "OUT_OF_RANGE"),
        ),
        ({"value_path": "alias_count"}, ("value_path", "INVALID_VALUE_PATH")),
        ({"value_path": "metadata"}, ("value_path", "INVALID_VALUE_PATH")),
        ({"value_path": "metadata.a,metadata.b"}, ("value_path", "INVALID_VALUE_PATH")),
        ({"value_path": "x" * 4097}, ("value_path", "TOO_LONG")),
        ({"group_by": ",".join(["campaign.gclid"] * 101)}, ("group_by", "TOO_MANY")),
        ({"max_groups": 1001}, ("max_groups", "OUT_OF_RANGE")),
        ({"max_groups": -1}, ("max_groups", "OUT_OF_RANGE")),
        ({"filter": "x"}, ("filter", "INVALID_FILTER")),
    ],
)
def test_an_invalid_request_is_refused(api: Api, asked: dict[str, Any], violation: tuple[str, str]) -> None:
    assert refused(report_of(api, **asked)) == [violation]


def test_a_metadata_key_is_never_an_expression(api: Api) -> None:
    api.stored({"metadata": {"$a": {"b.c": 3}, "0": 4}})
    for value, total in (('metadata."$a"."b.c"', 3.0), ('metadata."0"', 4.0)):
        assert report_of(api, value_path=value).json()["total"]["value_sum"] == total
    assert "value_sum" not in report_of(api, value_path='metadata."$$ROOT"').json()["total"]


def test_a_collector_key_cannot_report(api: Api) -> None:
    answer = api.client.get("/v1/campaigns:report", headers=api.writer)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (403, "SCOPE_MISSING")


async def test_grpc_returns_the_same(api: Api, stack: Stack, application: Application) -> None:
    api.stored({"campaign": {"utm_source": "google", "gclid": "1"}})
    metadata = (("authorization", f"Bearer {application.management_token}"),)
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        report = await CampaignServiceStub(channel).ReportCampaigns(pb.ReportCampaignsRequest(), metadata=metadata)
        # An element can be a comma-separated list, which gateways of version 0.1 send.
        names = ["campaign.utm_source", "campaign.gclid,initial_campaign.utm_term"]
        by_three = await CampaignServiceStub(channel).ReportCampaigns(
            pb.ReportCampaignsRequest(group_by=names), metadata=metadata
        )
    assert [dict(group.campaign) for group in report.groups] == [{"initial_campaign.utm_source": "google"}]
    assert report.total.user_count == report.total.days[0].user_count == 1
    assert [dict(group.campaign) for group in by_three.groups] == [
        {"campaign.utm_source": "google", "campaign.gclid": "1"}
    ]


def test_a_sum_that_no_double_holds_is_absent_over_both_transports_and_its_values_are_counted(
    api: Api, stack: Stack, application: Application
) -> None:
    for user_id in "12":
        api.stored({"metadata": {"n": 1.7e308}, "campaign": {"utm_source": "x"}}, user_id=user_id)
    with grpc.insecure_channel(stack.grpc) as channel:
        report = CampaignServiceStub(channel).ReportCampaigns(
            pb.ReportCampaignsRequest(value_path="metadata.n"),
            metadata=(("authorization", f"Bearer {application.management_token}"),),
        )
    for message in (report.total, *report.groups):
        assert message.value_count == 2
        assert {"value_sum", "value_average"}.isdisjoint(field.name for field, _ in message.ListFields())
    report = report_of(api, value_path="metadata.n").json()
    for group in (report["total"], *report["groups"]):
        assert group["value_count"] == 2
        assert not {"value_sum", "value_average"} & {*group}


def test_a_sum_of_integers_may_exceed_64_bits(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    for user_id in "123":
        api.stored({"metadata": {"n": 1}}, user_id=user_id)
        database.profiles.update_one(
            {"_id": profile_id(application.application_id, user_id)}, {"$set": {"metadata.n": 2**63 - 1}}
        )
    total = report_of(api, value_path="metadata.n").json()["total"]
    assert (total["value_sum"], total["value_count"]) == (3 * 2.0**63, 3)


def test_a_report_ends_when_its_response_is_full(
    api: Api, stack: Stack, application: Application, database: Database[dict[str, Any]]
) -> None:
    names = ("utm_source", "utm_medium", "utm_term", "gclid")
    database.profiles.insert_many(
        [
            {
                "_id": profile_id(application.application_id, f"u{number}"),
                "application_id": application.application_id,
                "user_id": f"u{number}",
                "created_time": _START,
                "modified_time": _START,
                "modified_nanos": 0,
                # Each becomes six characters of JSON.
                "campaign": dict.fromkeys(names, f"{number}" + "\x01" * 8180),
            }
            for number in range(600)
        ]
    )
    fields = ",".join(f"campaign.{name}" for name in names)
    answer = report_of(api, group_by=fields, max_groups=1000)
    report = answer.json()
    assert (answer.status_code, report["has_more"], report["total"]["user_count"]) == (200, True, 600)
    assert 0 < len(report["groups"]) < 600
    assert len(answer.content) < 17 * 1024 * 1024
    with grpc.insecure_channel(stack.grpc, options=[("grpc.max_receive_message_length", 32 * 1024 * 1024)]) as channel:
        internal = CampaignServiceStub(channel).ReportCampaigns(
            pb.ReportCampaignsRequest(group_by=fields.split(","), max_groups=1000),
            metadata=(("authorization", f"Bearer {application.management_token}"),),
        )
    assert (internal.has_more, internal.total.user_count) == (True, 600)
    assert len(report["groups"]) < len(internal.groups) < 600
