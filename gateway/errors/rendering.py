"""How each error is told over HTTP: the one shape, `google.rpc.Status` as JSON, in texts of our own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
import orjson
from google.protobuf import any_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from gateway.errors.violations import MOST, Finding

DOMAIN: Final = "userfold"
TRAILER: Final = "grpc-status-details-bin"
"""The trailing metadata that carries the Status, by gRPC's convention."""

MOST_BYTES: Final = 4096
"""The most that an error may have as JSON."""

_MOST_TEXT = 500

HTTP_STATUS: Final[Mapping[int, int]] = {
    code_pb2.OK: 200,
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
    code_pb2.UNAUTHENTICATED: 401,
}
"""The HTTP status of each code of google/rpc/code.proto."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of one kind of error. `http` where it is not that of the code; `retry_after` in seconds."""

    code: int
    message: str
    http: int | None = None
    retry_after: int | None = None


OWN: Final[Mapping[str, Row]] = {
    "ROUTE_NOT_FOUND": Row(code_pb2.NOT_FOUND, "There is nothing at this path."),
    "METHOD_NOT_ALLOWED": Row(code_pb2.UNIMPLEMENTED, "This path does not have this method.", 405),
    "BODY_TOO_LARGE": Row(code_pb2.INVALID_ARGUMENT, "The body may have at most {limit:,} bytes, inflated.", 413),
    "UNSUPPORTED_CONTENT_ENCODING": Row(code_pb2.INVALID_ARGUMENT, "Content-Encoding must be gzip or identity.", 415),
    "BODY_NOT_GZIP": Row(code_pb2.INVALID_ARGUMENT, "The body is not gzip, or not the whole of it."),
    "BODY_NOT_JSON": Row(code_pb2.INVALID_ARGUMENT, "The body is not JSON in UTF-8: it goes wrong at byte {byte}."),
    "BODY_NOT_AN_OBJECT": Row(code_pb2.INVALID_ARGUMENT, "The body must be a JSON object."),
    "BODY_NOT_AN_ARRAY": Row(code_pb2.INVALID_ARGUMENT, "The body must be a JSON array of objects."),
    "USERS_BELONG_ELSEWHERE": Row(
        code_pb2.UNIMPLEMENTED, "This path takes no users. A list of users is sent to POST /v1/users/batch.", 405
    ),
    "BATCH_TOO_LARGE": Row(
        code_pb2.INVALID_ARGUMENT, "A batch holds at most {limit:,} {items}; none of this one was written."
    ),
    "BATCH_PARTLY_REFUSED": Row(code_pb2.INVALID_ARGUMENT, "{refused:,} of {total:,} {items} were refused{rest}."),
    "INVALID_REQUEST": Row(code_pb2.INVALID_ARGUMENT, "Fields of the request break rules; nothing of it was written."),
    "HTTP_MALFORMED": Row(code_pb2.INVALID_ARGUMENT, "This is no valid HTTP/1.1 request."),
    "HEAD_TOO_LARGE": Row(code_pb2.INVALID_ARGUMENT, "The head of the request is larger than any client's.", 431),
    "REQUEST_TOO_SLOW": Row(code_pb2.DEADLINE_EXCEEDED, "The request took too long to arrive; nothing was read.", 408),
    "HOST_INVALID": Row(code_pb2.INVALID_ARGUMENT, "A request must have one Host header, with a valid host."),
    "UNSUPPORTED_TRANSFER_ENCODING": Row(code_pb2.UNIMPLEMENTED, "Transfer-Encoding must be chunked."),
    "CREDENTIAL_AMBIGUOUS": Row(
        code_pb2.UNAUTHENTICATED,
        "Send each credential once: a second X-Moesif-Application-Id or Authorization is refused, even an equal one.",
    ),
    "CREDENTIAL_MISSING": Row(
        code_pb2.UNAUTHENTICATED,
        "Send a collector key as X-Moesif-Application-Id, or a management token as Authorization: Bearer.",
    ),
    "CREDENTIAL_UNKNOWN": Row(code_pb2.UNAUTHENTICATED, "The credential belongs to no application."),
    "OVERLOADED": Row(
        code_pb2.RESOURCE_EXHAUSTED, "More is waiting than the gateway holds; nothing was written.", retry_after=1
    ),
    "TOO_MANY_CONNECTIONS": Row(
        code_pb2.UNAVAILABLE, "The gateway has as many connections as it takes; nothing was read.", retry_after=1
    ),
    "WRITE_OUTCOME_UNKNOWN": Row(
        code_pb2.UNAVAILABLE,
        "The server did not answer, and the write may have been applied. Sending it again is safe.",
        retry_after=1,
    ),
    "SERVER_TOO_OLD": Row(
        code_pb2.UNAVAILABLE,
        "The server is older than the gateway; nothing was done. Update the server.",
        retry_after=1,
    ),
    "NOT_SENT_IN_TIME": Row(
        code_pb2.DEADLINE_EXCEEDED, "The server was too busy to be asked in time; nothing was written.", retry_after=1
    ),
    "INTERNAL": Row(
        code_pb2.INTERNAL,
        "A defect of the gateway, found in its log by the error_id. Sending the request again is safe.",
    ),
}
"""The gateway's own errors, by reason."""

