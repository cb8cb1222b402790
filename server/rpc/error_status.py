"""The gRPC status of each error, and the `google.rpc.Status` that the caller gets."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from server import errors, limits

DOMAIN: Final = "userfold"
TRAILER: Final = "grpc-status-details-bin"
"""The trailing metadata that carries the Status, by gRPC's convention."""

# The Status as JSON must stay below 4 KiB. This is the share of the field violations, each with _FIELD_OVERHEAD, and of
# the message that names the first one.
_FIELDS_BYTES = 3000
_FIELD_OVERHEAD = 60


@dataclass(frozen=True, slots=True)
class ErrorStatus:
    """The status of one kind of error. `retry_after` is in seconds; None: a retry cannot succeed."""

    code: StatusCode
    reason: str
    message: str
    retry_after: int | None = None


ERROR_STATUSES: Final[Mapping[type[errors.UserfoldError], ErrorStatus]] = {
    errors.InvalidRequest: ErrorStatus(
        StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "Fields of the request break rules."
    ),
    errors.EtagMismatch: ErrorStatus(
        StatusCode.ABORTED,
        "ETAG_MISMATCH",
        "The profile does not have this etag, and nothing of the update was written. Read the profile again.",
    ),
    errors.MalformedRequest: ErrorStatus(
        StatusCode.INVALID_ARGUMENT,
        "MALFORMED_REQUEST",
        "The request is not the message that this method takes; metadata may be nested too deep to be read.",
    ),
    errors.BatchTooLarge: ErrorStatus(
        StatusCode.INVALID_ARGUMENT,
        "BATCH_TOO_LARGE",
        f"A batch holds at most {limits.BATCH_UPDATES:,} items; none of this one was processed.",
    ),
    errors.ProfileTooLarge: ErrorStatus(
        StatusCode.FAILED_PRECONDITION,
        "PROFILE_TOO_LARGE",
        f"The merged profile would pass {limits.PROFILE_BYTES:,} bytes or {limits.PROFILE_VALUES:,} values; nothing of"
        " the update was written.",
    ),
    errors.CredentialMissing: ErrorStatus(
        StatusCode.UNAUTHENTICATED,
        "CREDENTIAL_MISSING",
        "Send a collector key as X-Moesif-Application-Id, or a management token as Authorization: Bearer.",
    ),
    errors.CredentialAmbiguous: ErrorStatus(
        StatusCode.UNAUTHENTICATED,
        "CREDENTIAL_AMBIGUOUS",
        "Send each credential once: a second X-Moesif-Application-Id or Authorization is refused, even an equal one.",
    ),
    errors.CredentialUnknown: ErrorStatus(
        StatusCode.UNAUTHENTICATED, "CREDENTIAL_UNKNOWN", "The credential belongs to no application."
    ),
    errors.CollectorKeyAsToken: ErrorStatus(
        StatusCode.UNAUTHENTICATED,
        "CREDENTIAL_UNKNOWN",
        "This is a collector key, which is sent as X-Moesif-Application-Id: a bearer token must be a management token.",
    ),
    errors.TokenAsCollectorKey: ErrorStatus(
        StatusCode.UNAUTHENTICATED,
        "CREDENTIAL_UNKNOWN",
        "This is a management token, which is sent as Authorization: Bearer. X-Moesif-Application-Id carries a"
        " collector key.",
    ),
    errors.ScopeMissing: ErrorStatus(
        StatusCode.PERMISSION_DENIED,
        "SCOPE_MISSING",
        "The credential may not do this: it takes a management token with the scope that the metadata names.",
    ),
    errors.ManagementTokenRequired: ErrorStatus(
        StatusCode.PERMISSION_DENIED,
        "MANAGEMENT_TOKEN_REQUIRED",
        "This takes a management token, whatever its scopes are, and the credential is a collector key.",
    ),
    errors.CredentialNotFound: ErrorStatus(
        StatusCode.NOT_FOUND, "CREDENTIAL_NOT_FOUND", "The application has no credential with this credential_id."
    ),
    errors.CredentialReplaced: ErrorStatus(
        StatusCode.FAILED_PRECONDITION,
        "CREDENTIAL_ALREADY_ROTATED",
        "The credential was rotated before: rotate the one that replaced it, which the metadata names.",
    ),
    errors.TooManyCredentials: ErrorStatus(
        StatusCode.FAILED_PRECONDITION,
        "TOO_MANY_CREDENTIALS",
        f"The application has {limits.CREDENTIALS:,} credentials, of which none has expired: revoke one first.",
    ),
    errors.TooManyApplications: ErrorStatus(
        StatusCode.FAILED_PRECONDITION,
        "TOO_MANY_APPLICATIONS",
        "There are as many applications as there may be, or as this one may create: an operator can create more.",
    ),
    errors.LastAdminToken: ErrorStatus(
        StatusCode.FAILED_PRECONDITION,
        "LAST_ADMIN_TOKEN",
        "No other management token with the scope admin would be left: create one first.",
    ),
    errors.ResponseTooLarge: ErrorStatus(
        StatusCode.RESOURCE_EXHAUSTED,
        "RESPONSE_TOO_LARGE",
        "The response would become too large: ask for this one in another call.",
    ),
    errors.UserNotFound: ErrorStatus(
        StatusCode.NOT_FOUND, "USER_NOT_FOUND", "The application has no user with this user_id."
    ),
    errors.VisitorNotFound: ErrorStatus(
        StatusCode.NOT_FOUND, "VISITOR_NOT_FOUND", "The application has no visitor with this anonymous_id."
    ),
    errors.VisitorIdentified: ErrorStatus(
        StatusCode.NOT_FOUND,
        "VISITOR_IDENTIFIED",
        "The visitor was identified and is a part of a user: look the user up by this anonymous_id.",
    ),
    errors.CompanyNotFound: ErrorStatus(
        StatusCode.NOT_FOUND, "COMPANY_NOT_FOUND", "The application has no company with this company_id."
    ),
    errors.WriteOutcomeUnknown: ErrorStatus(
        StatusCode.UNAVAILABLE,
        "WRITE_OUTCOME_UNKNOWN",
        "The database did not confirm the write, which may have been applied. Sending it again is safe.",
        retry_after=1,
    ),
    errors.Overloaded: ErrorStatus(
        StatusCode.RESOURCE_EXHAUSTED,
        "OVERLOADED",
        "The server has no room for more requests, and did not begin this one. Send it again later.",
        retry_after=1,
    ),
    errors.RateLimited: ErrorStatus(
        StatusCode.RESOURCE_EXHAUSTED,
        "RATE_LIMITED",
        "The application sends more than it may; this request was not begun. Send it again later.",
    ),
    errors.GatewayTooOld: ErrorStatus(
        StatusCode.UNAVAILABLE,
        "GATEWAY_TOO_OLD",
        "The gateway is older than the server and cannot read its response; nothing was done. Update the gateway.",
    ),
    errors.ServerStopping: ErrorStatus(
        StatusCode.UNAVAILABLE,
        "SERVER_STOPPING",
        "The server is stopping. What it has not acknowledged is not written: send it again on a new stream.",
        retry_after=1,
    ),
    errors.StreamIdle: ErrorStatus(
        StatusCode.UNAVAILABLE,
        "STREAM_IDLE",
        f"No request was received for {limits.STREAM_IDLE_SECONDS} s. Nothing is lost: open a new stream for the next"
        " one.",
        retry_after=1,
    ),
    errors.DatabaseUnavailable: ErrorStatus(
        StatusCode.UNAVAILABLE,
        "DATABASE_UNAVAILABLE",
        "The database does not answer; the request has had no effect. Send it again later.",
        retry_after=1,
    ),
    errors.QueryTooSlow: ErrorStatus(
        StatusCode.FAILED_PRECONDITION,
        "QUERY_TOO_SLOW",
        "The database did not answer in time. A user_id, a company_id or a range of created_time makes it faster.",
    ),
    errors.IndexRequired: ErrorStatus(
        StatusCode.FAILED_PRECONDITION,
        "INDEX_REQUIRED",
        "The application has too many users for this query: an operator has to declare the path in the metadata.",
    ),
}

