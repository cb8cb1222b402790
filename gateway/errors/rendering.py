"""Errors as the client reads them: `google.rpc.Status` as JSON, with messages that the gateway chose."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import grpc
import orjson
from google.protobuf import any_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from gateway.errors.catalogue import HTTP_STATUS, OWN, READ_FAILED, UNEXPLAINED, WRITE_FAILED, Row
from gateway.errors.violations import FINDINGS_LIMIT, Finding

DOMAIN: Final = "userfold"
TRAILER: Final = "grpc-status-details-bin"
"""The trailing metadata that carries the Status, by gRPC's convention."""

ERROR_BYTES: Final = 4096
"""The limit of an error as JSON."""

_MESSAGE_CHARACTERS = 500

_Detail = TypeVar("_Detail", bound=Message)


class Refusal(Exception):
    """A request that is answered with an error: a Status, its HTTP status, and headers."""

    def __init__(
        self, status: Status, http_status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(reason_of(status))
        self.status = status
        self.http_status = http_status_of(status.code) if http_status is None else http_status
        self.headers = headers_for(self.http_status, status) | dict(headers or {})


def refusal(
    reason: str,
    *,
    violations: Iterable[Finding] = (),
    headers: Mapping[str, str] | None = None,
    error_id: str = "",
    **facts: object,
) -> Refusal:
    """The gateway's own error with this reason, a key of OWN. Its message shows the `facts`: limits and counts."""
    row = OWN[reason]
    return Refusal(_status(reason, row, facts, violations, error_id), row.http_status, headers)


def refusal_from_rpc(error: grpc.aio.AioRpcError, *, is_write: bool) -> Refusal:
    """The refusal that a failed call becomes: the server's own Status, or a fixed one where it sent none."""
    code: int = error.code().value[0]
    if (sent := _sent_status(error)) and sent.code == code:
        return Refusal(sent)
    if code == code_pb2.UNIMPLEMENTED:
        return refusal("SERVER_TOO_OLD")
    if is_write and code in WRITE_FAILED:
        return refusal("WRITE_OUTCOME_UNKNOWN")
    if is_write and code == code_pb2.RESOURCE_EXHAUSTED:
        # gRPC itself refuses a message beyond its limits so; the server's own refusals have details.
        row = Row(code_pb2.INVALID_ARGUMENT, "The body is too large for the server; nothing of it was written.")
        return Refusal(_status("BODY_TOO_LARGE", row), OWN["BODY_TOO_LARGE"].http_status)
    reason, row = READ_FAILED.get(code, (UNEXPLAINED, Row(code, "The server refused the call without a reason.")))
    return Refusal(_status(reason, row))


def is_of_the_server(error: grpc.aio.AioRpcError) -> bool:
    """Whether the server ended a call or a stream with a Status. gRPC and the network send none."""
    sent = _sent_status(error)
    return sent is not None and sent.code == error.code().value[0]


def status_of_item(findings: Iterable[Finding]) -> Status:
    """The Status of one object with these violations, as if it had been sent alone."""
    return _status("INVALID_REQUEST", OWN["INVALID_REQUEST"], violations=findings)


def http_status_of(code: int) -> int:
    """The HTTP status of a code; 500 for a code that google/rpc/code.proto does not have."""
    return HTTP_STATUS.get(code, 500)


def headers_for(http_status: int, status: Status) -> dict[str, str]:
    """The headers that a response with this HTTP status needs."""
    if http_status == 401:
        return {"www-authenticate": "Bearer"}
    if http_status == 415:
        return {"accept-encoding": "gzip"}
    if http_status in (429, 503):
        retry = detail(status, RetryInfo)
        wait = retry.retry_delay.seconds + (retry.retry_delay.nanos > 0) if retry else 0
        return {"retry-after": str(max(wait, 1))}
    return {}


def as_json(status: Status) -> dict[str, Any]:
    """An object with `code`, `status` (the code's name), `message` and `details`. At most 4 KiB as JSON.

    What does not fit is left out: first the last violations, then all details.
    """
    details = [detail for each in status.details if (detail := _detail_as_json(each))]
    name = code_pb2.Code.Name(status.code) if status.code in HTTP_STATUS else "UNKNOWN"  # type: ignore[arg-type]  # A key of HTTP_STATUS is a code.
    shape = {"code": status.code, "status": name, "message": status.message[:_MESSAGE_CHARACTERS], "details": details}
    violations: list[Any] = next((each["field_violations"] for each in details if "field_violations" in each), [])
    del violations[FINDINGS_LIMIT:]
    while violations and len(orjson.dumps(shape)) > ERROR_BYTES:
        violations.pop()
    if len(orjson.dumps(shape)) > ERROR_BYTES:
        shape["details"] = []
    return shape


def detail(status: Status, kind: type[_Detail]) -> _Detail | None:
    """The first detail of this type; None where there is none that can be decoded."""
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
    """The ErrorInfo of a Status; an empty one if it has none."""
    return detail(status, ErrorInfo) or ErrorInfo()


def reason_of(status: Status) -> str:
    """The reason in the ErrorInfo; without one, `CODE_` and the number of the code."""
    return info_of(status).reason or f"CODE_{status.code}"


def violations_of(status: Status) -> list[tuple[str, str]]:
    """The paths of the fields in a Status's violations, each with its reason."""
    bad_request = detail(status, BadRequest)
    # The installed message has `reason`; its published type stubs do not yet.
    found: Any = bad_request.field_violations if bad_request else ()
    return [(violation.field, violation.reason) for violation in found]


def with_fields_renamed(status: Status, rename: Callable[[str], str]) -> Status:
    """The same Status, with each field's path renamed, also that in the message."""
    renamed = Status(code=status.code, message=status.message)
    for each in status.details:
        packed = renamed.details.add()
        packed.CopyFrom(each)
        if each.Is(BadRequest.DESCRIPTOR) and (bad_request := detail(Status(details=[each]), BadRequest)):
            for place, violation in enumerate(bad_request.field_violations):
                name, violation.field = violation.field, rename(violation.field)
                if place == 0 and status.message.startswith(f"{name}: "):
                    renamed.message = violation.field + status.message.removeprefix(name)
            packed.Pack(bad_request)
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
    violations = tuple(violations)
    named = {"first": _first_of(violations)} if violations else {}
    status = Status(code=row.code, message=row.message.format(**named, **(facts or {})))
    status.details.add().Pack(ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    field_violations = [
        # The installed message has `reason`; its published type stubs do not yet.
        BadRequest.FieldViolation(field=each.field, description=each.description, reason=each.reason)  # type: ignore[call-arg]
        for each in violations
    ]
    if field_violations:
        status.details.add().Pack(BadRequest(field_violations=field_violations[:FINDINGS_LIMIT]))
    return status if row.retry_after is None else with_code(status, row.code, retry_after=row.retry_after)


def _first_of(violations: Sequence[Finding]) -> str:
    """The first violation and the number of the rest, as `metadata.email: must be a string (and 2 more)`."""
    first, more = violations[0], len(violations) - 1
    # Not all are counted.
    least = "at least " if more >= FINDINGS_LIMIT - 1 else ""
    return f"{first.field}: {first.description}" + (f" (and {least}{more} more)" if more else "")


def _sent_status(error: grpc.aio.AioRpcError) -> Status | None:
    trailers: Any = error.trailing_metadata()  # Pairs; the type stubs say otherwise.
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
    except (TypeError, DecodeError):  # Its type is unknown to the gateway, or it cannot be decoded.
        return None
