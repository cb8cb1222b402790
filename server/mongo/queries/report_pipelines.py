"""Reports of campaigns as MongoDB's aggregation pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from server.model import CampaignGroup
from server.mongo.queries.user_queries import user_query
from server.query.conditions import StoredPath
from server.users.report_campaigns import Report

Pipeline = list[dict[str, object]]

_TOTAL: Final[Mapping[str, object]] = {"$literal": {}}
_SUMS: Final = {"value_sum": {"$sum": "$value_sum"}, "value_count": {"$sum": "$value_count"}}


def report_pipeline(report: Report) -> Pipeline:
    """The total, then the groups with the most users first, and one more than the report holds if there are more.

    Each profile is read once. The days of a document are in no order.
    """
    # The key is a document, which MongoDB compares field by field: it would sort an array by its smallest element.
    key = {f"field{index}": _text(path) for index, path in enumerate(report.group_by)}
    day = {"$dateToString": {"date": "$created_time", "format": "%Y-%m-%d"}}
    return [
        {"$match": user_query(report.query)},
        {"$group": {"_id": {"key": key, "day": day}, "users": {"$sum": 1}, **_values(report.value)}},
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
        # No group has more users than the total, which is before one that has as many.
        {"$sort": {"users": -1, "_id": 1}},
        {"$limit": report.limit + 2},
    ]


def group_from_document(names: Sequence[str], document: Mapping[str, Any]) -> CampaignGroup:
    """The group of a document that a pipeline returns."""
    texts = zip(names, document["_id"].get("key", {}).values(), strict=False)
    return CampaignGroup(
        campaign={name: text for name, text in texts if text is not None},
        users=document["users"],
        days=sorted((each["day"], each["users"]) for each in document["days"]),
        value_sum=document["value_sum"],
        value_count=document["value_count"],
    )


def _text(path: StoredPath) -> object:
    """The expression of a campaign's text; null where there is none."""
    stored = f"${'.'.join(path)}"
    # The first campaign is in an array of one, and so is what a path finds in it.
    return {"$ifNull": [{"$first": stored} if path[0] == "initial_campaign" else stored, None]}


def _values(path: StoredPath | None) -> Mapping[str, object]:
    """The sum and the count of the numbers at a path, as accumulators."""
    if path is None:
        return {"value_sum": {"$sum": 0.0}, "value_count": {"$sum": 0}}
    # A path that leads through an array finds an array, which is no number. $sum ignores what is no number, and returns
    # a double where a sum of integers exceeds 64 bits.
    value = f"${'.'.join(path)}"
    return {"value_sum": {"$sum": value}, "value_count": {"$sum": {"$cond": [{"$isNumber": value}, 1, 0]}}}
