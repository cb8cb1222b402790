"""The rules of absorption, row by row."""

from datetime import UTC, datetime
from typing import Any

import pytest

from server import limits
from server.users.identity.fill import fill

_EARLY, _LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def filled(user: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The fields that change, without what every absorption changes."""
    changed = fill({"user_id": "u", "created_time": _EARLY} | user, {"created_time": _LATE} | other, 7)
    assert changed.pop("absorptions")[-1] == 7
    return changed


_ROWS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing to get": ({"metadata": {"a": 1}}, {}, {}),
    "nothing of its own": ({}, {"metadata": {"a": {"b": 1}}}, {"metadata": {"a": {"b": 1}}}),
    "metadata at every depth": (
        {"metadata": {"a": {"b": {"c": 1}}, "d": 2}},
        {"metadata": {"a": {"b": {"c": 3, "e": 4}, "f": 5}}},
        {"metadata": {"a": {"b": {"c": 1, "e": 4}, "f": 5}, "d": 2}},
    ),
    "an array is one value": ({"metadata": {"a": [1]}}, {"metadata": {"a": [2, 3]}}, {}),
    "a scalar where the other has an object": ({"metadata": {"a": 1}}, {"metadata": {"a": {"b": 2}}}, {}),
    "an object where the other has a scalar": ({"metadata": {"a": {}}}, {"metadata": {"a": 1}}, {}),
    "an empty object": ({"metadata": {}}, {"metadata": {"a": {}}}, {"metadata": {"a": {}}}),
    "campaign by fields": (
        {"campaign": {"utm_source": "s"}},
        {"campaign": {"utm_source": "t", "gclid": "g"}},
        {"campaign": {"utm_source": "s", "gclid": "g"}},
    ),
    "single fields": (
        {"company_id": "c", "anonymous_id": "a"},
        {"company_id": "d", "ip_address": "1.2.3.4", "observed_ip_address": "::1"},
        {"ip_address": "1.2.3.4", "observed_ip_address": "::1"},
    ),
    "a user agent with what is known of it": (
        {},
        {"user_agent_string": "UA", "user_agent": {"os": {"name": "Linux"}}},
        {"user_agent_string": "UA", "user_agent": {"os": {"name": "Linux"}}},
    ),
    "a user agent of which nothing is known": (
        {"user_agent_string": "UA"},
        {"user_agent_string": "Other", "user_agent": {"os": {"name": "Linux"}}},
        {},
    ),
    "the address with what is derived from it": (
        {"metadata": {"name": "John"}},
        {"metadata": {"email": "john@x"}, "avatar_url": "url", "email_domain": "x", "email_key": "john@x"},
        {
            "metadata": {"name": "John", "email": "john@x"},
            **{"avatar_url": "url", "email_domain": "x", "email_key": "john@x"},
        },
    ),
    "an address of its own from which nothing is derived": (
        {"metadata": {"email": "none"}},
        {"metadata": {"email": "john@x"}, "avatar_url": "url", "email_domain": "x", "email_key": "john@x"},
        {},
    ),
    "the later time of the latest update": ({"stored_time": _EARLY}, {"stored_time": _LATE}, {"stored_time": _LATE}),
    "the time of an update that is the latest": ({"stored_time": _LATE}, {"stored_time": _EARLY}, {}),
    "what the caller said of the time": ({"modified_time": _EARLY}, {"modified_time": _LATE}, {}),
    "tokens of both, its own being the latest": (
        {"aliases": [b"1", b"2"]},
        {"aliases": [b"3", b"1"]},
        {"aliases": [b"3", b"1", b"2"]},
    ),
    "the token that was sent last": (
        {"sent_alias": {"alias": b"removed", "time": _LATE}},
        {"aliases": [b"1", b"2"], "sent_alias": {"alias": b"2", "time": _EARLY}},
        {"aliases": [b"1", b"2"], "sent_alias": {"alias": b"2", "time": _EARLY}},
    ),
    "the token of its own that was sent last": (
        {"aliases": [b"1"], "sent_alias": {"alias": b"1", "time": _EARLY}},
        {"aliases": [b"2"], "sent_alias": {"alias": b"2", "time": _LATE}},
        {"aliases": [b"2", b"1"]},
    ),
    "the latest tokens": (
        {"aliases": [b"%d" % number for number in range(limits.ALIASES)]},
        {"aliases": [b"old"]},
        {"aliases": [b"%d" % number for number in range(limits.ALIASES)]},
    ),
    "the anonymous id of a visitor": (
        {"anonymous_id": "b", "anonymous_ids": ["b"]},
        {"anonymous_id": "a"},
        {"anonymous_ids": ["a", "b"]},
    ),
    "the anonymous ids of a user": (
        {"anonymous_id": "c", "anonymous_ids": ["c"]},
        {"anonymous_id": "b", "anonymous_ids": ["a", "b"]},
        {"anonymous_ids": ["a", "b", "c"]},
    ),
    "a user who was merged, and those before": (
        {"merged_user_ids": ["z"]},
        {"user_id": "v", "merged_user_ids": ["w"]},
        {"merged_user_ids": ["z", "w", "v"]},
    ),
}


@pytest.mark.parametrize("row", _ROWS)
def test_a_user_gets_what_it_lacks(row: str) -> None:
    user, other, changed = _ROWS[row]
    assert filled(user, other) == changed


def test_the_latest_absorptions_of_both_are_remembered() -> None:
    user = {"created_time": _EARLY, "absorptions": [*range(limits.ABSORPTIONS)]}
    changed = fill(user, {"created_time": _LATE, "absorptions": [-1]}, -2)
    assert changed["absorptions"] == [*range(2, limits.ABSORPTIONS), -1, -2]
    changed = fill({"created_time": _EARLY, "absorptions": [1]}, {"created_time": _LATE, "absorptions": [2]}, 3)
    assert changed["absorptions"] == [1, 2, 3]
