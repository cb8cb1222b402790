"""Suppressions, listed and lifted over HTTP."""

from typing import Any

from tests.support.stack import Api


def listed(api: Api, **query: Any) -> Any:
    response = api.client.get("/v1/suppressions", params=query, headers=api.reader)
    assert response.status_code == 200, response.text
    return response.json()


def lift(api: Api, user_id: str) -> Any:
    return api.client.post("/v1/suppressions:lift", json={"user_id": user_id}, headers=api.reader)


def test_suppressions_are_listed_without_the_ids_of_users(api: Api) -> None:
    assert listed(api) == {"suppressions": [], "next_page_token": ""}
    for user_id in ("a", "b", "c"):
        api.client.delete(f"/v1/users/{user_id}", params={"suppress_days": 30}, headers=api.reader)
    first = listed(api, page_size=2)
    second = listed(api, page_size=2, page_token=first["next_page_token"])
    assert (len(first["suppressions"]), len(second["suppressions"]), second["next_page_token"]) == (2, 1, "")
    digests = [each["user_id_digest"] for each in (*first["suppressions"], *second["suppressions"])]
    assert digests == sorted(set(digests))
    (of_b,) = listed(api, user_id="b")["suppressions"]
    assert of_b["user_id_digest"] in digests
    assert of_b["start_time"] < of_b["end_time"]
    assert listed(api, user_id="never")["suppressions"] == []
    search = api.client.post("/v1/suppressions:search", json={"user_id": "b"}, headers=api.reader)
    assert search.json()["suppressions"] == [of_b]
    other = api.client.get(
        "/v1/suppressions", params={"page_token": first["next_page_token"], "user_id": "b"}, headers=api.reader
    )
    assert other.status_code == 400


def test_a_user_whose_suppression_is_lifted_is_stored_again(api: Api) -> None:
    api.client.delete("/v1/users/a", params={"suppress_days": 30}, headers=api.reader)
    assert api.update({"user_id": "a"}).json()["suppressed"]
    assert [lift(api, "a").json() for _ in range(2)] == [{"lifted": True}, {"lifted": False}]
    assert listed(api)["suppressions"] == []
    assert api.update({"user_id": "a"}).json() == {}
    assert api.get("a").status_code == 200


def test_the_user_id_is_required_to_lift(api: Api) -> None:
    for user_id, reason in (("", "REQUIRED"), ("x" * 513, "TOO_LONG")):
        violation = lift(api, user_id).json()["details"][1]["field_violations"][0]
        assert (violation["field"], violation["reason"]) == ("user_id", reason)
