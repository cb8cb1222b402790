"""Etags over HTTP: what changes one, and what an update with one does."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from tests.support.stack import Api

TIME = "2026-01-02T03:04:05Z"


def _reason(answer: Any) -> tuple[int, int, str]:
    body = answer.json()
    return answer.status_code, body["code"], body["details"][0]["reason"]


def _mismatches(answer: Any) -> list[int]:
    """The indices of the updates of a batch that are refused for their etags."""
    refused = answer.json()["refused"]
    assert {each["status"]["details"][0]["reason"] for each in refused} == {"ETAG_MISMATCH"}
    return [each["index"] for each in refused]


CHANGES: list[dict[str, Any]] = [
    {"company_id": "c"},
    {"modified_time": "2026-01-02T03:04:05.000000001Z"},
    {"ip_address": "203.0.113.7"},
    {"session_token": "another"},
    {"user_agent_string": "curl/8.0"},
    {"anonymous_id": "a"},
    {"campaign": {"utm_term": "x"}},
    {"metadata": {"a": {"b": 2}}},
    {"metadata": {"a": {"c": -0.0}}},
    {"metadata": {"a": {"c": 0}}},
    {"metadata": {"a": {"c": {}}}},
    {"metadata": {"a": {"c": []}}},
    {"metadata": {"a": {"b": None}}},
    {"clear_fields": ["campaign"]},
]


def test_the_etag_changes_with_every_change_of_the_profile_and_only_then(api: Api) -> None:
    first = {"modified_time": TIME, "session_token": "one", "campaign": {"gclid": "1"}, "metadata": {"a": {"b": 1}}}
    etag = api.stored(first)["etag"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", etag)
    known = {etag}
    for change in CHANGES:
        update = {"modified_time": TIME} | change
        changed = api.stored(update)["etag"]
        assert changed not in known, change
        known.add(changed)
        # The same again changes `stored_time` alone.
        assert api.stored(update)["etag"] == changed, change
    assert api.stored({})["etag"] not in known


def test_the_same_profile_of_another_user_has_another_etag(api: Api) -> None:
    update = {"modified_time": TIME, "metadata": {"a": 1}}
    assert len({api.stored(update, user_id=user_id)["etag"] for user_id in ("u", "v")}) == 2


def test_an_alias_changes_the_etag_where_the_number_stays(api: Api) -> None:
    users = [{"user_id": "u", "modified_time": TIME, "session_token": f"t{number}"} for number in range(1000)]
    assert api.batch(users).status_code == 201
    full = api.get("u").json()
    after = api.stored({"modified_time": TIME, "session_token": "t1000"})
    assert (full["alias_count"], after["alias_count"]) == (1000, 1000)
    assert full["etag"] != after["etag"]


def _reads(api: Api) -> dict[str, Callable[[], Any]]:
    def posted(path: str, body: dict[str, Any]) -> Any:
        answer = api.client.post(path, json=body, headers=api.reader)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return {
        "BatchGetUsers": lambda: posted("/v1/users:batchGet", {"user_ids": ["u"]})["results"][0]["response"]["user"],
        "by token": lambda: posted("/v1/users:lookup", {"session_token": "two"})["users"][0],
        "by company": lambda: posted("/v1/users:lookup", {"company_id": "c"})["users"][0],
        "ListUsers": lambda: api.client.get("/v1/users", headers=api.reader).json()["users"][0],
        "ExportUser": lambda: api.client.get("/v1/users/u:export", headers=api.reader).json()["user"],
    }


@pytest.mark.parametrize("aliases", [0, 2])
def test_every_read_of_a_whole_user_returns_the_same_etag(api: Api, aliases: int) -> None:
    tokens = ["one", "two"][:aliases]
    user = {"company_id": "c", "ip_address": "203.0.113.7", "metadata": {"email": "john@acmeinc.com", "z": 1, "a": {}}}
    expected = api.stored(user, *({"session_token": token} for token in tokens))
    for name, read in _reads(api).items():
        if aliases or name != "by token":
            assert read() == expected, name
    # Many look-ups of tokens are one query.
    if aliases:
        body = {"session_token": "two"}
        with ThreadPoolExecutor(12) as pool:
            answers = pool.map(
                lambda _: api.client.post("/v1/users:lookup", json=body, headers=api.reader).json(), range(48)
            )
        assert {answer["users"][0]["etag"] for answer in answers} == {expected["etag"]}


def test_with_fields_there_is_no_etag(api: Api) -> None:
    api.stored({"company_id": "c"})
    listed = api.client.get("/v1/users?fields=company_id,modified_time", headers=api.reader).json()["users"]
    assert [user.keys() for user in listed] == [{"user_id", "company_id", "modified_time"}]
    refused = api.client.get("/v1/users?fields=etag", headers=api.reader)
    assert (refused.status_code, refused.json()["details"][1]["field_violations"][0]["field"]) == (400, "fields")


def test_an_update_with_an_etag_is_applied_to_that_profile_alone(api: Api) -> None:
    before = api.stored({"metadata": {"n": 1, "kept": {"a": 1}}})
    assert api.update({"user_id": "u", "etag": before["etag"], "metadata": {"n": 2}}).status_code == 201
    after = api.get("u").json()
    assert after["metadata"] == {"n": 2, "kept": {"a": 1}}
    refused = api.update({"user_id": "u", "etag": before["etag"], "metadata": {"n": 3}})
    assert _reason(refused) == (409, 10, "ETAG_MISMATCH")
    # To send it again cannot help.
    assert [detail["@type"].rpartition(".")[2] for detail in refused.json()["details"]] == ["ErrorInfo"]
    assert "retry-after" not in refused.headers
    assert _reason(api.update({"user_id": "never", "etag": after["etag"]})) == (409, 10, "ETAG_MISMATCH")
    assert api.get("u").json() == after
    assert api.get("never").status_code == 404


@pytest.mark.parametrize("etag", ["", None])
def test_without_an_etag_there_is_no_condition(api: Api, etag: str | None) -> None:
    assert api.stored({"etag": etag, "company_id": "c"})["company_id"] == "c"


def test_the_etag_of_another_user_or_application_is_never_right(api: Api, database: Database[dict[str, Any]]) -> None:
    update = {"modified_time": TIME}
    etags = [api.stored(update, user_id=user_id)["etag"] for user_id in ("u", "v")]
    assert _reason(api.update({"user_id": "u", "etag": etags[1]})) == (409, 10, "ETAG_MISMATCH")
    assert api.update({"user_id": "u", "etag": etags[0]}).status_code == 201


def test_a_user_that_was_read_is_conditional_when_it_is_posted_back(api: Api) -> None:
    read = api.stored({"metadata": {"n": 1}})
    # Posted back unchanged, it leaves the etag, as often as it is sent.
    assert [api.update(read).status_code for _ in range(3)] == [201] * 3
    assert api.get("u").json()["etag"] == read["etag"]
    api.stored({"metadata": {"n": 2}})
    assert _reason(api.update(read)) == (409, 10, "ETAG_MISMATCH")
    del read["etag"]
    assert api.update(read).status_code == 201


def test_in_a_batch_only_updates_whose_etag_is_wrong_are_refused_in_their_order(api: Api) -> None:
    etags = {name: api.stored({"metadata": {"n": 0}}, user_id=name)["etag"] for name in "uvw"}
    answer = api.batch(
        [
            {"user_id": "u", "etag": etags["u"], "metadata": {"n": 1}},
            {"user_id": "x", "metadata": {"n": 1}},
            # The first one has changed it.
            {"user_id": "u", "etag": etags["u"], "metadata": {"n": 2}},
            {"user_id": "u", "metadata": {"m": 3}},
            {"user_id": "v", "metadata": {"n": 1}},
            {"user_id": "v", "etag": etags["v"], "metadata": {"n": 2}},
            {"user_id": "w", "etag": etags["w"], "metadata": {"n": 2}},
        ]
    )
    assert (answer.status_code, _mismatches(answer), answer.json()["saved_count"]) == (400, [2, 5], 5)
    stored = {name: api.get(name).json()["metadata"] for name in "uvwx"}
    assert stored == {"u": {"n": 1, "m": 3}, "v": {"n": 1}, "w": {"n": 2}, "x": {"n": 1}}


def test_a_suppressed_user_is_dropped_whatever_the_etag(api: Api) -> None:
    etag = api.stored({})["etag"]
    assert api.client.delete("/v1/users/u?suppress_days=1", headers=api.reader).status_code == 200
    answer = api.update({"user_id": "u", "etag": etag})
    assert (answer.status_code, answer.json()["suppressed"]) == (201, True)


def test_an_etag_that_no_profile_can_have_is_refused(api: Api) -> None:
    answer = api.update({"user_id": "u", "etag": "x" * 513})
    (violation,) = answer.json()["details"][1]["field_violations"]
    assert (answer.status_code, violation["field"], violation["reason"]) == (400, "etag", "TOO_LONG")
