"""What is refused of requests about credentials, by field, and what is planned."""

from datetime import UTC, datetime, timedelta

import pytest

from server.accounts.changes import (
    NewCredential,
    is_name,
    plan_credential,
    plan_overlap,
    require_credential_id,
    require_other,
)
from server.accounts.scopes import COLLECTOR_SCOPES
from server.errors import InvalidRequest
from server.model import CredentialKind, Scope

_NOW = datetime(2026, 1, 2, tzinfo=UTC)
_DAY = timedelta(days=1)


def _planned(
    name: str = "Support desk",
    kind: str = "management_token",
    scopes: tuple[str, ...] = ("read:users",),
    end: datetime | None = None,
) -> list[tuple[str, str]]:
    """The violations of a request."""
    try:
        plan_credential("app", NewCredential(name, kind, scopes, end), "secret", _NOW)
    except InvalidRequest as error:
        return [(each.field, each.reason) for each in error.violations]
    return []


@pytest.mark.parametrize("name", ["x", "x" * 100, "Jos\u00e9's laptop", "\u2603"])
def test_a_name_is_printable(name: str) -> None:
    assert is_name(name)
    assert _planned(name) == []


@pytest.mark.parametrize("name", ["x" * 101, " x", "x ", "a\nb", "a\x00b", "\u202e", "\ud800"])
def test_another_name_is_refused(name: str) -> None:
    assert _planned(name) == [("display_name", "INVALID_NAME")]


def test_every_field_that_breaks_a_rule_is_named() -> None:
    assert _planned("", "", (), _NOW) == [
        ("display_name", "REQUIRED"),
        ("kind", "REQUIRED"),
        ("scopes", "REQUIRED"),
        ("expire_time", "OUT_OF_RANGE"),
    ]
    assert _planned(kind="key", scopes=("read:users", "read")) == [("kind", "NOT_ONE_OF"), ("scopes[1]", "NOT_ONE_OF")]
    assert _planned(scopes=("read:users",) * (len(Scope) + 1)) == [("scopes", "TOO_MANY")]
    assert _planned(kind="collector_key", scopes=("write:users",)) == [("scopes", "TOO_MANY")]


@pytest.mark.parametrize(
    ("end", "is_refused"),
    [(_NOW, True), (_NOW + _DAY / 1000, False), (_NOW + 36_500 * _DAY, False), (_NOW + 36_501 * _DAY, True)],
)
def test_the_end_is_later_than_now_and_not_too_far_away(end: datetime, is_refused: bool) -> None:
    assert bool(_planned(end=end)) is is_refused


def test_a_collector_key_has_its_scopes_and_a_token_those_that_are_requested() -> None:
    request = NewCredential("x", "collector_key", (), _NOW + _DAY)
    key = plan_credential("app", request, "secret", _NOW)
    assert (key.kind, key.expire_time) == (CredentialKind.COLLECTOR, _NOW + _DAY)
    assert key.scopes == COLLECTOR_SCOPES
    token = plan_credential("app", NewCredential("x", "management_token", ["admin", "admin"], None), "secret", _NOW)
    assert (token.kind, token.expire_time) == (CredentialKind.MANAGEMENT, None)
    assert token.scopes == {Scope.ADMIN}


def test_an_overlap_is_a_day_unless_hours_are_given() -> None:
    assert [plan_overlap(hours) for hours in (None, 0, 720)] == [_DAY, timedelta(), 30 * _DAY]
    for hours in (-1, 721):
        with pytest.raises(InvalidRequest):
            plan_overlap(hours)


def test_a_caller_revokes_its_own_credential_only_where_it_says_so() -> None:
    require_other("a", "b", allow_self=False)
    require_other("a", "a", allow_self=True)
    with pytest.raises(InvalidRequest):
        require_other("a", "a", allow_self=False)
    for text in ("", "x" * 513):
        with pytest.raises(InvalidRequest):
            require_credential_id(text)
