"""Which campaigns a user has who absorbs a visitor: the older first touch, and the later latest one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from server.users.identity.fill import fill

_EARLY, _LATE = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
_OWN, _OTHER = {"utm_source": "own"}, {"utm_source": "other"}


def _filled(user: dict[str, Any], visitor: dict[str, Any]) -> dict[str, Any]:
    filled = fill({"created_time": _EARLY} | user, {"created_time": _LATE} | visitor, "id")
    return {name: value for name, value in filled.items() if "_campaign" in name}


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (None, [_OTHER, _LATE], [_OTHER, _LATE]),
        ([_OWN, _EARLY], None, None),
        ([_OWN, _EARLY], [_OTHER, _LATE], None),
        # Though the user was created before the visitor.
        ([_OWN, _LATE], [_OTHER, _EARLY], [_OTHER, _EARLY]),
        ([_OWN, _EARLY], [_OTHER, _EARLY], None),
        # An older version stored no time, and maybe another campaign in its place: the times of creation decide.
        ([_OWN], [_OTHER, _EARLY], None),
        ([_OWN, _OTHER], [_OTHER, _EARLY], None),
        ([_OWN, _EARLY], [_OTHER], None),
    ],
)
def test_the_first_campaign_is_that_of_the_older_touch(own: Any, others: Any, expected: Any) -> None:
    user, visitor = ({"initial_campaign": each} if each else {} for each in (own, others))
    assert _filled(user, visitor) == ({"initial_campaign": expected} if expected else {})
    if others == [_OTHER]:
        assert _filled(user, visitor | {"created_time": datetime(2025, 1, 1, tzinfo=UTC)}) == visitor


def _latest(campaign: Any, time: datetime | None) -> dict[str, Any]:
    return {} if time is None else {"latest_campaign": campaign, "latest_campaign_time": time}


@pytest.mark.parametrize(
    ("own", "others", "is_others"),
    [
        (None, _EARLY, True),
        (_EARLY, None, False),
        (_EARLY, _LATE, True),
        (_LATE, _EARLY, False),
        (_EARLY, _EARLY, False),
        (None, None, False),
    ],
)
def test_the_latest_campaign_is_that_of_the_later_touch(
    own: datetime | None, others: datetime | None, is_others: bool
) -> None:
    visitor = _latest(_OTHER, others)
    assert _filled(_latest(_OWN, own), visitor) == (visitor if is_others else {})
