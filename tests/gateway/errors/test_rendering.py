"""The table of codes, row by row with complete bodies, and the shape and the size of every error."""

from typing import Any

import grpc
import orjson
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from gateway.errors import catalogue, rendering
from gateway.http.messages import Fault
from tests.gateway.fakes import Failure, FakeUserService
from tests.gateway.messages import bad_request, error_info, reasons, retry_info, status_with, violations
from tests.gateway.running import Gateway

TYPE = "type.googleapis.com/google.rpc."
TOO_OLD = "The server is older than the gateway; nothing was done. Update the server."
UNKNOWN_OUTCOME = "The server did not answer, and the write may have been applied. Sending it again is safe."
NO_REASON = "The server refused the call without a reason."


def shape(code: int, name: str, message: str, reason: str, *, retry: bool = False) -> dict[str, Any]:
    details: list[dict[str, Any]] = [{"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": "userfold"}]
    if retry:
        details.append({"@type": f"{TYPE}RetryInfo", "retry_delay": "1s"})
    return {"code": code, "status": name, "message": message, "details": details}


# The code, the HTTP statuses, and the bodies of a write and of a read that failed without a Status of the server.
SERVER_TOO_OLD = shape(14, "UNAVAILABLE", TOO_OLD, "SERVER_TOO_OLD", retry=True)
WRITE_UNKNOWN = shape(14, "UNAVAILABLE", UNKNOWN_OUTCOME, "WRITE_OUTCOME_UNKNOWN", retry=True)

ROWS: list[tuple[str, tuple[int, int], dict[str, Any], dict[str, Any]]] = [
    (
        "CANCELLED",
        (503, 503),
        WRITE_UNKNOWN,
        shape(14, "UNAVAILABLE", "The server does not answer.", "SERVER_UNAVAILABLE", retry=True),
    ),
    ("UNKNOWN", (503, 500), WRITE_UNKNOWN, shape(2, "UNKNOWN", NO_REASON, "UNEXPLAINED")),
    (
        "DEADLINE_EXCEEDED",
        (503, 504),
        WRITE_UNKNOWN,
        shape(4, "DEADLINE_EXCEEDED", "The server did not answer in time.", "SERVER_TOO_SLOW", retry=True),
    ),
    ("INTERNAL", (503, 500), WRITE_UNKNOWN, shape(13, "INTERNAL", NO_REASON, "UNEXPLAINED")),
    (
        "UNAVAILABLE",
        (503, 503),
        WRITE_UNKNOWN,
        shape(14, "UNAVAILABLE", "The server does not answer.", "SERVER_UNAVAILABLE", retry=True),
    ),
    ("DATA_LOSS", (503, 500), WRITE_UNKNOWN, shape(15, "DATA_LOSS", NO_REASON, "UNEXPLAINED")),
    ("UNIMPLEMENTED", (503, 503), SERVER_TOO_OLD, SERVER_TOO_OLD),
]
for _name, _http in [
    ("INVALID_ARGUMENT", 400),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("FAILED_PRECONDITION", 400),
    ("ABORTED", 409),
    ("OUT_OF_RANGE", 400),
    ("UNAUTHENTICATED", 401),
]:
    _told = shape(code_pb2.Code.Value(_name), _name, NO_REASON, "UNEXPLAINED")
    ROWS.append((_name, (_http, _http), _told, _told))


HEADERS = {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "1"}}


@pytest.mark.parametrize(("name", "http", "write", "read"), ROWS, ids=[row[0] for row in ROWS])
async def test_a_code_without_details_gets_a_message_of_the_gateway(
    gateway: Gateway,
    service: FakeUserService,
    name: str,
    http: tuple[int, int],
    write: dict[str, Any],
    read: dict[str, Any],
) -> None:
    service.reply = Failure(grpc.StatusCode[name])
    answers = await gateway.post("/v1/users", {"user_id": "1"}), await gateway.client.get("/v1/users/1")
    for answer, code, expected in zip(answers, http, (write, read), strict=True):
        assert (answer.status_code, answer.json()) == (code, expected)
        headers = HEADERS.get(code, {})
        assert {name: answer.headers.get(name) for name in headers} == headers
        assert answer.headers["content-type"] == "application/json"
        assert "acmeinc" not in answer.text


async def test_resource_exhausted_without_details_means_too_large_for_grpc(
    gateway: Gateway, service: FakeUserService
) -> None:
    service.reply = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED)
    write, read = await gateway.post("/v1/users", {"user_id": "1"}), await gateway.client.get("/v1/users/1")
    message = "The body is too large for the server; nothing of it was written."
    assert (write.status_code, write.json()) == (413, shape(3, "INVALID_ARGUMENT", message, "BODY_TOO_LARGE"))
    assert (read.status_code, read.headers["retry-after"]) == (429, "1")
    assert read.json() == shape(8, "RESOURCE_EXHAUSTED", NO_REASON, "UNEXPLAINED")


@pytest.mark.parametrize("name", code_pb2.Code.keys())
async def test_every_code_with_details_has_its_row(gateway: Gateway, service: FakeUserService, name: str) -> None:
    if name == "OK":
        return
    sent = status_with(code_pb2.Code.Value(name), "Ours.", error_info("REASON", error_id="7"), retry_info(30))
    service.reply = Failure(grpc.StatusCode[name], trailer=sent.SerializeToString())
    answer = await gateway.post("/v1/users", {"user_id": "1"})
    assert answer.json() == {
        "code": code_pb2.Code.Value(name),
        "status": name,
        "message": "Ours.",
        "details": [
            {"@type": f"{TYPE}ErrorInfo", "reason": "REASON", "domain": "userfold", "metadata": {"error_id": "7"}},
            {"@type": f"{TYPE}RetryInfo", "retry_delay": "30s"},
        ],
    }
    assert answer.status_code == catalogue.HTTP_STATUS[code_pb2.Code.Value(name)]
    assert answer.headers.get("retry-after") == ("30" if answer.status_code in (429, 503) else None)


