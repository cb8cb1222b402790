"""Unknown parameters, members, paths and bodies are refused where ignoring them could do harm."""

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.campaign_service_pb2 import ReportCampaignsRequest

from gateway.http.messages import Request, Response
from tests.gateway.fakes import Failure, FakeUserService
from tests.gateway.messages import reasons, violations
from tests.gateway.running import Gateway
from tests.support.waiting import until


@pytest.mark.parametrize("time", ["2026-01-02T03:04:05.6Z", "2026-01-02T04:04:05.6%2B01:00", "2026-01-02 03:04:05.600"])
async def test_a_time_in_a_query_arrives_as_a_timestamp(gateway: Gateway, service: FakeUserService, time: str) -> None:
    answer = await gateway.client.get(f"/v1/campaigns:report?start_time={time}&endTime=&max_groups=3")
    assert answer.status_code == 200
    start = Timestamp(seconds=1767323045, nanos=600_000_000)
    assert service.request == ReportCampaignsRequest(start_time=start, max_groups=3)


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "1767323045", "2026-01-02T03:04:05 01:00", "null"])
async def test_an_invalid_time_in_a_query_is_refused(gateway: Gateway, service: FakeUserService, time: str) -> None:
    answer = await gateway.client.get(f"/v1/campaigns:report?start_time={time}&end_time=2026-01-02")
    assert (answer.status_code, violations(answer.json())) == (400, [("start_time", "NOT_A_TIME")])
    assert service.requests == []


async def test_strings_are_separated_by_commas_and_empty_means_absent(
    gateway: Gateway, service: FakeUserService
) -> None:
    query = {"fields": 'metadata."a,b",company_id', "page_size": "", "filter": "", "order_by": ""}
    assert (await gateway.client.get("/v1/users", params=query)).status_code == 200
    assert service.request == pb.ListUsersRequest(fields=['metadata."a,b"', "company_id"])
    assert (await gateway.client.get("/v1/users?fields=&page_size=5")).status_code == 200
    assert service.requests[1] == pb.ListUsersRequest(page_size=5)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("DELETE", "/v1/users/1?supress_days=30", [("supress_days", "UNKNOWN_FIELD")]),
        ("DELETE", "/v1/users/1?SUPPRESS_DAYS=30", [("SUPPRESS_DAYS", "UNKNOWN_FIELD")]),
        ("DELETE", "/v1/users/1?suppress_days=30&suppressDays=30", [("suppress_days", "REPEATED")]),
        ("DELETE", "/v1/users/1?user_id=2", [("user_id", "UNKNOWN_FIELD")]),
        ("DELETE", "/v1/users/1?validate_only=yes", [("validate_only", "WRONG_TYPE")]),
        ("GET", "/v1/users?filter=a&filter=b", [("filter", "REPEATED")]),
        ("GET", "/v1/users/1?fields=user_id", [("fields", "UNKNOWN_FIELD")]),
        ("HEAD", "/v1/users:count?Filter=a", None),
        ("GET", "/v1/campaigns:report?MAX_GROUPS=3", [("MAX_GROUPS", "UNKNOWN_FIELD")]),
        ("POST", "/v1/users?dry_run=true", [("dry_run", "UNKNOWN_FIELD")]),
        ("POST", "/v1/users?user=x", [("user", "UNKNOWN_FIELD")]),
        ("POST", "/v1/users?validate_only=true&validateOnly=false", [("validate_only", "REPEATED")]),
        ("POST", "/v1/users/batch?dry_run=true", [("dry_run", "UNKNOWN_FIELD")]),
        ("POST", "/v1/users:search?filter=a", [("filter", "UNKNOWN_FIELD")]),
        ("POST", "/v1/users:batchDelete?validate_only=true", [("validate_only", "UNKNOWN_FIELD")]),
        ("GET", "/v1/users:count?" + "&".join(["a=1"] * 101), [("query", "TOO_MANY")]),
        ("GET", "/v1/users?fields=" + "," * 1000, [("fields", "TOO_MANY")]),
    ],
)
async def test_an_unknown_or_repeated_parameter_refuses_the_request(
    gateway: Gateway, service: FakeUserService, method: str, path: str, expected: Any
) -> None:
    answer = await gateway.client.request(method, path, content=b"{}" if method == "POST" else b"")
    assert answer.status_code == 400
    assert expected is None or violations(answer.json()) == expected
    assert service.requests == []


@pytest.mark.parametrize("path", ["/v1/config?v=1&v=2", "/v1/rules?x", "/health/probe?y=", "/healthz?z=1"])
async def test_constant_routes_accept_any_parameter(gateway: Gateway, path: str) -> None:
    assert (await gateway.client.get(path)).status_code == 200


