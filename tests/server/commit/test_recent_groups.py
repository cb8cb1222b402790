"""The times of the groups of the last minute."""

import pytest

from server.commit import recent_groups
from server.commit.recent_groups import SECONDS, GroupTimes, RecentGroups


class Times:
    """Groups that end now, on a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.recent = RecentGroups(lambda: self.now)

    def end(self, *seconds: float) -> None:
        for each in seconds:
            self.recent.add(self.now - each, self.now)


@pytest.fixture
def times() -> Times:
    return Times()


def test_without_groups_there_is_no_time(times: Times) -> None:
    assert times.recent.times() == GroupTimes(0, 0.0, 0.0, None)


def test_half_of_the_groups_and_95_percent_of_them(times: Times) -> None:
    times.end(7.0)
    assert times.recent.times() == GroupTimes(1, 7.0, 7.0, 0.0)
    times.recent = RecentGroups(lambda: times.now)
    times.end(*(float(number) for number in range(100, 0, -1)))
    assert times.recent.times() == GroupTimes(100, 50.0, 95.0, 0.0)


def test_a_group_is_recent_for_a_minute(times: Times) -> None:
    times.end(5.0)
    times.now = 1.0
    times.end(3.0)
    times.now = SECONDS
    assert times.recent.times() == GroupTimes(2, 3.0, 5.0, SECONDS - 1)
    times.now = SECONDS + 0.5
    assert times.recent.times() == GroupTimes(1, 3.0, 3.0, SECONDS - 0.5)
    times.now = SECONDS + 1.5
    assert times.recent.times() == GroupTimes(0, 0.0, 0.0, SECONDS + 0.5)


def test_the_latest_groups_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_groups, "GROUPS", 2)
    recent = RecentGroups(lambda: 0.0)
    for seconds in (9.0, 1.0, 2.0):
        recent.add(-seconds, 0.0)
    assert recent.times() == GroupTimes(2, 1.0, 2.0, 0.0)
