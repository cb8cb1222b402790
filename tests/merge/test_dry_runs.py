"""Dry runs over HTTP: they show what updates then do, and write nothing."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from tests.support.expected_changes import expected_changes
from tests.support.stack import Api
from tests.support.strategies import UPDATES

pytestmark = pytest.mark.long

# Where an update has no time, these are the server's, which goes on.
_DEFAULTS = {"modified_time", "initial_campaign_time", "latest_campaign_time"}
_TIMES = ("created_time", "stored_time", *_DEFAULTS)
_RAW = CodecOptions(document_class=RawBSONDocument)

_numbers = itertools.count()
_settings = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _preview(api: Api, user: object) -> Any:
    return api.client.post("/v1/users?validate_only=true", json=user, headers=api.reader)


def _preview_batch(api: Api, users: object) -> Any:
    return api.client.post("/v1/users/batch?validate_only=true", json=users, headers=api.reader)


def _user(api: Api, user_id: str) -> dict[str, Any] | None:
    response = api.get(user_id)
    return response.json() if response.status_code == 200 else None


def _untimed(user: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in user.items() if name not in (*_TIMES, "etag")}


@pytest.fixture
def stored(api: Api, database: Database[dict[str, Any]]) -> Callable[[], list[bytes]]:
    """The bytes of all documents of the application."""
    profiles: Any = database.profiles.with_options(codec_options=_RAW)
    query = {"_id": {"$regex": f"^{api.application.application_id}/"}}
    return lambda: [bytes(document.raw) for document in profiles.find(query).sort("_id")]


@_settings
@given(st.lists(UPDATES, min_size=1, max_size=3))
def test_a_dry_run_shows_what_the_update_then_stores(
    api: Api, stored: Callable[[], list[bytes]], updates: list[dict[str, Any]]
) -> None:
    user_id = f"u/{next(_numbers)}"
    for update in updates:
        before, documents = _user(api, user_id), stored()
        shown = _preview(api, {"user_id": user_id} | update)
        assert shown.status_code == 201, shown.text
        preview = shown.json()
        assert stored() == documents
        assert api.update({"user_id": user_id} | update).json().get("warnings") == preview.get("warnings")
        after = _user(api, user_id)
        assert after is not None
        assert _untimed(preview["user"]) == _untimed(after)
        changed = {*preview.get("changed_paths", [])} - _DEFAULTS
        assert changed == expected_changes(before, after) - _DEFAULTS
        paths = preview.get("changed_paths", [])
        assert paths == sorted(paths)
        assert ("created_time" in changed) is (before is None)


@_settings
@given(st.lists(st.tuples(st.sampled_from("abc"), UPDATES), min_size=1, max_size=8))
def test_in_a_batch_each_update_is_computed_on_those_before_it(
    api: Api, updates: list[tuple[str, dict[str, Any]]]
) -> None:
    number = next(_numbers)
    users = [{"user_id": f"b/{number}/{name}"} | update for name, update in updates]
    before: dict[str, Any] = {user["user_id"]: None for user in users}
    shown = _preview_batch(api, users)
    assert (shown.status_code, shown.json()["saved_count"]) == (201, len(users)), shown.text
    previews = shown.json()["previews"]
    assert [each["index"] for each in previews] == list(range(len(users)))
    for user, each in zip(users, previews, strict=True):
        # One after the other, as the batch would be.
        assert api.update(user).status_code == 201
        after = _user(api, user["user_id"])
        assert after is not None
        assert _untimed(each["user"]) == _untimed(after)
        changed = {*each.get("changed_paths", [])} - _DEFAULTS
        assert changed == expected_changes(before[user["user_id"]], after) - _DEFAULTS
        before[user["user_id"]] = after


def test_the_response_has_the_profile_as_it_would_be_and_what_would_change(
    api: Api, stored: Callable[[], list[bytes]]
) -> None:
    exact = {"modified_time": "2026-01-02T03:04:05Z"}
    api.stored({"company_id": "c", "metadata": {"a.b": {"c": 1}, "list": [1, 2], "gone": {"x": 1, "y": 2}}} | exact)
    documents = stored()
    metadata = {"a.b": {"c": 2, "new": {}}, "list": [1, 2], "gone": None, "never": None}
    update = {"user_id": "u", "company_id": "c", "session_token": "t", "campaign": {"gclid": "1"}, "metadata": metadata}
    answer = _preview(api, update | exact)
    assert (answer.status_code, answer.json().keys()) == (201, {"user", "changed_paths"})
    assert answer.json()["user"]["metadata"] == {"a.b": {"c": 2, "new": {}}, "list": [1, 2]}
    assert "etag" not in answer.json()["user"]
    assert answer.json()["changed_paths"] == [
        "alias_count",
        "campaign.gclid",
        "initial_campaign.gclid",
        "initial_campaign_time",
        "latest_campaign.gclid",
        "latest_campaign_time",
        "metadata.gone",
        'metadata["a.b"].c',
        'metadata["a.b"].new',
    ]
    assert stored() == documents


def test_an_update_that_changes_nothing_has_no_paths(api: Api) -> None:
    read = api.stored({"metadata": {"n": 1}})
    answer = _preview(api, read)
    assert (answer.status_code, answer.json().keys()) == (201, {"user"})
    assert answer.json()["user"] | {"etag": "", "stored_time": ""} == read | {"etag": "", "stored_time": ""}


def test_warnings_and_refusals_are_those_of_the_update(api: Api, stored: Callable[[], list[bytes]]) -> None:
    for user in (
        {"user_id": "u", "company_id": "", "metadata": {"phone": 1, "n": 9007199254740993}},
        {"user_id": "u", "metadata": {"email": {}}},
        {"metadata": {"a": 1}},
        {"user_id": "u", "etag": "another"},
        {"user_id": "u", "metadata": {"a": "x" * 1_048_400}},
    ):
        shown, done = _preview(api, user), api.update(user)
        assert shown.status_code == done.status_code
        expected = done.json()
        if done.status_code == 201:
            assert shown.json()["warnings"] == expected["warnings"]
        else:
            assert shown.json() == expected


def test_an_etag_is_compared_with_the_profile_as_it_would_be(api: Api) -> None:
    etag = api.stored({"metadata": {"n": 1}})["etag"]
    assert _preview(api, {"user_id": "u", "etag": etag, "metadata": {"n": 2}}).json()["changed_paths"]
    first, second = ({"user_id": "u", "etag": etag, "metadata": {"n": n}} for n in (2, 3))
    answer = _preview_batch(api, [first, second])
    assert (answer.status_code, answer.json()["refused"][0]["index"]) == (400, 1)
    assert answer.json()["refused"][0]["status"]["details"][0]["reason"] == "ETAG_MISMATCH"
    assert [each["index"] for each in answer.json()["previews"]] == [0]
    assert api.get("u").json()["etag"] == etag


def test_an_update_of_a_suppressed_user_would_be_dropped(api: Api, stored: Callable[[], list[bytes]]) -> None:
    api.stored({})
    assert api.client.delete("/v1/users/u?suppress_days=1", headers=api.reader).status_code == 200
    documents = stored()
    answer = _preview(api, {"user_id": "u", "metadata": {"n": 1}})
    assert (answer.status_code, answer.json().keys()) == (201, {"suppressed", "warnings"})
    batch = _preview_batch(api, [{"user_id": "u"}, {"user_id": "v"}]).json()
    assert (batch["saved_count"], batch["suppressed_count"]) == (1, 1)
    assert batch["previews"][0] == {"index": 0, "suppressed": True}
    assert stored() == documents


def test_a_profile_that_would_hold_too_many_values_is_refused_and_one_that_shrinks_is_not(
    api: Api, stored: Callable[[], list[bytes]]
) -> None:
    for number in range(5):
        api.stored({"metadata": {f"k{number}": [0] * 9_900}})
    documents = stored()
    answer = _preview(api, {"user_id": "u", "metadata": {"more": [0] * 9_900}})
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, "PROFILE_TOO_LARGE")
    answer = _preview(api, {"user_id": "u", "metadata": {"k0": None, "more": [0] * 9_900}})
    assert answer.json()["changed_paths"] == ["metadata.k0", "metadata.more", "modified_time"]
    assert stored() == documents


def test_what_exceeds_a_response_is_refused_and_the_rest_is_not_computed(api: Api) -> None:
    users = [{"user_id": f"u{number}", "metadata": {"a": "x" * 900_000}} for number in range(10)]
    answer = _preview_batch(api, users)
    # The body has 9 MB, in three RPCs. What exceeds the answer is only counted.
    assert (answer.status_code, answer.json()["saved_count"]) == (201, 10)
    assert [each["index"] for each in answer.json()["previews"]] == list(range(9))
    for user in users:
        assert api.update(user).status_code == 201
    answer = _preview_batch(api, [{"user_id": f"u{number}", "company_id": "c"} for number in range(10)])
    assert (answer.status_code, answer.json()["saved_count"]) == (429, 9)
    (refused,) = answer.json()["refused"]
    assert (refused["index"], refused["status"]["details"][0]["reason"]) == (9, "RESPONSE_TOO_LARGE")


def test_more_updates_than_one_rpc_takes_are_shown_in_their_order(api: Api) -> None:
    users = [{"user_id": f"u{number % 700}", "metadata": {"n": number}} for number in range(1_100)]
    previews = _preview_batch(api, users).json()["previews"]
    assert [(each["index"], each["user"]["metadata"]["n"]) for each in previews] == [(n, n) for n in range(1_100)]
    assert "created_time" not in previews[700]["changed_paths"]


def test_a_deletion_shows_what_would_be_gone(api: Api, stored: Callable[[], list[bytes]]) -> None:
    api.stored({"anonymous_id": "a", "session_token": "one"}, {"session_token": "two"})
    api.stored({}, user_id="v")
    assert api.update({"anonymous_id": "a", "session_token": "three"}).status_code == 201
    documents = stored()
    expected = {"deleted": True, "alias_count": 3, "visitor_count": 0, "pointer_count": 1}
    nothing = {"deleted": False, "alias_count": 0, "visitor_count": 0, "pointer_count": 0}
    for path in ("/v1/users/u?validate_only=true", "/v1/users/u?validate_only=true&suppress_days=7"):
        answer = api.client.delete(path, headers=api.reader)
        assert (answer.status_code, answer.json()) == (200, expected)
    body = {"user_ids": ["u", "v", "w", "u", ""], "suppress_days": 7, "validate_only": True}
    results = api.client.post("/v1/users:batchDelete", json=body, headers=api.reader).json()["results"]
    assert [each.get("response") for each in results] == [
        expected,
        nothing | {"deleted": True},
        nothing,
        nothing,
        None,
    ]
    assert stored() == documents
    refused = api.client.delete("/v1/users/u?validate_only=true&suppress_days=-1", headers=api.reader)
    assert refused.status_code == 400
    # A deletion that is done has no numbers.
    assert api.client.delete("/v1/users/u?suppress_days=1", headers=api.reader).json() == {"deleted": True}
    assert api.client.delete("/v1/users/u?validate_only=true", headers=api.reader).json() == nothing