@pytest.mark.parametrize(
    "trailer",
    [b"\xff\xff", status_with(code_pb2.NOT_FOUND, "x").SerializeToString()],
    ids=["no Status", "another code"],
)
async def test_an_inconsistent_trailer_is_ignored(gateway: Gateway, service: FakeUserService, trailer: bytes) -> None:
    service.reply = Failure(grpc.StatusCode.UNAVAILABLE, trailer=trailer)
    answer = await gateway.post("/v1/users", {"user_id": "1"})
    assert (answer.status_code, reasons(answer.json())) == (503, ["WRITE_OUTCOME_UNKNOWN"])


OWN = [
    ("GET", "/nowhere", b"", {}, 404, 5, "ROUTE_NOT_FOUND"),
    ("DELETE", "/v1/users", b"", {}, 405, 12, "METHOD_NOT_ALLOWED"),
    ("POST", "/v1/users", b"x" * (2**20 + 1), {}, 413, 3, "BODY_TOO_LARGE"),
    ("POST", "/v1/users", b"{}", {"Content-Encoding": "br"}, 415, 3, "UNSUPPORTED_CONTENT_ENCODING"),
    ("POST", "/v1/users", b"{}", {"Content-Encoding": "gzip"}, 400, 3, "BODY_NOT_GZIP"),
    ("POST", "/v1/users", b"{", {}, 400, 3, "BODY_NOT_JSON"),
    ("POST", "/v1/users", b"[]", {}, 400, 3, "BODY_NOT_AN_OBJECT"),
    ("POST", "/v1/users/batch", b"{}", {}, 400, 3, "BODY_NOT_AN_ARRAY"),
    ("GET", "/v1/events/batch", b"[]", {}, 405, 12, "USERS_BELONG_ELSEWHERE"),
    ("POST", "/v1/users/batch", b"[1]", {}, 400, 3, "BATCH_PARTLY_REFUSED"),
    ("POST", "/v1/users", b'{"user_id":[]}', {}, 400, 3, "INVALID_REQUEST"),
    ("POST", "/v1/users", b"{}", {"Authorization": "é"}, 401, 16, "CREDENTIAL_UNKNOWN"),
]
BATCH_TOO_LARGE: tuple[object, ...] = (
    "POST",
    "/v1/users/batch",
    b"[" + b"0," * 970_000 + b"0]",
    {},
    400,
    3,
    "BATCH_TOO_LARGE",
)
"""The error about an array of very many items, each of which is refused."""


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "http", "code", "reason"),
    [*OWN, pytest.param(*BATCH_TOO_LARGE, marks=pytest.mark.unmeasured)],
)
async def test_the_gateways_own_errors_have_the_shape_of_every_error(
    gateway: Gateway,
    service: FakeUserService,
    method: str,
    path: str,
    content: bytes,
    headers: dict[str, str],
    http: int,
    code: int,
    reason: str,
) -> None:
    sent = {name: value.encode() for name, value in headers.items()}
    answer = await gateway.client.request(method, path, content=content, headers=list(sent.items()))  # type: ignore[arg-type]
    error = answer.json()
    assert (answer.status_code, error["code"], reasons(error)) == (http, code, [reason])
    assert error["status"] == code_pb2.Code.Name(code)  # type: ignore[arg-type]
    assert error["details"][0] == {"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": "userfold"}
    assert answer.headers["access-control-allow-origin"] == "*"


def test_an_error_has_at_most_4_kib_and_loses_its_last_violations_first() -> None:
    fields = [f"metadata.{number}" + "x" * 300 for number in range(30)]
    error = rendering.as_json(status_with(3, "No.", error_info("R"), bad_request(*fields)))
    assert 3500 < len(orjson.dumps(error)) <= rendering.ERROR_BYTES
    assert [field for field, _ in violations(error)] == fields[: len(violations(error))]
    assert reasons(error) == ["R"]


def test_at_most_20_violations_are_answered() -> None:
    assert len(violations(rendering.as_json(status_with(3, "No.", bad_request(*"abcdefghijklmnopqrstuvwxyz"))))) == 20


def test_an_error_that_still_does_not_fit_loses_its_details() -> None:
    error = rendering.as_json(status_with(3, "é" * 5000, error_info("R", more="x" * 5000)))
    assert error == {"code": 3, "status": "INVALID_ARGUMENT", "message": "é" * 500, "details": []}


def test_unknown_details_are_left_out() -> None:
    strange = Status(code=99, message="x")
    strange.details.append(AnyMessage(type_url="type.googleapis.com/no.such.Type", value=b"x"))
    strange.details.append(AnyMessage(type_url=f"{TYPE}ErrorInfo", value=b"\xff"))
    assert rendering.as_json(strange) == {"code": 99, "status": "UNKNOWN", "message": "x", "details": []}
    assert (rendering.http_status_of(99), rendering.reason_of(strange), rendering.info_of(strange)) == (
        500,
        "CODE_99",
        ErrorInfo(),
    )
    assert rendering.violations_of(rendering.with_fields_renamed(strange, str.upper)) == []


def test_every_fault_of_a_connection_is_in_the_catalogue() -> None:
    assert {fault.value for fault in Fault} <= catalogue.OWN.keys()
