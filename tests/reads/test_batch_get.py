"""Users read by a list of ids, over HTTP and gRPC."""

from typing import Any

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from tests.support.applications import Application, register
from tests.support.stack import Api, Stack


def get(api: Api, *user_ids: str, **asked: Any) -> Any:
    body = {"user_ids": user_ids} | asked
    return api.client.post("/v1/users:batchGet", json=body, headers=api.reader)


def results(api: Api, *user_ids: str, **asked: Any) -> list[Any]:
    answer = get(api, *user_ids, **asked)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["results"]
    return items


def users(api: Api, *user_ids: str, **asked: Any) -> list[Any]:
    return [each["response"]["user"] for each in results(api, *user_ids, **asked)]


def test_each_user_is_returned_as_by_get_in_the_order_of_the_request(api: Api) -> None:
    a = api.stored({"metadata": {"a.b": [1, None]}, "campaign": {"gclid": "1"}}, user_id="a")
    b = api.stored({"session_token": "t"}, user_id="b")
    read = results(api, "b", "never", "a", "", "b", "x" * 513)
    assert [read[0], read[2], read[4]] == [{"response": {"user": user}} for user in (b, a, b)]
    assert read[1] == {"error": api.get("never").json()}
    assert [each["error"]["code"] for each in (read[3], read[5])] == [3, 3]
    refused = [each["error"]["details"][-1]["field_violations"][0] for each in (read[3], read[5])]
    assert [(each["field"], each["reason"]) for each in refused] == [
        ("user_ids[3]", "REQUIRED"),
        ("user_ids[5]", "TOO_LONG"),
    ]
    assert results(api) == []


def test_a_user_who_was_merged_is_the_other_one_and_the_response_says_so(api: Api) -> None:
    for user_id in "ab":
        api.stored({}, user_id=user_id)
    body = {"user_id": "a", "source_user_id": "b"}
    assert api.client.post("/v1/users:merge", json=body, headers=api.reader).json() == {"merged": True}
    user = api.get("a").json()
    expected = [{"followed_user_id": "b", "user": user}, {"user": user}]
    assert [each["response"] for each in results(api, "b", "a")] == expected
    assert api.get("b").json() == {**user, "followed_user_id": "b"}


@pytest.mark.parametrize("user_id", ["..", ".", "a/b", "a:export", "%2F", "é"])
def test_an_id_that_cannot_be_in_a_path_is_read(api: Api, user_id: str) -> None:
    assert api.update({"user_id": user_id, "company_id": "c"}).status_code == 201
    assert users(api, user_id, fields=["company_id"]) == [{"user_id": user_id, "company_id": "c"}]


def test_only_the_requested_fields_are_returned(api: Api) -> None:
    api.stored({"company_id": "c", "ip_address": "1.2.3.4", "metadata": {"a": {"b": 1, "c": 2}, "a.b": 3}})
    for fields in (["company_id", "metadata.a.b"], ["company_id,metadata.a.b"]):
        assert users(api, "u", fields=fields) == [{"user_id": "u", "company_id": "c", "metadata": {"a": {"b": 1}}}]
    assert users(api, "u", fields=['metadata."a.b"']) == [{"user_id": "u", "metadata": {"a.b": 3}}]
    for fields in (["company_id", "aliases"], ["company_id", ""], [""]):
        answer = get(api, "u", fields=fields)
        (violation,) = answer.json()["details"][-1]["field_violations"]
        assert (answer.status_code, violation["field"], violation["reason"]) == (400, "fields", "INVALID_FIELDS")


def test_users_are_read_until_the_response_is_full(api: Api) -> None:
    ids = [f"u{number}" for number in range(20)]
    for start in range(0, len(ids), 10):
        api.batch([{"user_id": each, "metadata": {"x": "x" * 900_000}} for each in ids[start : start + 10]])
    outcomes, asked, calls = list[str](), [*ids, "never", "u0"], 0
    while asked:
        for each in results(api, *asked):
            if "response" in each:
                outcomes.append(each["response"]["user"]["user_id"])
            else:
                outcomes.append(each["error"]["details"][0]["reason"])
        # The client requests all from the first that did not fit.
        outcomes = outcomes[: outcomes.index("RESPONSE_TOO_LARGE")] if "RESPONSE_TOO_LARGE" in outcomes else outcomes
        asked, calls = [*ids, "never", "u0"][len(outcomes) :], calls + 1
    assert outcomes == [*ids, "USER_NOT_FOUND", "u0"]
    assert calls == 3
    assert len(users(api, *ids, fields=["company_id"])) == 20


def test_a_reader_sees_only_the_users_of_its_application(
    api: Api, stack: Stack, database: Database[dict[str, Any]]
) -> None:
    api.stored({})
    answer = api.client.post("/v1/users:batchGet", json={"user_ids": ["u"]}, headers=api.writer)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (403, "SCOPE_MISSING")
    assert answer.json()["details"][0]["metadata"] == {"scope": "read:users"}
    other = Api(stack.http, register(database, "one who reads another's"))
    with other.client:
        assert results(other, "u") == [{"error": other.get("never").json()}]


async def test_grpc_returns_the_same(api: Api, stack: Stack, application: Application) -> None:
    api.stored({"company_id": "c"})
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        response = await UserServiceStub(channel).BatchGetUsers(
            pb.BatchGetUsersRequest(user_ids=["u", "never"], fields=["company_id"]),
            metadata=(("authorization", f"Bearer {application.management_token}"),),
        )
    user, missing = response.results
    assert (user.response.user.user_id, user.response.user.company_id) == ("u", "c")
    assert missing.error.code == grpc.StatusCode.NOT_FOUND.value[0]
