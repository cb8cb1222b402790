"""The whole table of error statuses, with the whole Status of each."""

import json

import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from server import errors
from server.errors import UserfoldError, Violation
from server.model import Scope
from server.rpc.error_status import ERROR_STATUSES, status_from_error

assert error_details_pb2  # In the descriptor pool, so that `Any` can be printed as JSON.

_VIOLATION = Violation("metadata.email", "WRONG_TYPE", "must be a string")
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]
_FIELDS = [
    {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
            {"field": "users[3].metadata.email", "reason": "WRONG_TYPE", "description": "must be a string"}
        ],
    }
]

_TABLE: list[tuple[UserfoldError, int, str, str, list[object]]] = [
    (
        errors.InvalidRequest([_VIOLATION]),
        3,
        "INVALID_REQUEST",
        "users[3].metadata.email: must be a string",
        list(_FIELDS),
    ),
    (
        errors.EtagMismatch(),
        10,
        "ETAG_MISMATCH",
        "The profile does not have this etag, and nothing of the update was written. Read the profile again.",
        [],
    ),
    (
        errors.MalformedRequest(),
        3,
        "MALFORMED_REQUEST",
        "The request is not the message that this method takes; metadata may be nested too deep to be read.",
        [],
    ),
    (
        errors.BatchTooLarge(),
        3,
        "BATCH_TOO_LARGE",
        "A batch holds at most 1,000 items; none of this one was processed.",
        [],
    ),
    (
        errors.ProfileTooLarge(),
        9,
        "PROFILE_TOO_LARGE",
        "The merged profile would pass 1,048,576 bytes or 50,000 values; nothing of the update was written.",
        [],
    ),
    (
        errors.CredentialMissing(),
        16,
        "CREDENTIAL_MISSING",
        "Send a collector key as X-Moesif-Application-Id, or a management token as Authorization: Bearer.",
        [],
    ),
    (
        errors.CredentialAmbiguous(),
        16,
        "CREDENTIAL_AMBIGUOUS",
        "Send each credential once: a second X-Moesif-Application-Id or Authorization is refused, even an equal one.",
        [],
    ),
    (
        errors.StreamIdle(),
        14,
        "STREAM_IDLE",
        "No request was received for 300 s. Nothing is lost: open a new stream for the next one.",
        [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}],
    ),
    (errors.CredentialUnknown(), 16, "CREDENTIAL_UNKNOWN", "The credential belongs to no application.", []),
    (
        errors.CollectorKeyAsToken(),
        16,
        "CREDENTIAL_UNKNOWN",
        "This is a collector key, which is sent as X-Moesif-Application-Id: a bearer token must be a management token.",
        [],
    ),
    (
        errors.TokenAsCollectorKey(),
        16,
        "CREDENTIAL_UNKNOWN",
        "This is a management token, which is sent as Authorization: Bearer. X-Moesif-Application-Id carries a"
        " collector key.",
        [],
    ),
    (
        errors.ScopeMissing(Scope.READ_CAMPAIGNS),
        7,
        "SCOPE_MISSING",
        "The credential may not do this: it takes a management token with the scope that the metadata names.",
        [],
    ),
    (
        errors.ManagementTokenRequired(),
        7,
        "MANAGEMENT_TOKEN_REQUIRED",
        "This takes a management token, whatever its scopes are, and the credential is a collector key.",
        [],
    ),
    (
        errors.CredentialNotFound(),
        5,
        "CREDENTIAL_NOT_FOUND",
        "The application has no credential with this credential_id.",
        [],
    ),
    (
        errors.CredentialReplaced("9b1d0c7e5a2f"),
        9,
        "CREDENTIAL_ALREADY_ROTATED",
        "The credential was rotated before: rotate the one that replaced it, which the metadata names.",
        [],
    ),
    (
        errors.TooManyCredentials(),
        9,
        "TOO_MANY_CREDENTIALS",
        "The application has 1,000 credentials, of which none has expired: revoke one first.",
        [],
    ),
    (
        errors.TooManyApplications(),
        9,
        "TOO_MANY_APPLICATIONS",
        "There are as many applications as there may be, or as this one may create: an operator can create more.",
        [],
    ),
    (
        errors.LastAdminToken(),
        9,
        "LAST_ADMIN_TOKEN",
        "No other management token with the scope admin would be left: create one first.",
        [],
    ),
    (
        errors.IndexRequired("metadata.stage"),
        9,
        "INDEX_REQUIRED",
        "The application has too many users for this query: an operator has to declare the path in the metadata.",
        [],
    ),
    (errors.UserNotFound(), 5, "USER_NOT_FOUND", "The application has no user with this user_id.", []),
    (errors.VisitorNotFound(), 5, "VISITOR_NOT_FOUND", "The application has no visitor with this anonymous_id.", []),
    (
        errors.VisitorIdentified(),
        5,
        "VISITOR_IDENTIFIED",
        "The visitor was identified and is a part of a user: look the user up by this anonymous_id.",
        [],
    ),
    (errors.CompanyNotFound(), 5, "COMPANY_NOT_FOUND", "The application has no company with this company_id.", []),
    (
        errors.WriteOutcomeUnknown(),
        14,
        "WRITE_OUTCOME_UNKNOWN",
        "The database did not confirm the write, which may have been applied. Sending it again is safe.",
        list(_RETRY),
    ),
    (
        errors.Overloaded(),
        8,
        "OVERLOADED",
        "The server has no room for more requests, and did not begin this one. Send it again later.",
        list(_RETRY),
    ),
    (
        errors.RateLimited(1.25),
        8,
        "RATE_LIMITED",
        "The application sends more than it may; this request was not begun. Send it again later.",
        [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.250s"}],
    ),
    (
        errors.GatewayTooOld(),
        14,
        "GATEWAY_TOO_OLD",
        "The gateway is older than the server and cannot read its response; nothing was done. Update the gateway.",
        [],
    ),
    (
        errors.ServerStopping(),
        14,
        "SERVER_STOPPING",
        "The server is stopping. What it has not acknowledged is not written: send it again on a new stream.",
        list(_RETRY),
    ),
    (
        errors.DatabaseUnavailable(),
        14,
        "DATABASE_UNAVAILABLE",
        "The database does not answer; the request has had no effect. Send it again later.",
        list(_RETRY),
    ),
    (
        errors.ResponseTooLarge(),
        8,
        "RESPONSE_TOO_LARGE",
        "The response would become too large: ask for this one in another call.",
        [],
    ),
    (
        errors.QueryTooSlow(),
        9,
        "QUERY_TOO_SLOW",
        "The database did not answer in time. A user_id, a company_id or a range of created_time makes it faster.",
        [],
    ),
]


