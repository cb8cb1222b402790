"""ReportCampaigns: which users are reported, how they are grouped, and how the parts of a large report are merged."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import CampaignGroup, CampaignReport, FetchedGroup, ReportRequest
from server.query.conditions import ProfileQuery, StoredPath
from server.query.fields import CAMPAIGN_FIELDS, CAMPAIGNS, FieldKind, field_at
from server.query.grammar import Path, parse_filter, parse_paths, refusal
from server.query.strings import paths_text
from server.users.filter_conditions import profiles_matching, time_condition

_DEFAULT_GROUP_BY: Final = "initial_campaign.utm_source"

SAMPLE_SHARE: Final = 256
"""A sample of a report reads one user in so many."""


@dataclass(frozen=True, slots=True)
class Report:
    """Groups of the users of a query who have the same texts in the campaign fields `group_by`, and a total of all.

    At most `limit` groups are wanted. `value` is the path of the numbers that are summed, if any.
    """

    query: ProfileQuery
    group_by: Sequence[StoredPath]
    value: StoredPath | None
    limit: int

    @property
    def names(self) -> Sequence[str]:
        """The names of the fields in `group_by`."""
        return [".".join(path) for path in self.group_by]


@dataclass(frozen=True, slots=True)
class ReportSample:
    """The users of a report among those whose ids have a digest in one of `SAMPLE_SHARE` ranges of equal size.

    They are in `groups` groups, of which `lone` hold one user, and were created within `days` days.
    """

    users: int
    groups: int
    lone: int
    days: int

    @property
    def is_of_parts(self) -> bool:
        """Whether the report has so many users that it should be read in parts, and so few groups that it can be."""
        # As many users are expected in groups of which the sample has none. Each could be a group of its own.
        unseen = self.lone * SAMPLE_SHARE
        rows = self.groups * self.days + unseen
        return self.users * SAMPLE_SHARE >= limits.REPORT_IN_PARTS_USERS and rows <= limits.REPORT_PART_GROUPS


GroupKey: TypeAlias = tuple[str | None, ...]
"""The texts of a group, or None where there is none. The key of the total is empty."""


@dataclass(frozen=True, slots=True)
class GroupPart:
    """The users of one part of a report who are in one group."""

    key: GroupKey
    users: int
    fetched: FetchedGroup


class _MergedGroup:
    """A FetchedGroup of all parts of a group, which are merged when it is asked for."""

    def __init__(self) -> None:
        self.users = self.size = 0
        self._parts: list[FetchedGroup] = []

    def add(self, part: GroupPart) -> None:
        self.users += part.users
        self.size += part.fetched.size
        self._parts.append(part.fetched)

    def group(self) -> CampaignGroup:
        parts = [part.group() for part in self._parts]
        days: Counter[str] = Counter()
        for part in parts:
            days.update(dict(part.days))
        return CampaignGroup(
            campaign=parts[0].campaign,
            users=self.users,
            days=sorted(days.items()),
            value_sum=_sum([part.value_sum for part in parts]),
            value_count=sum(part.value_count for part in parts),
        )


def merge_parts(parts: Iterable[GroupPart], limit: int) -> CampaignReport:
    """The report of which these are all groups of all parts, of whose groups at most `limit` are wanted."""
    merged: dict[GroupKey, _MergedGroup] = {}
    for part in parts:
        merged.setdefault(part.key, _MergedGroup()).add(part)
    total = merged.pop((), None)
    first = sorted(merged.items(), key=_rank)[: limit + 1]
    return CampaignReport([group for _, group in first[:limit]], len(first) > limit, total)


def _rank(item: tuple[GroupKey, _MergedGroup]) -> tuple[int, Sequence[tuple[bool, bytes]]]:
    key, group = item
    # As MongoDB sorts: nothing first, then texts by their bytes.
    return -group.users, [(text is not None, (text or "").encode()) for text in key]


def _sum(sums: Sequence[float]) -> float:
    """The sum of MongoDB's sums, rounded once: of integers, an integer where it has 64 bits, and else a double."""
    if not all(map(math.isfinite, sums)):
        return sum(sums)
    exact = sum(map(Fraction, sums))
    if -(2**63) <= exact < 2**63 and all(isinstance(each, int) for each in sums):
        return int(exact)
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def plan_report(application_id: str, request: ReportRequest) -> Report:
    """The report that a request asks for. Raises InvalidRequest."""
    if not 0 <= request.max_groups <= limits.REPORT_GROUPS:
        description = f"must be 1 to {limits.REPORT_GROUPS:,}, or 0 for {limits.REPORT_GROUPS_BY_DEFAULT}"
        raise InvalidRequest([Violation("max_groups", "OUT_OF_RANGE", description)])
    group_by = _group_by(paths_text("group_by", request.group_by) if request.group_by else _DEFAULT_GROUP_BY)
    value = _value(request.value_path) if request.value_path else None
    query = _query(application_id, request)
    return Report(query, group_by, value, request.max_groups or limits.REPORT_GROUPS_BY_DEFAULT)


def _query(application_id: str, request: ReportRequest) -> ProfileQuery:
    start, end = request.start_time, request.end_time
    if start is not None and end is not None and end <= start:
        raise InvalidRequest([Violation("end_time", "NOT_AFTER_START_TIME", "must be after start_time")])
    bounds = ((">=", start), ("<", end))
    created = [time_condition(("created_time",), operator, time) for operator, time in bounds if time is not None]
    query = profiles_matching(application_id, parse_filter(request.filter))
    return ProfileQuery(application_id, (*query.conditions, *created))


def _group_by(text: str) -> Sequence[Path]:
    listed = parse_paths(text, "group_by")
    for each in listed:
        if len(each.path) != 2 or each.path[0] not in CAMPAIGNS or each.path[1] not in CAMPAIGN_FIELDS:
            raise refusal("group_by", each.column, "expected a field of campaign, initial_campaign or latest_campaign")
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
