"""Batches over HTTP: valid items are saved, and invalid ones are listed by their index in the body."""

import itertools

import grpc
import orjson
import pytest
from google.protobuf import json_format
from google.rpc import code_pb2
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import User
from userfold.v1.warning_pb2 import Warning

from gateway.calls import batch_call, batch_response
from gateway.errors.rendering import ERROR_BYTES
from gateway.transcoding import json_array
from tests.gateway.fakes import Failure, FakeUserService
from tests.gateway.messages import bad_request, error_info, reasons, results, status_with, stored, violations
from tests.gateway.running import Gateway

INVALID = status_with(
    code_pb2.INVALID_ARGUMENT, "No.", error_info("INVALID_REQUEST"), bad_request("users[1].metadata.x")
)


async def test_a_batch_arrives_in_order_and_is_answered_201(gateway: Gateway, service: FakeUserService) -> None:
    answer = await gateway.post("/v1/users/batch", [{"user_id": "1"}, {"userId": 2}, {"user_id": "1"}])
    assert (answer.status_code, answer.json()) == (201, {"saved_count": 3})
    assert [user.user_id for user in service.request.users] == ["1", "2", "1"]


@pytest.mark.parametrize("body", [b"[]", b"null"])
async def test_an_empty_batch_is_still_authenticated(gateway: Gateway, service: FakeUserService, body: bytes) -> None:
    answer = await gateway.post("/v1/users/batch", body)
    assert (answer.status_code, answer.json(), len(service.requests)) == (201, {"saved_count": 0}, 1)


@pytest.mark.parametrize("body", [b"", b"{}", b"1"])
async def test_a_batch_must_be_an_array(gateway: Gateway, service: FakeUserService, body: bytes) -> None:
    answer = await gateway.post("/v1/users/batch", body)
    assert (answer.status_code, reasons(answer.json())) == (400, ["BODY_NOT_AN_ARRAY"])
    assert service.requests == []


async def test_a_large_batch_is_sent_in_order_in_one_rpc_after_another(
    gateway: Gateway, service: FakeUserService
) -> None:
    users = [{"user_id": str(number)} for number in range(5000)]
    answer = await gateway.post("/v1/users/batch", users)
    assert (answer.status_code, answer.json()) == (201, {"saved_count": 5000})
    sent = [[user.user_id for user in request.users] for request in service.requests]
    assert [len(each) for each in sent] == [1000] * 5
    assert list(itertools.chain(*sent)) == [user["user_id"] for user in users]


async def test_the_limit_of_items_is_checked_before_any_item_is_sent(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_array, "ITEMS", 20_000)
    answer = await gateway.post("/v1/users/batch", b"[" + b'{"user_id":"1"},' * 20_000 + b"{}]")
    assert (answer.status_code, reasons(answer.json())) == (400, ["BATCH_TOO_LARGE"])
    assert answer.json()["message"] == "A batch holds at most 20,000 users; none of this one was processed."
    assert service.requests == []


async def test_invalid_items_do_not_stop_valid_ones_and_every_index_is_that_of_the_body(
    gateway: Gateway, service: FakeUserService
) -> None:
    warning = Warning(field="users[2].metadata.phone", reason="KEPT_AS_TEXT", description="is kept as text")
    service.reply = results({}, {"error": INVALID}, {"warnings": [warning]})
    items = [
        "no object",
        {"user_id": "a", "extra": 1},
        {"user_id": "b", "metadata": {"list": [[], {"x": 2**63 + 1}]}, "modified_time": 5},
        {"user_id": "c"},
        {"user_id": "d"},
    ]
    answer = await gateway.post("/v1/users/batch", items)
    body = answer.json()
    assert [user.user_id for user in service.request.users] == ["a", "c", "d"]
    assert (answer.status_code, body["code"], body["status"]) == (400, 3, "INVALID_ARGUMENT")
    assert body["message"] == "3 of 5 users were refused; the others are saved."
    assert (reasons(body), body["saved_count"]) == (["BATCH_PARTLY_REFUSED"], 2)
    assert [(each["index"], violations(each["status"])) for each in body["refused"]] == [
        (0, [("users[0]", "WRONG_TYPE")]),
        (2, [("users[2].modified_time", "NOT_A_TIME")]),
        (3, [("users[3].metadata.x", "RULE")]),
    ]
    assert [each["field"] for each in body["warnings"]] == ["users[1].extra", "users[4].metadata.phone"]


