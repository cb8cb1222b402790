"""Routes: ids that must be encoded in a path or cannot be in one, and reads by POST."""

from typing import Any

import pytest

from tests.support.stack import Api


def test_an_id_that_ends_like_a_verb_is_an_id(api: Api) -> None:
    assert api.batch([{"user_id": "a"}, {"user_id": "a:export"}]).json() == {"saved_count": 2}

    def answer(method: str, path: str) -> tuple[int, Any]:
        response = api.client.request(method, path, headers=api.reader)
        return response.status_code, response.json()

    assert answer("GET", "/v1/users/a%3Aexport")[1]["user_id"] == "a:export"
    assert answer("GET", "/v1/users/a:export")[1]["user"]["user_id"] == "a"
    assert answer("GET", "/v1/users/a%3Aexport:export")[1]["user"]["user_id"] == "a:export"
    assert [answer("DELETE", path)[0] for path in ("/v1/users/a:export", "/v1/users/a:x", "/v1/users/")] == [
        405,
        404,
        404,
    ]
    assert answer("GET", "/v1/users:count") == (200, {"count": 2})
    assert answer("DELETE", "/v1/users/a%3Aexport") == (200, {"deleted": True})
    assert answer("GET", "/v1/users/a")[0] == 200


# Clients and proxies rewrite these: http://x/v1/users/.. becomes http://x/v1.
@pytest.mark.parametrize("user_id", [".", "..", "a/../b"])
def test_ids_that_cannot_be_in_a_path_are_read_exported_and_erased_by_post(api: Api, user_id: str) -> None:
    assert api.update({"user_id": user_id}).status_code == 201

    def post(verb: str) -> Any:
        answer = api.client.post(f"/v1/users:{verb}", json={"user_ids": [user_id]}, headers=api.reader)
        assert answer.status_code == 200
        (result,) = answer.json()["results"]
        return result["response"]

    assert post("batchGet")["user"]["user_id"] == user_id
    assert post("batchExport")["user_export"]["user"]["user_id"] == user_id
    assert post("batchDelete") == {"deleted": True}
    assert api.get(user_id).status_code == 404


@pytest.mark.parametrize(
    ("get", "post", "query", "body"),
    [
        (
            "/v1/users",
            "/v1/users:search",
            {
                "filter": "company_id = c",
                "page_size": "2",
                "fields": 'company_id,metadata."a,b"',
                "order_by": "user_id",
            },
            {
                "filter": "company_id = c",
                "page_size": 2,
                "fields": ["company_id", 'metadata."a,b"'],
                "orderBy": "user_id",
            },
        ),
        ("/v1/users", "/v1/users:search", {"page_size": "", "fields": ""}, {"page_size": None, "fields": []}),
        ("/v1/users:count", "/v1/users:count", {"filter": "company_id = c"}, {"filter": "company_id = c"}),
        (
            "/v1/campaigns:report",
            "/v1/campaigns:report",
            {"group_by": "campaign.gclid,campaign.utm_term", "start_time": "2026-01-01"},
            {"group_by": ["campaign.gclid", "campaign.utm_term"], "start_time": "2026-01-01"},
        ),
    ],
)
def test_a_read_by_post_returns_what_a_get_returns(
    api: Api, get: str, post: str, query: dict[str, str], body: dict[str, Any]
) -> None:
    users = [
        {"user_id": str(number), "company_id": "c", "campaign": {"gclid": "g"}, "metadata": {"a,b": number, "c": 1}}
        for number in range(3)
    ]
    assert api.batch([*users, {"user_id": "other"}]).status_code == 201
    by_get = api.client.get(get, params=query, headers=api.reader)
    by_post = api.client.post(post, json=body, headers=api.reader)
    assert (by_get.status_code, by_post.status_code) == (200, 200)
    # Each page token is different.
    assert _without_token(by_post.json()) == _without_token(by_get.json())


def _without_token(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: bool(value) if name == "next_page_token" else value for name, value in answer.items()}


def test_a_collector_key_cannot_read_by_post(api: Api) -> None:
    for path in ("/v1/users:search", "/v1/users:count", "/v1/users:batchGet", "/v1/campaigns:report"):
        assert api.client.post(path, json={}, headers=api.writer).status_code == 403