# A call is CANCELLED by its caller, or by a server that goes. A gateway cancels none whose caller still listens.
_READ_UNAVAILABLE: Final = "SERVER_UNAVAILABLE", Row(code_pb2.UNAVAILABLE, "The server does not answer.", retry_after=1)

WRITE_FAILED: Final = frozenset(
    {
        code_pb2.UNAVAILABLE,
        code_pb2.CANCELLED,
        code_pb2.DEADLINE_EXCEEDED,
        code_pb2.UNKNOWN,
        code_pb2.INTERNAL,
        code_pb2.DATA_LOSS,
    }
)
"""Codes of a write that ended without a Status of the server's own: its outcome is unknown."""

READ_FAILED: Final[Mapping[int, tuple[str, Row]]] = {
    code_pb2.UNAVAILABLE: _READ_UNAVAILABLE,
    code_pb2.CANCELLED: _READ_UNAVAILABLE,
    code_pb2.DEADLINE_EXCEEDED: (
        "SERVER_TOO_SLOW",
        Row(code_pb2.DEADLINE_EXCEEDED, "The server did not answer in time.", retry_after=1),
    ),
}
"""The reason and the row of a read that ended so."""

UNEXPLAINED: Final = "UNEXPLAINED"
"""The reason of any other call that ended without a Status of the server's own: the code is all that is known."""

_Detail = TypeVar("_Detail", bound=Message)


class Refusal(Exception):
    """A request that is answered with an error: a Status, its HTTP status, and headers of its own.

    `route` is the template of its path, where that is known.
    """

    def __init__(
        self,
        status: Status,
        http: int | None = None,
        headers: Mapping[str, str] | None = None,
        route: str | None = None,
    ) -> None:
        super().__init__(reason_of(status))
        self.route = route
        self.status = status
        self.http = http_status(status.code) if http is None else http
        self.headers = headers_for(self.http, status) | dict(headers or {})


def refusal(
    reason: str,
    *,
    violations: Iterable[Finding] = (),
    headers: Mapping[str, str] | None = None,
    error_id: str = "",
    **facts: object,
) -> Refusal:
    """The gateway's own error with this reason, a key of OWN. `facts` fill in its text: limits and counts."""
    row = OWN[reason]
    return Refusal(_status(reason, row, facts, violations, error_id), row.http, headers)


def refusal_from_rpc(error: grpc.aio.AioRpcError, *, is_write: bool) -> Refusal:
    """What a failed call means for the HTTP client: the server's own Status, or a fixed text where it sent none."""
    code: int = error.code().value[0]
    if (sent := _sent_status(error)) and sent.code == code:
        return Refusal(sent)
    if code == code_pb2.UNIMPLEMENTED:
        return refusal("SERVER_TOO_OLD")
    if is_write and code in WRITE_FAILED:
        return refusal("WRITE_OUTCOME_UNKNOWN")
    if is_write and code == code_pb2.RESOURCE_EXHAUSTED:
        # gRPC's own word for a message beyond its limits; no limiter of ours answers without details.
        row = Row(code_pb2.INVALID_ARGUMENT, "The body is too large for the server; nothing of it was written.")
        return Refusal(_status("BODY_TOO_LARGE", row), OWN["BODY_TOO_LARGE"].http)
    reason, row = READ_FAILED.get(code, (UNEXPLAINED, Row(code, "The server refused the call without a reason.")))
    return Refusal(_status(reason, row))


def is_of_the_server(error: grpc.aio.AioRpcError) -> bool:
    """Whether the server itself ended a call or a stream, with a Status: gRPC and the network give none."""
    sent = _sent_status(error)
    return sent is not None and sent.code == error.code().value[0]


def status_of_item(findings: Iterable[Finding]) -> Status:
    """The Status of one object with these violations, as if it had been sent alone."""
    return _status("INVALID_REQUEST", OWN["INVALID_REQUEST"], violations=findings)


