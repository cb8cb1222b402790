"""The gateway's own errors as tables: codes, HTTP statuses and messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from google.rpc import code_pb2

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
    """One kind of error. `http_status` where it is not that of the code; `retry_after` in seconds."""

    code: int
    message: str
    http_status: int | None = None
    retry_after: int | None = None


OWN: Final[Mapping[str, Row]] = {
    "ROUTE_NOT_FOUND": Row(code_pb2.NOT_FOUND, "There is no route with this path."),
    "METHOD_NOT_ALLOWED": Row(code_pb2.UNIMPLEMENTED, "This path does not have this method.", 405),
    "BODY_TOO_LARGE": Row(code_pb2.INVALID_ARGUMENT, "The body may have at most {limit:,} bytes, inflated.", 413),
    "UNSUPPORTED_CONTENT_ENCODING": Row(code_pb2.INVALID_ARGUMENT, "Content-Encoding must be gzip or identity.", 415),
    "BODY_NOT_GZIP": Row(code_pb2.INVALID_ARGUMENT, "The body is not a complete gzip stream."),
    "BODY_NOT_JSON": Row(code_pb2.INVALID_ARGUMENT, "The body is not JSON in UTF-8: it is invalid at byte {byte}."),
    "BODY_NOT_AN_OBJECT": Row(code_pb2.INVALID_ARGUMENT, "The body must be a JSON object."),
    "BODY_NOT_AN_ARRAY": Row(code_pb2.INVALID_ARGUMENT, "The body must be a JSON array of objects."),
    "USERS_BELONG_ELSEWHERE": Row(
        code_pb2.UNIMPLEMENTED, "This path takes no users. A list of users is sent to POST /v1/users/batch.", 405
    ),
    "BATCH_TOO_LARGE": Row(
        code_pb2.INVALID_ARGUMENT, "A batch holds at most {limit:,} {items}; none of this one was processed."
    ),
    "BATCH_PARTLY_REFUSED": Row(code_pb2.INVALID_ARGUMENT, "{refused:,} of {total:,} {items} were refused{rest}."),
    "INVALID_REQUEST": Row(code_pb2.INVALID_ARGUMENT, "{first}"),
    "HTTP_MALFORMED": Row(code_pb2.INVALID_ARGUMENT, "This is not a valid HTTP/1.1 request."),
    "HEAD_TOO_LARGE": Row(code_pb2.INVALID_ARGUMENT, "The head of the request is too large.", 431),
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
        code_pb2.RESOURCE_EXHAUSTED,
        "The gateway has no room for more requests, and did not begin this one.",
        retry_after=1,
    ),
    "TOO_MANY_CONNECTIONS": Row(
        code_pb2.UNAVAILABLE, "The gateway has too many connections; nothing was read.", retry_after=1
    ),
    "WRITE_OUTCOME_UNKNOWN": Row(
        code_pb2.UNAVAILABLE,
        "The server did not answer, and the write may have been applied. Sending it again is safe.",
        retry_after=1,
    ),
    "SERVER_UNAVAILABLE": Row(
        code_pb2.UNAVAILABLE,
        "The gateway cannot reach a server; the request was not sent to one. Send it again later.",
        retry_after=1,
    ),
    "SERVER_TOO_OLD": Row(
        code_pb2.UNAVAILABLE,
        "The server is older than the gateway; nothing was done. Update the server.",
        retry_after=1,
    ),
    "NOT_SENT_IN_TIME": Row(
        code_pb2.DEADLINE_EXCEEDED,
        "The request could not be sent to the server in time; nothing was written.",
        retry_after=1,
    ),
    "INTERNAL": Row(
        code_pb2.INTERNAL,
        "A defect of the gateway. Its log has the cause, with this error_id. Sending the request again is safe.",
    ),
}
"""The gateway's own errors, by reason."""

# A server that stops ends calls with CANCELLED. The gateway itself cancels only calls whose client has gone.
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
"""Codes after which the outcome of a write is unknown, where the server sent no Status."""

READ_FAILED: Final[Mapping[int, tuple[str, Row]]] = {
    code_pb2.UNAVAILABLE: _READ_UNAVAILABLE,
    code_pb2.CANCELLED: _READ_UNAVAILABLE,
    code_pb2.DEADLINE_EXCEEDED: (
        "SERVER_TOO_SLOW",
        Row(code_pb2.DEADLINE_EXCEEDED, "The server did not answer in time.", retry_after=1),
    ),
}
"""The reason and the row of a read that ended with this code, where the server sent no Status."""

UNEXPLAINED: Final = "UNEXPLAINED"
"""The reason of any other call that ended where the server sent no Status: the code is all that is known."""
