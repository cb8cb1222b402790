"""Visitors read, listed, counted, exported and erased over HTTP, and those who were identified."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from server.users.ids import alias_digest, visitor_id
from tests.support.applications import Application
from tests.support.stack import Api, percent_encoded

_ABSENT = "VISITOR_NOT_FOUND"
_IDENTIFIED = "VISITOR_IDENTIFIED"


def visit(api: Api, anonymous_id: str, **fields: Any) -> None:
    assert api.update({"anonymous_id": anonymous_id, **fields}).status_code == 201


def read(api: Api, path: str, **query: Any) -> Mapping[str, Any]:
    response = api.client.get(f"/v1/visitors{path}", params=query, headers=api.reader)
    assert response.status_code == 200, response.text
    body: Mapping[str, Any] = response.json()
    return body


def refusal(api: Api, method: str, path: str) -> tuple[int, str]:
    """The status and the reason of a request."""
    response = api.client.request(method, f"/v1/visitors/{path}", headers=api.reader)
    return response.status_code, response.json()["details"][0]["reason"]


def names(page: Mapping[str, Any]) -> list[str]:
    return [each["anonymous_id"] for each in page["visitors"]]


@pytest.mark.parametrize("anonymous_id", ["v", "a/b", "é:x", "%2F", "x" * 512])
def test_a_visitor_is_read_exported_and_erased(api: Api, application: Application, anonymous_id: str) -> None:
    visit(api, anonymous_id, campaign={"utm_source": "x"}, metadata={"a.b": [1]}, session_token="t")
    path = f"/{percent_encoded(anonymous_id)}"
    visitor = read(api, path)
    assert (visitor["user_id"], visitor["anonymous_id"], visitor["alias_count"]) == ("", anonymous_id, 1)
    assert (visitor["campaign"], visitor["metadata"]) == ({"utm_source": "x"}, {"a.b": [1]})
    digest = alias_digest(application.application_id, "t").hex()
    assert read(api, f"{path}:export") == {"visitor": visitor, "alias_digests": [digest]}
    erased = [api.client.delete(f"/v1/visitors{path}", headers=api.reader).json() for _ in range(2)]
    assert erased == [{"deleted": True}, {"deleted": False}]
    for method, each in (("GET", path), ("GET", f"{path}:export")):
        assert refusal(api, method, each[1:]) == (404, _ABSENT)
    assert read(api, ":count") == {"count": 0}


def test_a_dry_run_erases_nothing(api: Api) -> None:
    visit(api, "v", session_token="t")
    for anonymous_id, expected in (
        ("v", {"deleted": True, "alias_count": 1}),
        ("w", {"deleted": False, "alias_count": 0}),
    ):
        url = f"/v1/visitors/{anonymous_id}?validate_only=true"
        assert api.client.delete(url, headers=api.reader).json() == expected
    assert read(api, "/v")["anonymous_id"] == "v"


def test_an_update_with_the_etag_of_a_visitor_is_conditional(api: Api) -> None:
    visit(api, "v", metadata={"n": 1})
    etag = read(api, "/v")["etag"]
    visit(api, "v", metadata={"n": 2}, etag=etag)
    assert api.update({"anonymous_id": "v", "metadata": {"n": 3}, "etag": etag}).status_code == 409
    assert read(api, "/v")["metadata"] == {"n": 2}


def test_lists_and_counts_have_visitors_alone(api: Api) -> None:
    for number in range(5):
        visit(api, f"v{number}", metadata={"n": number}, campaign={"utm_source": "x" if number % 2 else "y"})
    api.update({"user_id": "u", "anonymous_id": "of-a-user", "metadata": {"n": 9}})
    api.client.delete("/v1/users/u?suppress_days=1", headers=api.reader)
    api.update({"user_id": "v0", "anonymous_id": "of-another", "metadata": {"n": 9}})
    everyone = [f"v{number}" for number in range(5)]
    assert names(read(api, "")) == everyone
    assert names(read(api, "", order_by="created_time desc")) == everyone[::-1]
    assert names(read(api, "", order_by="anonymous_id desc", fields="metadata.n")) == everyone[::-1]
    assert read(api, ":count") == {"count": 5}
    for text, expected in {
        'campaign.utm_source = "x"': ["v1", "v3"],
        "metadata.n >= 3": ["v3", "v4"],
        'anonymous_id = "v2"': ["v2"],
        'anonymous_id != "v2"': ["v0", "v1", "v3", "v4"],
        'created_time >= "2020-01-01T00:00:00Z"': everyone,
        'created_time < "2020-01-01T00:00:00Z"': [],
    }.items():
        assert names(read(api, "", filter=text)) == expected
        assert read(api, ":count", filter=text) == {"count": len(expected)}
    page = read(api, "", fields="metadata.n", filter='anonymous_id = "v2"')
    assert page["visitors"] == [{"user_id": "", "anonymous_id": "v2", "metadata": {"n": 2}}]


def test_pages_follow_each_other(api: Api) -> None:
    for number in range(5):
        visit(api, f"v{number}")
    seen, token = [], ""
    for size in (2, 2, 1):
        page = read(api, "", page_size=2, page_token=token)
        assert len(page["visitors"]) == size
        seen += names(page)
        token = page["next_page_token"]
    assert (seen, token) == ([f"v{number}" for number in range(5)], "")
    token = read(api, "", page_size=2)["next_page_token"]
    # It is a token of this list alone.
    for url, query in (("/v1/users", {}), ("/v1/visitors", {"order_by": "modified_time"})):
        response = api.client.get(url, params={"page_token": token, **query}, headers=api.reader)
        assert response.status_code == 400


@pytest.mark.parametrize("query", [{"filter": 'user_id = "v"'}, {"order_by": "user_id"}, {"fields": "user_id"}])
def test_a_visitor_has_no_user_id_to_ask_for(api: Api, query: Mapping[str, str]) -> None:
    response = api.client.get("/v1/visitors", params=query, headers=api.reader)
    assert response.status_code == 400


def test_what_the_erasure_of_a_user_leaves_is_no_visitor(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    ends = datetime(2100, 1, 1, tzinfo=UTC)
    tombstone = {"_id": visitor_id(application.application_id, "v"), "suppressed_until": ends}
    database.profiles.insert_one(tombstone)
    assert refusal(api, "GET", "v") == refusal(api, "GET", "v:export") == (404, _ABSENT)
    for query in ({"validate_only": "true"}, {}):
        response = api.client.delete("/v1/visitors/v", params=query, headers=api.reader)
        assert response.json()["deleted"] is False
    assert (names(read(api, "")), read(api, ":count")) == ([], {"count": 0})
    assert database.profiles.find_one({"_id": tombstone["_id"]}) == tombstone


def test_a_visitor_who_was_identified_is_a_part_of_a_user(api: Api) -> None:
    visit(api, "v", metadata={"secret": 1})
    visit(api, "w")
    assert api.update({"user_id": "user-42", "anonymous_id": "v"}).status_code == 201
    for method, path in (("GET", "v"), ("GET", "v:export"), ("DELETE", "v"), ("DELETE", "v?validate_only=true")):
        assert refusal(api, method, path) == (404, _IDENTIFIED)
        assert "user-42" not in api.client.request(method, f"/v1/visitors/{path}", headers=api.reader).text
    assert names(read(api, "")) == ["w"]
    assert read(api, ":count") == {"count": 1}
    # As the error says.
    body = {"anonymous_id": "v"}
    (user,) = api.client.post("/v1/users:lookup", json=body, headers=api.reader).json()["users"]
    assert (user["user_id"], user["metadata"]) == ("user-42", {"secret": 1})
    # Nothing of the visitor is left with the user, so a later visit is that of a new one.
    assert api.client.delete("/v1/users/user-42", headers=api.reader).json() == {"deleted": True}
    assert refusal(api, "GET", "v") == (404, _ABSENT)
    visit(api, "v", metadata={"later": 1})
    assert read(api, "/v")["metadata"] == {"later": 1}