async def test_the_routes_that_store_nothing_accept_any_parameter(gateway: Gateway) -> None:
    assert (await gateway.post("/v1/events/batch?x=1&x=2", [])).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/users:batchDelete", {"user_ids": ["1"], "supress_days": 3}, [("supress_days", "UNKNOWN_FIELD")]),
        ("/v1/users:batchDelete", {"user_ids": ["1"], "userIds": ["2"]}, [("user_ids", "REPEATED")]),
        (
            "/v1/users:batchRemoveAliases",
            {"requests": [{"users_id": "1"}]},
            [("requests[0].users_id", "UNKNOWN_FIELD")],
        ),
        ("/v1/users:search", {"filters": "a"}, [("filters", "UNKNOWN_FIELD")]),
        ("/v1/users:search", {"fields": "user_id"}, [("fields", "WRONG_TYPE")]),
        ("/v1/users/1:removeAlias", {"session_token": "t", "user_id": "2"}, [("user_id", "CONFLICT")]),
        ("/v1/users/1:removeAlias", {"session_token": "t", "user_id": ""}, [("user_id", "CONFLICT")]),
    ],
)
async def test_an_unknown_member_refuses_a_body_that_is_a_whole_request(
    gateway: Gateway, service: FakeUserService, path: str, body: Any, expected: Any
) -> None:
    answer = await gateway.post(path, body)
    assert (answer.status_code, violations(answer.json())) == (400, expected)
    assert service.requests == []


@pytest.mark.parametrize("method", ["DELETE", "GET"])
@pytest.mark.parametrize("body", [b'{"validate_only":true}', b"x", b"[{}]", b"\x1f\x8b"])
async def test_a_body_that_a_method_does_not_take_refuses_the_request(
    gateway: Gateway, service: FakeUserService, method: str, body: bytes
) -> None:
    answer = await gateway.client.request(method, "/v1/users/1", content=body)
    assert (answer.status_code, violations(answer.json())) == (400, [("body", "UNKNOWN_FIELD")])
    assert service.requests == []


@pytest.mark.parametrize("body", [b" {}\r\n", b"[]", b"null", b" "])
async def test_an_empty_body_is_no_body(gateway: Gateway, service: FakeUserService, body: bytes) -> None:
    assert (await gateway.client.request("DELETE", "/v1/users/1", content=body)).status_code == 200
    assert service.request == pb.DeleteUserRequest(user_id="1")


@pytest.mark.parametrize("user_id", ["1", None, 1])
async def test_the_body_may_repeat_what_the_path_says(
    gateway: Gateway, service: FakeUserService, user_id: str | int | None
) -> None:
    answer = await gateway.post("/v1/users/1:removeAlias", {"session_token": "t", "user_id": user_id})
    assert (answer.status_code, service.request) == (200, pb.RemoveAliasRequest(user_id="1", session_token="t"))


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/users", {"user_id": "1", "Alias_Count": 3}), ("/v1/users/batch", [{"user_id": "1", "Alias_Count": 3}])],
)
async def test_an_unknown_member_of_a_user_is_a_warning(
    gateway: Gateway, service: FakeUserService, path: str, body: Any
) -> None:
    answer = await gateway.post(path, body)
    assert answer.status_code == 201
    assert [(each["field"].rpartition(".")[2], each["reason"]) for each in answer.json()["warnings"]] == [
        ("Alias_Count", "UNKNOWN_FIELD")
    ]


async def test_validate_only_is_sent_in_a_call_of_its_own(gateway: Gateway, service: FakeUserService) -> None:
    answer = await gateway.post("/v1/users?validate_only=true", {"user_id": "1", "x": 1})
    assert (answer.status_code, [*answer.json()]) == (201, ["warnings"])
    assert (service.batches, service.request.validate_only, service.request.user.user_id) == ([], True, "1")
    await gateway.post("/v1/users?validateOnly=true", {"user_id": "2"})
    assert (service.batches, [each.validate_only for each in service.requests]) == ([], [True, True])


@pytest.mark.parametrize("query", ["validate_only=false", "validate_only=", "validateOnly"])
async def test_a_default_value_is_sent_in_a_batch(gateway: Gateway, service: FakeUserService, query: str) -> None:
    answer = await gateway.post(f"/v1/users?{query}", {"user_id": "1"})
    assert (answer.status_code, answer.json()) == (201, {})
    assert service.user_ids == [["1"]]


@pytest.mark.parametrize("users", [[], [{"user_id": "1"}], [{"user_id": str(number)} for number in range(1500)]])
async def test_validate_only_is_in_every_rpc_of_a_batch(
    gateway: Gateway, service: FakeUserService, users: list[Any]
) -> None:
    answer = await gateway.post("/v1/users/batch?validate_only=true", users)
    assert (answer.status_code, answer.json()) == (201, {"saved_count": len(users)})
    assert {each.validate_only for each in service.requests} == {True}
    assert sum(len(each.users) for each in service.requests) == len(users)


