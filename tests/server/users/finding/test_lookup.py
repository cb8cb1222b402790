"""Look-ups as they are planned: their pages, and what a page token opens for."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet

from server import limits
from server.errors import InvalidRequest
from server.model import Lookup, LookupRequest
from server.query.page_token import SECONDS, PageTokens
from server.users.finding.lookup import order_of, plan_lookup, subject_of_lookup

_KEY = Fernet.generate_key()
_TOKENS = PageTokens(_KEY)
_TIME = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
_ASKED: Mapping[str, str] = {
    "session_token": "secret",
    "email": "john@acme.com",
    "company_id": "acme",
    "anonymous_id": "v",
}


def _plan(
    known: Mapping[str, str], application: str = "app", *, page_size: int = 0, page_token: str = "", now: int = 0
) -> Lookup:
    return plan_lookup(application, LookupRequest(known, page_size, page_token), _TOKENS, now)


def _refused(
    known: Mapping[str, str], application: str = "app", *, page_size: int = 0, page_token: str = "", now: int = 0
) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        _plan(known, application, page_size=page_size, page_token=page_token, now=now)
    return [(each.field, each.reason) for each in refused.value.violations]


@pytest.mark.parametrize(("asked", "limit"), [(0, 100), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)])
def test_a_page_has_the_requested_size_up_to_a_thousand(asked: int, limit: int) -> None:
    assert _plan({"company_id": "c"}, page_size=asked).limit == limit


def test_a_negative_page_size_is_refused() -> None:
    assert _refused({"company_id": "c"}, page_size=-1) == [("page_size", "OUT_OF_RANGE")]


@pytest.mark.parametrize("name", _ASKED)
@pytest.mark.parametrize("time", [_TIME, None])
def test_a_page_token_continues_where_the_page_ended(name: str, time: datetime | None) -> None:
    first = _plan({name: _ASKED[name]})
    assert first.after is None
    position = (*[time for _ in order_of(first)], "app/u/1")
    token = _TOKENS.seal(position, subject_of_lookup(first), 0)
    assert _plan({name: _ASKED[name]}, page_token=token).after == position


@pytest.mark.parametrize("name", _ASKED)
def test_a_page_token_is_valid_for_the_same_look_up_of_the_same_application_for_a_day(name: str) -> None:
    known = {name: _ASKED[name]}
    token = _TOKENS.seal([_TIME, "app/u/1"], subject_of_lookup(_plan(known)), 0)
    invalid = [("page_token", "INVALID_PAGE_TOKEN")]
    day = SECONDS * 1_000_000_000
    assert _plan(known, page_token=token, now=day).after
    assert _refused(known, page_token=token, now=day + 1_000_000_000) == invalid
    assert _refused(known, "other", page_token=token) == invalid
    assert _refused({name: f"x{_ASKED[name]}"}, page_token=token) == invalid
    for other in _ASKED.keys() - {name}:
        # The same text means something else elsewhere.
        assert _refused({"company_id": _ASKED[other]}, page_token=token) == invalid
    assert _refused(known, page_token="forged") == invalid
    assert _refused(known, page_token="x" * (limits.PAGE_TOKEN_BYTES + 1)) == invalid
    listed = _TOKENS.seal([_TIME, "app/u/1"], ["app", "", ""], 0)
    assert _refused(known, page_token=listed) == invalid


def test_not_even_an_opened_token_holds_what_was_looked_up() -> None:
    for name, text in _ASKED.items():
        opened = Fernet(_KEY).decrypt(_TOKENS.seal([None, "app/u/1"], subject_of_lookup(_plan({name: text})), 0))
        assert text.encode() not in opened
    assert not any("secret" in part for part in subject_of_lookup(_plan({"session_token": "secret"})))