INTERNAL: Final = ErrorStatus(
    StatusCode.INTERNAL,
    "INTERNAL",
    "A defect of the server, found in its log by the error_id. Sending the request again is safe.",
)


def error_status(error: BaseException) -> ErrorStatus:
    """The status of any exception: INTERNAL where it is not a UserfoldError."""
    return ERROR_STATUSES.get(type(error), INTERNAL) if isinstance(error, errors.UserfoldError) else INTERNAL


def status_from_error(error: BaseException, prefix: str = "", error_id: str = "") -> Status:
    """The Status of an error, at most 4 KiB as JSON.

    `prefix`, such as `users[3].`, is put before the names of fields, which are those of one item. `error_id` is that of
    the log event of an INTERNAL error.
    """
    row = error_status(error)
    info = ErrorInfo(reason=row.reason, domain=DOMAIN, metadata={"error_id": error_id} if error_id else None)
    details: list[Message] = [info]
    if isinstance(error, errors.ScopeMissing):
        info.metadata["scope"] = error.scope
    if isinstance(error, errors.CredentialReplaced):
        info.metadata["replaced_by"] = error.replaced_by
    if isinstance(error, errors.IndexRequired):
        info.metadata["path"] = error.path
    message = row.message
    if isinstance(error, errors.InvalidRequest):
        message = _message_of(error.violations, prefix)
        if (column := error.violations[0].column) is not None:
            info.metadata["column"] = str(column)
        details.append(_bad_request(error.violations, prefix, _FIELDS_BYTES - _json_bytes(message)))
    if isinstance(error, errors.RateLimited):
        nanos = math.ceil(error.seconds * 1e9)
        details.append(RetryInfo(retry_delay=Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)))
    if row.retry_after is not None:
        details.append(RetryInfo(retry_delay=Duration(seconds=row.retry_after)))
    status = Status(code=number(row.code), message=message)
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _message_of(violations: tuple[errors.Violation, ...], prefix: str) -> str:
    """The first violation and the number of the rest, as `metadata.email: must be a string (and 2 more)`."""
    first, more = violations[0], len(violations) - 1
    # Not all are counted.
    least = "at least " if more >= limits.REPORTED - 1 else ""
    return f"{prefix}{first.field}: {first.description}" + (f" (and {least}{more} more)" if more else "")


def _bad_request(violations: tuple[errors.Violation, ...], prefix: str, bytes_left: int) -> BadRequest:
    bad_request = BadRequest()
    for violation in violations[: limits.REPORTED]:
        field = prefix + violation.field
        texts = (field, violation.description, violation.reason)
        bytes_left -= sum(map(_json_bytes, texts)) + _FIELD_OVERHEAD
        if bytes_left < 0:
            break
        bad_request.field_violations.add(field=field, description=violation.description, reason=violation.reason)
    return bad_request


def _json_bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode())


def reason_of(status: Status) -> str:
    """The reason of a Status that `status_from_error` returned."""
    info = ErrorInfo()
    status.details[0].Unpack(info)
    return info.reason


def code_name(number: int) -> str:
    """The name of the status code with this number on the wire."""
    return next(code.name for code in StatusCode if code.value[0] == number)


def number(code: StatusCode) -> int:
    """The number of a status code on the wire."""
    value: tuple[int, str] = code.value
    return value[0]