@pytest.mark.parametrize(
    ("method", "path", "http"),
    [
        ("GET", "/v1/users/", 404),
        ("HEAD", "/v1/users/", 404),
        ("DELETE", "/v1/users/", 404),
        ("GET", "/v1/users/a/", 404),
        ("DELETE", "/v1/users/a/", 404),
        ("DELETE", "/v1/users//a", 404),
        ("GET", "/v1//users", 404),
        ("GET", "/v1/users:count/", 404),
        ("GET", "/v1/users/a:unknown", 404),
        ("GET", "/v1/users/a:b:export", 404),
        ("GET", "/v1/users/a:Export", 404),
        ("DELETE", "/v1/users/a:unknown", 404),
        ("DELETE", "/v1/users/a:export", 405),
        ("POST", "/v1/users/a:unknown", 404),
        ("POST", "/v1/users:unknown", 404),
        ("POST", "/v1/users/a%3AremoveAlias", 405),
        ("POST", "/v1/users/:removeAlias", 404),
    ],
)
async def test_a_path_without_a_user_or_a_verb_does_nothing(
    gateway: Gateway, service: FakeUserService, method: str, path: str, http: int
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Moesif-Application-Id: key\r\nConnection: close\r\n\r\n"
    assert (await gateway.raw(head.encode())).startswith(f"HTTP/1.1 {http} ".encode())
    assert service.requests == []


@pytest.mark.parametrize(
    ("method", "path", "request_type", "user_id"),
    [
        ("GET", "/v1/users/a%3Aexport", pb.GetUserRequest, "a:export"),
        ("GET", "/v1/users/a:export", pb.ExportUserRequest, "a"),
        ("GET", "/v1/users/a%3Ab%2Fc:export", pb.ExportUserRequest, "a:b/c"),
        ("GET", "//v1/users/a", pb.GetUserRequest, "a"),
        ("DELETE", "/v1/users/a%3Aexport", pb.DeleteUserRequest, "a:export"),
        ("DELETE", "/v1/users/%2Fa%2F", pb.DeleteUserRequest, "/a/"),
        ("POST", "/v1/users/a%3AremoveAlias:removeAlias", pb.RemoveAliasRequest, "a:removeAlias"),
    ],
)
async def test_colons_and_slashes_in_ids_are_percent_encoded(
    gateway: Gateway, service: FakeUserService, method: str, path: str, request_type: Any, user_id: str
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Moesif-Application-Id: key\r\nContent-Length: 2\r\n"
    body = b"{}" if method == "POST" else b""
    head = head if body else head.replace("Content-Length: 2\r\n", "")
    answer = await gateway.raw(f"{head}Connection: close\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert service.request == request_type(user_id=user_id)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            "/v1/users:search",
            {"filter": "a = 1", "pageSize": 5, "fields": ["user_id", 'metadata."a,b"']},
            pb.ListUsersRequest(filter="a = 1", page_size=5, fields=["user_id", 'metadata."a,b"']),
        ),
        ("/v1/users:count", {"filter": "a = 1"}, pb.CountUsersRequest(filter="a = 1")),
        (
            "/v1/campaigns:report",
            {"start_time": "1970-01-01T00:00:07Z", "group_by": ["campaign.gclid"]},
            ReportCampaignsRequest(start_time=Timestamp(seconds=7), group_by=["campaign.gclid"]),
        ),
        ("/v1/users:batchGet", {"user_ids": [".."]}, pb.BatchGetUsersRequest(user_ids=[".."])),
    ],
)
async def test_a_read_by_post_is_a_read(
    gateway: Gateway, service: FakeUserService, path: str, body: Any, expected: Any
) -> None:
    answer = await gateway.post(path, body)
    assert (answer.status_code, service.request) == (200, expected)
    gates = {(each.method, each.template): of.gate for each, of in gateway.application._transcoders.items()}
    assert gates["POST", path] is gates["GET", "/v1/users/{user_id}:export"]


async def test_a_read_by_post_is_cancelled_when_its_client_disconnects(
    gateway: Gateway, service: FakeUserService
) -> None:
    assert (await gateway.post("/v1/users:search", {})).status_code == 200
    service.may_answer.clear()
    service.arrived.clear()
    responses: list[Response] = []
    request = Request("POST", b"/v1/users:search", b"", {b"x-moesif-application-id": b"key"}, b"{}")
    exchange = gateway.application.begin(request.method, request.path, request.headers)
    exchange.handle(request, responses.append)
    await service.arrived.wait()
    exchange.abandon()
    await until(lambda: bool(responses))
    assert [each.status for each in responses] == [499]
    service.may_answer.set()


async def test_a_failed_read_by_post_is_not_an_unknown_write(gateway: Gateway, service: FakeUserService) -> None:
    service.reply = Failure(grpc.StatusCode.UNAVAILABLE)
    answer = await gateway.post("/v1/users:search", {})
    assert (answer.status_code, reasons(answer.json())) == (503, ["SERVER_UNAVAILABLE"])