async def test_a_batch_of_invalid_items_makes_an_empty_call(gateway: Gateway, service: FakeUserService) -> None:
    answer = await gateway.post("/v1/users/batch", [None, []])
    assert (answer.status_code, answer.json()["saved_count"], len(service.request.users)) == (400, 0, 0)
    assert answer.json()["message"] == "2 of 2 users were refused."


async def test_a_batch_without_permission_is_refused_as_a_whole(gateway: Gateway, service: FakeUserService) -> None:
    status = status_with(code_pb2.UNAUTHENTICATED, "Who?", error_info("CREDENTIAL_MISSING"))
    service.reply = Failure(grpc.StatusCode.UNAUTHENTICATED, trailer=status.SerializeToString())
    answer = await gateway.post("/v1/users/batch", [None, {"user_id": "1"}])
    assert (answer.status_code, reasons(answer.json())) == (401, ["CREDENTIAL_MISSING"])
    assert "refused" not in answer.json()


@pytest.mark.parametrize(
    ("codes", "http", "code", "retry_after"),
    [
        ([code_pb2.INVALID_ARGUMENT], 400, code_pb2.INVALID_ARGUMENT, None),
        ([code_pb2.FAILED_PRECONDITION], 400, code_pb2.INVALID_ARGUMENT, None),
        ([code_pb2.UNIMPLEMENTED], 400, code_pb2.INVALID_ARGUMENT, None),
        ([code_pb2.INVALID_ARGUMENT, code_pb2.INTERNAL], 500, code_pb2.INTERNAL, None),
        ([code_pb2.INTERNAL, code_pb2.UNAVAILABLE], 503, code_pb2.UNAVAILABLE, "1"),
        ([code_pb2.DEADLINE_EXCEEDED, code_pb2.UNKNOWN], 504, code_pb2.DEADLINE_EXCEEDED, None),
        ([code_pb2.ABORTED], 400, code_pb2.INVALID_ARGUMENT, None),
    ],
)
async def test_the_gravest_failure_of_the_server_is_the_status_of_the_batch(
    gateway: Gateway,
    service: FakeUserService,
    codes: list[int],
    http: int,
    code: int,
    retry_after: str | None,
) -> None:
    failed = [{"error": status_with(each, "x", error_info("R"))} for each in codes]
    service.reply = results({}, *failed)
    answer = await gateway.post("/v1/users/batch", [{"user_id": "1"}] * (len(codes) + 1))
    body = answer.json()
    assert (answer.status_code, body["code"], answer.headers.get("retry-after")) == (http, code, retry_after)
    retries = [each for each in body["details"] if each["@type"].endswith("RetryInfo")]
    assert len(retries) == (code in (code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED))
    assert (body["saved_count"], reasons(body)) == (1, ["BATCH_PARTLY_REFUSED"])


async def test_the_status_of_a_refused_item_has_at_most_4_kib(gateway: Gateway, service: FakeUserService) -> None:
    many = status_with(code_pb2.INVALID_ARGUMENT, "No.", error_info("R"), bad_request(*["users[0]." + "x" * 400] * 30))
    service.reply = results(*[{"error": many}] * 50)
    answer = await gateway.post("/v1/users/batch", [{"user_id": "1"}] * 50)
    sizes = {len(orjson.dumps(each["status"])) for each in answer.json()["refused"]}
    assert max(sizes) <= ERROR_BYTES
    assert len(answer.json()["refused"]) == 50


async def test_an_index_that_the_request_does_not_have_is_not_renumbered(
    gateway: Gateway, service: FakeUserService
) -> None:
    status = status_with(code_pb2.INVALID_ARGUMENT, "No.", bad_request("users[7].x", "user_id"))
    service.reply = results({"error": status})
    answer = await gateway.post("/v1/users/batch", [1, {"user_id": "1"}])
    assert violations(answer.json()["refused"][1]["status"]) == [("users[7].x", "RULE"), ("user_id", "RULE")]


async def test_an_answer_without_a_result_for_each_item_is_a_defect(gateway: Gateway, service: FakeUserService) -> None:
    service.reply = results()
    answer = await gateway.post("/v1/users/batch", [{"user_id": "1"}])
    assert (answer.status_code, reasons(answer.json())) == (500, ["INTERNAL"])