def http_status(code: int) -> int:
    """The HTTP status of a code; 500 for codes that nobody knows."""
    return HTTP_STATUS.get(code, 500)


def headers_for(http: int, status: Status) -> dict[str, str]:
    """The headers that an HTTP status calls for."""
    if http == 401:
        return {"www-authenticate": "Bearer"}
    if http == 415:
        return {"accept-encoding": "gzip"}
    if http in (429, 503):
        retry = detail(status, RetryInfo)
        wait = retry.retry_delay.seconds + (retry.retry_delay.nanos > 0) if retry else 0
        return {"retry-after": str(max(wait, 1))}
    return {}


def as_json(status: Status) -> dict[str, Any]:
    """The one shape: `code`, `status` (its name), `message`, `details`. At most 4 KiB as JSON.

    What does not fit is left out: violations from the last, at last all details.
    """
    details = [told for each in status.details if (told := _detail_as_json(each))]
    name = code_pb2.Code.Name(status.code) if status.code in HTTP_STATUS else "UNKNOWN"  # type: ignore[arg-type]  # As above.
    shape = {"code": status.code, "status": name, "message": status.message[:_MOST_TEXT], "details": details}
    violations: list[Any] = next((each["field_violations"] for each in details if "field_violations" in each), [])
    del violations[MOST:]
    while violations and len(orjson.dumps(shape)) > MOST_BYTES:
        violations.pop()
    if len(orjson.dumps(shape)) > MOST_BYTES:
        shape["details"] = []
    return shape


def detail(status: Status, kind: type[_Detail]) -> _Detail | None:
    """The first detail of this kind, if there is one that can be read."""
    for each in status.details:
        message = kind()
        if each.TypeName() == kind.DESCRIPTOR.full_name:
            try:
                each.Unpack(message)
            except DecodeError:
                return None
            return message
    return None


def info_of(status: Status) -> ErrorInfo:
    """The ErrorInfo; an empty one if there is none."""
    return detail(status, ErrorInfo) or ErrorInfo()


def reason_of(status: Status) -> str:
    """The reason in the ErrorInfo; without one, the code."""
    return info_of(status).reason or f"CODE_{status.code}"


def fields_of(status: Status) -> list[str]:
    """The paths of the fields that a Status complains of."""
    found = detail(status, BadRequest)
    return [violation.field for violation in found.field_violations] if found else []


def with_fields_renamed(status: Status, rename: Callable[[str], str]) -> Status:
    """The same Status, with each field's path renamed."""
    renamed = Status(code=status.code, message=status.message)
    for each in status.details:
        packed = renamed.details.add()
        packed.CopyFrom(each)
        if each.Is(BadRequest.DESCRIPTOR) and (found := detail(Status(details=[each]), BadRequest)):
            for violation in found.field_violations:
                violation.field = rename(violation.field)
            packed.Pack(found)
    return renamed


def with_code(status: Status, code: int, *, retry_after: int | None = None) -> Status:
    """The same Status under another code, with RetryInfo if a delay in seconds is given."""
    changed = Status()
    changed.CopyFrom(status)
    changed.code = code
    if retry_after is not None:
        info = RetryInfo()
        info.retry_delay.seconds = retry_after
        changed.details.add().Pack(info)
    return changed


def _status(
    reason: str,
    row: Row,
    facts: Mapping[str, object] | None = None,
    violations: Iterable[Finding] = (),
    error_id: str = "",
) -> Status:
    metadata = {"error_id": error_id} if error_id else None
    status = Status(code=row.code, message=row.message.format(**(facts or {})))
    status.details.add().Pack(ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    told = [
        # The installed message has `reason`; its published type stubs do not yet.
        BadRequest.FieldViolation(field=each.field, description=each.description, reason=each.reason)  # type: ignore[call-arg]
        for each in violations
    ]
    if told:
        status.details.add().Pack(BadRequest(field_violations=told[:MOST]))
    return status if row.retry_after is None else with_code(status, row.code, retry_after=row.retry_after)


def _sent_status(error: grpc.aio.AioRpcError) -> Status | None:
    trailers: Any = error.trailing_metadata()  # Pairs, whatever the stubs say.
    for name, value in trailers or ():
        if name == TRAILER:
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None


def _detail_as_json(packed: any_pb2.Any) -> dict[str, Any] | None:
    try:
        return MessageToDict(packed, preserving_proto_field_name=True)
    except (TypeError, DecodeError):  # A type that the gateway does not know, or bytes that are not one.
        return None
