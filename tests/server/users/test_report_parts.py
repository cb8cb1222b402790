"""The groups of the parts of a report, merged."""

import math
from dataclasses import dataclass

import pytest

from server import limits
from server.model import CampaignGroup
from server.users.report_campaigns import GroupKey, GroupPart, ReportSample, merge_parts


@dataclass(frozen=True)
class _Fetched:
    of: CampaignGroup
    size: int = 100

    def group(self) -> CampaignGroup:
        return self.of


def _part(key: GroupKey, users: int, value_sum: float = 0, value_count: int = 0, day: str = "2026-01-01") -> GroupPart:
    campaign = {f"field{index}": text for index, text in enumerate(key) if text is not None}
    return GroupPart(key, users, _Fetched(CampaignGroup(campaign, users, [(day, users)], value_sum, value_count)))


def test_groups_with_the_same_key_are_one_group() -> None:
    parts = [
        _part((), 5, 7, 2),
        _part(("a", None), 5, 7, 2, day="2026-01-02"),
        _part((), 3, 0.5, 1),
        _part(("a", None), 2, 0.5, 1, day="2026-01-02"),
        _part(("a", None), 1, day="2026-01-01"),
    ]
    report = merge_parts(parts, 10)
    (group,) = report.groups
    days = [("2026-01-01", 1), ("2026-01-02", 7)]
    assert group.group() == CampaignGroup({"field0": "a"}, 8, days, 7.5, 3)
    assert group.size == 300
    assert report.total is not None
    assert report.total.group() == CampaignGroup({}, 8, [("2026-01-01", 8)], 7.5, 3)
    assert not report.has_more


def test_groups_with_the_most_users_are_first_then_those_without_a_text_and_then_the_order_is_that_of_bytes() -> None:
    keys = [("b",), ("a",), ("",), (None,), ("\U0001f600",), ("\uffff",), ("most",)]
    parts = [_part(key, 2 + (key == ("most",))) for key in keys] + [_part((), 15)]
    report = merge_parts(parts, 6)
    first = [group.group().campaign.get("field0") for group in report.groups]
    assert first == ["most", None, "", "a", "b", "\uffff"]
    assert report.has_more
    assert not merge_parts(parts, 7).has_more


def test_the_parts_of_no_users_have_no_total() -> None:
    report = merge_parts([], 1)
    assert (report.groups, report.has_more, report.total) == ([], False, None)


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        ([2**53, 1], 2**53 + 1),
        ([2**62, 2**62], 2.0**63),
        ([-(2**62), -(2**62)], -(2**63)),
        ([2**53 + 1, 0.5, -(2**53)], 1.5),
        ([0.1, 0.2, -0.3], 2.0**-55),
        ([1.7e308, 1.7e308], math.inf),
        ([-1.7e308, -1.7e308], -math.inf),
        ([math.inf, 1], math.inf),
    ],
)
def test_a_sum_is_rounded_once(sums: list[float], expected: float) -> None:
    parts = [_part((), 1, each, 1) for each in sums]
    total = merge_parts(parts, 1).total
    assert total is not None
    value_sum = total.group().value_sum
    assert (value_sum, type(value_sum)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("sample", "is_of_parts"),
    [
        (ReportSample(users=1000, groups=10, lone=0, days=365), True),
        (ReportSample(users=limits.REPORT_IN_PARTS_USERS // 256, groups=10, lone=0, days=1), False),
        (ReportSample(users=1000, groups=1000, lone=1000, days=1), False),
        (ReportSample(users=1000, groups=60, lone=0, days=365), False),
    ],
    ids=["many users of few groups", "few users", "a group for each user", "many days"],
)
def test_a_report_of_many_users_and_few_groups_is_read_in_parts(sample: ReportSample, is_of_parts: bool) -> None:
    assert sample.is_of_parts is is_of_parts
