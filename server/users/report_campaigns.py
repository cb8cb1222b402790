"""ReportCampaigns: which users are reported, and how they are grouped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import ReportRequest
from server.query.conditions import StoredPath, UserQuery
from server.query.fields import CAMPAIGN_FIELDS, CAMPAIGNS, FieldKind, field_at
from server.query.grammar import Path, parse_filter, parse_paths, refusal
from server.query.strings import paths_text
from server.users.filter_conditions import time_condition, users_matching

_DEFAULT_GROUP_BY: Final = "initial_campaign.utm_source"


@dataclass(frozen=True, slots=True)
class Report:
    """Groups of the users of a query who have the same texts in the campaign fields `group_by`, and a total of all.

    At most `limit` groups are wanted. `value` is the path of the numbers that are summed, if any.
    """

    query: UserQuery
    group_by: Sequence[StoredPath]
    value: StoredPath | None
    limit: int

    @property
    def names(self) -> Sequence[str]:
        """The names of the fields in `group_by`."""
        return [".".join(path) for path in self.group_by]


def plan_report(application_id: str, request: ReportRequest) -> Report:
    """The report that a request asks for. Raises InvalidRequest."""
    if not 0 <= request.max_groups <= limits.REPORT_GROUPS:
        description = f"must be 1 to {limits.REPORT_GROUPS:,}, or 0 for {limits.REPORT_GROUPS_BY_DEFAULT}"
        raise InvalidRequest([Violation("max_groups", "OUT_OF_RANGE", description)])
    group_by = _group_by(paths_text("group_by", request.group_by) if request.group_by else _DEFAULT_GROUP_BY)
    value = _value(request.value_path) if request.value_path else None
    query = _query(application_id, request)
    return Report(query, group_by, value, request.max_groups or limits.REPORT_GROUPS_BY_DEFAULT)


def _query(application_id: str, request: ReportRequest) -> UserQuery:
    start, end = request.start_time, request.end_time
    if start is not None and end is not None and end <= start:
        raise InvalidRequest([Violation("end_time", "NOT_AFTER_START_TIME", "must be after start_time")])
    bounds = ((">=", start), ("<", end))
    created = [time_condition("created_time", operator, time) for operator, time in bounds if time is not None]
    query = users_matching(application_id, parse_filter(request.filter))
    return UserQuery(application_id, (*query.conditions, *created))


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


def _value(text: str) -> StoredPath:
    listed = parse_paths(text, "value_path")
    field = field_at(listed[0].path)
    if field is None or field.kind is not FieldKind.JSON:
        raise refusal("value_path", listed[0].column, "expected a path below metadata")
    if len(listed) > 1:
        raise refusal("value_path", listed[1].column, "expected a single path")
    return field.stored
