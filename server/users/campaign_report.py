"""What campaigns brought: from a request to two aggregations, of the groups and of all users together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import CampaignGroup, ReportRequest
from server.query.fields import CAMPAIGN_FIELDS, CAMPAIGNS, FieldKind, field_at
from server.query.grammar import Path, parse_filter, parse_paths, refusal
from server.query.strings import paths_text
from server.users.filter_conditions import Pipeline, Query, plan_query, time_query

_GROUP_BY: Final = "initial_campaign.utm_source"


@dataclass(frozen=True, slots=True)
class Report:
    """The pipelines of a report. `names` are the fields that make a group; `most` groups are wanted, and `groups` finds
    one more where there are more."""

    names: Sequence[str]
    most: int
    groups: Pipeline
    total: Pipeline


def plan_report(application_id: str, request: ReportRequest) -> Report:
    """The report that is asked for. Raises InvalidRequest."""
    if not 0 <= request.max_groups <= limits.REPORT_GROUPS:
        description = f"must be 1 to {limits.REPORT_GROUPS:,}, or 0 for {limits.REPORT_GROUPS_BY_DEFAULT}"
        raise InvalidRequest([Violation("max_groups", "OUT_OF_RANGE", description)])
    paths = _group_by(paths_text("group_by", request.group_by) if request.group_by else _GROUP_BY)
    value = _value(request.value_path) if request.value_path else None
    query = _query(application_id, request)
    most = request.max_groups or limits.REPORT_GROUPS_BY_DEFAULT
    # By a document, which is compared field by field: an array would be sorted by its least element.
    key = {f"field{index}": _text(path) for index, path in enumerate(paths)}
    ranked: Pipeline = [{"$sort": {"users": -1, "_id": 1}}, {"$limit": most + 1}]
    return Report(
        names=[".".join(path) for path in paths],
        most=most,
        groups=[*_grouped(query, key, value), *ranked],
        total=_grouped(query, {}, value),
    )


def group_from_document(names: Sequence[str], document: Mapping[str, Any]) -> CampaignGroup:
    """The group that a document of a report's pipelines is."""
    texts = zip(names, document["_id"].values(), strict=False)
    return CampaignGroup(
        campaign={name: text for name, text in texts if text is not None},
        users=document["users"],
        days=sorted((each["day"], each["users"]) for each in document["days"]),
        value_sum=document["value_sum"],
        value_count=document["value_count"],
    )


def _query(application_id: str, request: ReportRequest) -> Query:
    start, end = request.start_time, request.end_time
    if start is not None and end is not None and end <= start:
        raise InvalidRequest([Violation("end_time", "NOT_AFTER_START_TIME", "must be after start_time")])
    bounds = [
        time_query("created_time", operator, time) for operator, time in ((">=", start), ("<", end)) if time is not None
    ]
    query = plan_query(application_id, parse_filter(request.filter))
    return {"$and": [query, *bounds]}


def _group_by(text: str) -> Sequence[Path]:
    listed = parse_paths(text, "group_by")
    for each in listed:
        if len(each.path) != 2 or each.path[0] not in CAMPAIGNS or each.path[1] not in CAMPAIGN_FIELDS:
            raise refusal("group_by", each.column, "expected a field of campaign or initial_campaign")
    paths = [each.path for each in listed]
    if len(paths) > limits.REPORT_FIELDS or len(set(paths)) < len(paths):
        description = f"must be 1 to {limits.REPORT_FIELDS} different fields"
        raise InvalidRequest([Violation("group_by", "OUT_OF_RANGE", description)])
    return paths


def _value(text: str) -> str:
    """The path to a value, as it is stored."""
    listed = parse_paths(text, "value_path")
    field = field_at(listed[0].path)
    if field is None or field.kind is not FieldKind.JSON:
        raise refusal("value_path", listed[0].column, "expected a path below metadata")
    if len(listed) > 1:
        raise refusal("value_path", listed[1].column, "expected a single path")
    return field.path


def _text(path: Path) -> object:
    """The expression of a campaign's text; null where there is none, which no text is."""
    stored = f"${'.'.join(path)}"
    # The first campaign is in an array of one, and so is what a path finds in it.
    return {"$ifNull": [{"$first": stored} if path[0] == "initial_campaign" else stored, None]}


def _grouped(query: Query, key: Mapping[str, object], value: str | None) -> Pipeline:
    """One document for each group, with its days in no order."""
    counted: dict[str, object] = {"value_sum": {"$sum": 0.0}, "value_count": {"$sum": 0}}
    if value is not None:
        # Through an array, a path finds an array, which is no number. Doubles, for a sum of integers may pass 64 bits.
        number = {"$isNumber": f"${value}"}
        counted = {
            "value_sum": {"$sum": {"$cond": [number, {"$toDouble": f"${value}"}, 0.0]}},
            "value_count": {"$sum": {"$cond": [number, 1, 0]}},
        }
    day = {"$dateToString": {"date": "$created_time", "format": "%Y-%m-%d"}}
    return [
        {"$match": query},
        {"$group": {"_id": {"key": key, "day": day}, "users": {"$sum": 1}, **counted}},
        {
            "$group": {
                "_id": "$_id.key",
                "users": {"$sum": "$users"},
                "days": {"$push": {"day": "$_id.day", "users": "$users"}},
                "value_sum": {"$sum": "$value_sum"},
                "value_count": {"$sum": "$value_count"},
            }
        },
    ]