async def test_a_result_without_an_outcome_is_an_unknown_outcome(gateway: Gateway, service: FakeUserService) -> None:
    service.reply = pb.BatchUpdateUsersResponse(results=[stored(), pb.UpdateUserResult()])
    answer = await gateway.post("/v1/users/batch", [{"user_id": "1"}, {"user_id": "2"}])
    body = answer.json()
    assert (answer.status_code, body["saved_count"], body["failed_count"]) == (503, 1, 1)
    assert [(each["index"], reasons(each["status"])) for each in body["refused"]] == [(1, ["WRITE_OUTCOME_UNKNOWN"])]


async def test_suppressed_items_are_counted_and_are_not_saved(gateway: Gateway, service: FakeUserService) -> None:
    service.reply = results(*[{"suppressed": True}] * 25)
    answer = await gateway.post("/v1/users/batch", [{"user_id": "1"}] * 25)
    assert (answer.status_code, answer.json()) == (201, {"saved_count": 0, "suppressed_count": 25})
    service.reply = results({}, {"suppressed": True}, {"error": INVALID})
    body = (await gateway.post("/v1/users/batch", [{"user_id": "1"}] * 3)).json()
    assert [body[name] for name in ("saved_count", "suppressed_count", "failed_count")] == [1, 1, 1]
    assert body["message"] == "1 of 3 users were refused; 1 are saved, and 1 were dropped, as they are suppressed."


async def test_a_message_describes_the_answer_to_a_batch(gateway: Gateway, service: FakeUserService) -> None:
    warning = Warning(field="users[0].metadata.phone", reason="KEPT_AS_TEXT", description="is kept as text")
    service.reply = results({"warnings": [warning]}, {"suppressed": True}, {"error": INVALID})
    body = (await gateway.post("/v1/users/batch", [{"user_id": "1"}] * 3)).json()
    whole = {name: body.pop(name) for name in ("code", "status", "message", "details")}
    assert (whole["code"], reasons(whole)) == (3, ["BATCH_PARTLY_REFUSED"])
    for each in body["refused"]:
        # The name of its code, for readers: a `google.rpc.Status` has only the number.
        assert each["status"].pop("status") == "INVALID_ARGUMENT"
    summary = json_format.ParseDict(body, pb.BatchUpdateUsersSummary())
    assert (summary.saved_count, summary.suppressed_count, summary.failed_count) == (1, 1, 1)
    assert [(each.index, each.status.code) for each in summary.refused] == [(2, 3)]
    assert [each.reason for each in summary.warnings] == ["KEPT_AS_TEXT"]


async def test_a_dry_run_lists_what_each_update_would_do(gateway: Gateway, service: FakeUserService) -> None:
    user = User(user_id="1", metadata_json=b'{"a": [1]}')
    service.reply = results({"user": user, "changed_paths": ["metadata.a"]}, {"error": INVALID}, {"suppressed": True})
    answer = await gateway.post("/v1/users/batch?validate_only=true", [{"user_id": "1"}] * 3)
    body = answer.json()
    assert (answer.status_code, body["message"]) == (400, "1 of 3 users were refused; this was a dry run.")
    assert [body[name] for name in ("saved_count", "suppressed_count", "failed_count")] == [1, 1, 1]
    assert body["previews"] == [
        {"index": 0, "user": {"user_id": "1", "metadata": {"a": [1]}}, "changed_paths": ["metadata.a"]},
        {"index": 2, "suppressed": True},
    ]


async def test_a_dry_run_lists_no_more_than_an_answer_may_have(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_response, "PREVIEWS_BYTES", 250)
    users = [User(user_id="1", company_id="x" * size) for size in (100, 100, 1)]
    service.reply = results(*({"user": user} for user in users))
    body = (await gateway.post("/v1/users/batch?validate_only=true", [{"user_id": "1"}] * 3)).json()
    assert (body["saved_count"], [each["index"] for each in body["previews"]]) == (3, [0])


async def test_a_batch_of_12_mib_is_sent(gateway: Gateway, service: FakeUserService) -> None:
    body = orjson.dumps([{"user_id": "1", "metadata": {"d": "x" * 12_000}}] * 1000)
    assert 11 * 2**20 < len(body) <= 12 * 2**20
    answer = await gateway.post("/v1/users/batch", body)
    assert (answer.status_code, answer.json()) == (201, {"saved_count": 1000})
    sizes = [request.ByteSize() for request in service.requests]
    assert sum(sizes) > 11 * 2**20
    assert max(sizes) <= batch_call.RPC_BYTES
