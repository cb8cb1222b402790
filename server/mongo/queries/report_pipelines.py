"""Reports of campaigns as MongoDB's aggregation pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from server import limits
from server.model import CampaignGroup
from server.mongo.queries.user_queries import Query, profile_query
from server.query.conditions import StoredPath
from server.query.fields import FIRST_CAMPAIGN
from server.users.ids import middle_id, sampled_ids
from server.users.report_campaigns import GroupKey, Report, ReportSample

Pipeline = list[dict[str, object]]

_TOTAL: Final[Mapping[str, object]] = {"$literal": {}}
_SUMS: Final = {"value_sum": {"$sum": "$value_sum"}, "value_count": {"$sum": "$value_count"}}


def report_pipeline(report: Report) -> Pipeline:
    """The total, then the groups with the most users first, and one more than the report holds if there are more.

    Each profile is read once. The days of a document are in no order.
    """
    return [
        {"$match": profile_query(report.query)},
        *_groups(report),
        # No group has more users than the total, which is before one that has as many.
        {"$sort": {"users": -1, "_id": 1}},
        {"$limit": report.limit + 2},
    ]


def part_pipelines(report: Report) -> Sequence[Pipeline]:
    """For each part of a report the total and the groups, in no order, and one more than a part may have.

    The parts are halves: each user is in one of them, for good, because ids are digests.
    """
    # The index of the report holds `_id`, so a part reads the profiles of its own users only.
    first: Query = {"_id": {"$lt": middle_id(report.query.application_id)}}
    return [
        [{"$match": profile_query(report.query) | part}, *_groups(report), {"$limit": limits.REPORT_PART_GROUPS + 2}]
        for part in (first, {"$nor": [first]})
    ]


def sample_pipeline(report: Report) -> Pipeline:
    """One document with what `sample_from_document` takes, or none if the sample has no user."""
    first, end = sampled_ids(report.query.application_id)
    sampled = profile_query(report.query) | {"_id": {"$gte": first, "$lt": end}}
    created = {"first": {"$min": "$created_time"}, "last": {"$max": "$created_time"}}
    return [
        {"$match": sampled},
        {"$group": {"_id": _key(report), "users": {"$sum": 1}, **created}},
        {
            "$group": {
                "_id": None,
                "users": {"$sum": "$users"},
                "groups": {"$sum": 1},
                "lone": {"$sum": {"$cond": [{"$eq": ["$users", 1]}, 1, 0]}},
                "first": {"$min": "$first"},
                "last": {"$max": "$last"},
            }
        },
    ]


def sample_from_document(document: Mapping[str, Any]) -> ReportSample:
    """The sample of a document that `sample_pipeline` returns."""
    days = (document["last"] - document["first"]).days + 2
    return ReportSample(document["users"], document["groups"], document["lone"], days)


def _groups(report: Report) -> Pipeline:
    """Stages that group users: a document for each group, and one for the total."""
    day = {"$dateToString": {"date": "$created_time", "format": "%Y-%m-%d"}}
    return [
        {"$group": {"_id": {"key": _key(report), "day": day}, "users": {"$sum": 1}, **_values(report.value)}},
        # Each of these counts for its group and for the total.
        {"$set": {"of": [{"key": "$_id.key"}, _TOTAL]}},
        {"$unwind": "$of"},
        {"$group": {"_id": {"of": "$of", "day": "$_id.day"}, "users": {"$sum": "$users"}, **_SUMS}},
        {
            "$group": {
                "_id": "$_id.of",
                "users": {"$sum": "$users"},
                "days": {"$push": {"day": "$_id.day", "users": "$users"}},
                **_SUMS,
            }
        },
    ]


def _key(report: Report) -> object:
    # A document, which MongoDB compares field by field: it would sort an array by its smallest element.
    return {f"field{index}": _text(path) for index, path in enumerate(report.group_by)}


def key_of_group(document: Mapping[str, Any]) -> GroupKey:
    """The key of the group of a document that a pipeline returns."""
    return tuple(document["_id"].get("key", {}).values())


def group_from_document(names: Sequence[str], document: Mapping[str, Any]) -> CampaignGroup:
    """The group of a document that a pipeline returns."""
    texts = zip(names, key_of_group(document), strict=False)
    return CampaignGroup(
        campaign={name: text for name, text in texts if text is not None},
        users=document["users"],
        days=sorted((each["day"], each["users"]) for each in document["days"]),
        value_sum=document["value_sum"],
        value_count=document["value_count"],
    )


def _text(path: StoredPath) -> object:
    """The expression of a campaign's text; null where there is none."""
    campaign, name = path
    if campaign != FIRST_CAMPAIGN:
        return {"$ifNull": [f"${campaign}.{name}", None]}
    # A path would also lead through what is behind the first campaign.
    return {"$ifNull": [{"$getField": {"field": name, "input": {"$first": f"${campaign}"}}}, None]}


def _values(path: StoredPath | None) -> Mapping[str, object]:
    """The sum and the count of the numbers at a path, as accumulators."""
    if path is None:
        return {"value_sum": {"$sum": 0.0}, "value_count": {"$sum": 0}}
    # A path that leads through an array finds an array, which is no number. $sum ignores what is no number, and returns
    # a double where a sum of integers exceeds 64 bits.
    value = f"${'.'.join(path)}"
    return {"value_sum": {"$sum": value}, "value_count": {"$sum": {"$cond": [{"$isNumber": value}, 1, 0]}}}
