"""Suggestions as they are planned, and how both lists are merged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidRequest
from server.model import Prefix
from server.users.finding.suggest import merged, plan_suggestions


def _refused(text: str, size: int) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        plan_suggestions("app", text, size)
    return [(each.field, each.reason) for each in refused.value.violations]


def test_an_id_begins_with_the_text_itself_and_an_address_with_one_of_its_keys() -> None:
    assert plan_suggestions("app", " JoÉ.ſK ", 3) == [
        Prefix("app", "user_id", " JoÉ.ſK ", 3),
        *(Prefix("app", "email_key", beginning, 3) for beginning in ("joE\u0301.ſk", "joÉ.ſk", "joé.ſk")),
    ]
    assert [prefix.field for prefix in plan_suggestions("app", " \t", 3)] == ["user_id"]


@pytest.mark.parametrize(("size", "limit"), [(0, 10), (1, 1), (50, 50), (51, 50), (2**31 - 1, 50)])
def test_there_are_at_most_fifty_suggestions(size: int, limit: int) -> None:
    assert {prefix.limit for prefix in plan_suggestions("app", "a", size)} == {limit}


@pytest.mark.parametrize(
    ("text", "size", "violation"),
    [
        ("", 0, ("text", "REQUIRED")),
        ("x" * 513, 0, ("text", "TOO_LONG")),
        ("é" * 257, 0, ("text", "TOO_LONG")),
        ("x", -1, ("page_size", "OUT_OF_RANGE")),
    ],
)
def test_what_breaks_a_rule_is_refused(text: str, size: int, violation: tuple[str, str]) -> None:
    assert _refused(text, size) == [violation]


def _merged(by_id: str, by_email: str, limit: int) -> tuple[str, str]:
    ids, emails = merged(by_id, by_email, str, limit)
    return "".join(ids), "".join(emails)


@pytest.mark.parametrize(
    ("by_id", "by_email", "limit", "expected"),
    [
        ("abcd", "wxyz", 4, ("ab", "wx")),
        ("abc", "xyz", 3, ("ab", "x")),
        ("abcd", "", 4, ("abcd", "")),
        ("", "wxyz", 4, ("", "wxyz")),
        ("abcd", "z", 4, ("abc", "z")),
        ("a", "wxyz", 4, ("a", "wxy")),
        # Users of whom both begin with the text.
        ("abcd", "abcd", 4, ("ab", "cd")),
        ("ab", "abyz", 4, ("ab", "yz")),
        ("abcd", "abz", 4, ("abc", "z")),
        ("a", "x", 1, ("a", "")),
        ("", "", 4, ("", "")),
    ],
)
def test_each_list_has_half_as_far_as_it_has_users(
    by_id: str, by_email: str, limit: int, expected: tuple[str, str]
) -> None:
    assert _merged(by_id, by_email, limit) == expected


_USERS = st.lists(st.sampled_from("abcdefgh"), unique=True).map("".join)


@given(_USERS, _USERS, st.integers(1, 6))
def test_as_many_users_as_possible_are_suggested_and_none_twice(all_by_id: str, all_by_email: str, limit: int) -> None:
    by_id, by_email = all_by_id[:limit], all_by_email[:limit]
    ids, emails = _merged(by_id, by_email, limit)
    found = ids + emails
    assert len(found) == len(set(found)) == min(limit, len({*by_id, *by_email}))
    assert by_id.startswith(ids)
    # In their order, and without leaving one out that is not suggested by its id.
    assert [user for user in by_email if user not in ids][: len(emails)] == list(emails)