@pytest.mark.parametrize(("error", "code", "reason", "message", "details"), _TABLE, ids=lambda value: str(value)[:24])
def test_an_error_becomes_its_status(
    error: UserfoldError, code: int, reason: str, message: str, details: list[object]
) -> None:
    status = status_from_error(error, prefix="users[3].")
    info: dict[str, object] = {"@type": _INFO, "reason": reason, "domain": "userfold"}
    if isinstance(error, errors.ScopeMissing):
        info["metadata"] = {"scope": "read:campaigns"}
    if isinstance(error, errors.IndexRequired):
        info["metadata"] = {"path": "metadata.stage"}
    if isinstance(error, errors.CredentialReplaced):
        info["metadata"] = {"replaced_by": "9b1d0c7e5a2f"}
    assert json_format.MessageToDict(status) == {"code": code, "message": message, "details": [info, *details]}


def test_the_table_has_every_error() -> None:
    assert {type(row[0]) for row in _TABLE} == set(ERROR_STATUSES)
    facts = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserfoldError)}
    # A rejected write is a defect, and so INTERNAL.
    assert facts - set(ERROR_STATUSES) == {UserfoldError, errors.WriteRejected}


@pytest.mark.parametrize(
    ("columns", "metadata"), [((12,), {"column": "12"}), ((None, 3), {}), ((1, 3), {"column": "1"})]
)
def test_the_column_of_the_first_violation_is_in_the_metadata(
    columns: tuple[int | None, ...], metadata: dict[str, str]
) -> None:
    error = errors.InvalidRequest([Violation("filter", "INVALID_FILTER", "x", column=column) for column in columns])
    info = error_details_pb2.ErrorInfo()
    status_from_error(error).details[0].Unpack(info)
    assert dict(info.metadata) == metadata


@pytest.mark.parametrize("error", [errors.WriteRejected(13), ValueError("a value"), KeyError("secret")])
def test_any_other_exception_becomes_internal_with_an_error_id_and_nothing_else(error: Exception) -> None:
    assert json_format.MessageToDict(status_from_error(error, error_id="4711")) == {
        "code": 13,
        "message": "A defect of the server, found in its log by the error_id. Sending the request again is safe.",
        "details": [{"@type": _INFO, "reason": "INTERNAL", "domain": "userfold", "metadata": {"error_id": "4711"}}],
    }


@pytest.mark.parametrize("letter", ["x", "é", "日", '"'])
def test_a_status_never_exceeds_four_kibibytes(letter: str) -> None:
    violations = [Violation(letter * 160, "TOO_DEEP", "nested deeper than 20 levels") for _ in range(100)]
    status: Status = status_from_error(errors.InvalidRequest(violations), prefix="users[999].")
    assert len(json.dumps(json_format.MessageToDict(status), ensure_ascii=False).encode()) <= 4096
    assert len(status.SerializeToString()) <= 4096


def test_at_most_twenty_fields_are_named() -> None:
    violations = [Violation(f"k{number}", "X", "y") for number in range(100)]
    status = status_from_error(errors.InvalidRequest(violations))
    bad_request = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad_request)
    assert len(bad_request.field_violations) == 20


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (1, "users[3].a: must be a string"),
        (3, "users[3].a: must be a string (and 2 more)"),
        (20, "users[3].a: must be a string (and at least 19 more)"),
    ],
)
def test_the_message_of_an_invalid_request_names_the_first_field(number: int, message: str) -> None:
    violations = [Violation(chr(ord("a") + index), "WRONG_TYPE", "must be a string") for index in range(number)]
    assert status_from_error(errors.InvalidRequest(violations), "users[3].").message == message


_OF_WRITES = {
    errors.EtagMismatch,
    errors.ProfileTooLarge,
    errors.ServerStopping,
    errors.WriteOutcomeUnknown,
}
"""Errors of methods that write, and of no other."""


def test_no_error_that_a_read_may_get_says_that_nothing_was_written() -> None:
    said = {kind for kind, row in ERROR_STATUSES.items() if "writ" in row.message}
    assert said <= _OF_WRITES
