"""The errors of an operation as responses: the reasons by HTTP status, with what each says."""

from collections.abc import Mapping
from typing import Any, Final

from docs.generator.contract import Contract
from docs.generator.descriptors import Api
from gateway.routing.http_rules import Binding

_ALWAYS: Final = (
    *("INVALID_REQUEST", "CREDENTIAL_MISSING", "CREDENTIAL_AMBIGUOUS", "CREDENTIAL_UNKNOWN"),
    *("OVERLOADED", "RATE_LIMITED", "DATABASE_UNAVAILABLE", "GATEWAY_TOO_OLD", "SERVER_TOO_OLD", "INTERNAL"),
    *("REQUEST_TOO_SLOW", "HEAD_TOO_LARGE", "TOO_MANY_CONNECTIONS"),
)
_OF_BODIES: Final = ("BODY_TOO_LARGE", "UNSUPPORTED_CONTENT_ENCODING", "BODY_NOT_GZIP", "BODY_NOT_JSON")
_OF_READS: Final = ("SERVER_UNAVAILABLE", "SERVER_TOO_SLOW")
_OF_WRITES: Final = ("WRITE_OUTCOME_UNKNOWN", "NOT_SENT_IN_TIME")
_OF_USERS: Final = frozenset({"GetUser", "ExportUser", "RemoveAlias"})
_OF_QUERIES: Final = frozenset({"ListUsers", "CountUsers", "ReportCampaigns"})
_OF_UPDATES: Final = frozenset({"UpdateUser", "BatchUpdateUsers", "UpdateCompany", "BatchUpdateCompanies"})
_OF_METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "MergeUsers": ("USER_NOT_FOUND", "PROFILE_TOO_LARGE"),
    "GetVisitor": ("VISITOR_NOT_FOUND", "VISITOR_IDENTIFIED"),
    "ListVisitors": ("QUERY_TOO_SLOW",),
    "CountVisitors": ("QUERY_TOO_SLOW",),
    "DeleteVisitor": ("VISITOR_IDENTIFIED",),
    "ExportVisitor": ("VISITOR_NOT_FOUND", "VISITOR_IDENTIFIED"),
    # Of companies, whose paths cannot be declared; and of users with their companies.
    **dict.fromkeys(("ListCompanies", "CountCompanies", "GetUser", "LookupUsers"), ("QUERY_TOO_SLOW",)),
    **dict.fromkeys(("GetCompany", "ExportCompany"), ("COMPANY_NOT_FOUND",)),
    "DeleteApplication": ("QUERY_TOO_SLOW",),
    "CreateApplication": ("TOO_MANY_APPLICATIONS",),
    "CreateCredential": ("TOO_MANY_CREDENTIALS",),
    "RotateCredential": ("CREDENTIAL_NOT_FOUND", "CREDENTIAL_ALREADY_ROTATED", "TOO_MANY_CREDENTIALS"),
    "RevokeCredential": ("LAST_ADMIN_TOKEN",),
}

ELSEWHERE: Final = frozenset(
    {
        # Over gRPC, or of streams.
        *("MALFORMED_REQUEST", "SERVER_STOPPING", "STREAM_IDLE"),
        # Of one item, in a response with 200.
        "RESPONSE_TOO_LARGE",
        # Of paths that no operation has, or of connections: any request may be refused so.
        *("METHOD_NOT_ALLOWED", "USERS_BELONG_ELSEWHERE", "HTTP_MALFORMED", "HOST_INVALID"),
        "UNSUPPORTED_TRANSFER_ENCODING",
        # It has any code.
        "UNEXPLAINED",
    }
)
"""The reasons that are of no operation."""

PARTLY: Final = "BATCH_PARTLY_REFUSED"
BATCH_ERRORS: Final = {"BatchUpdateUsers": "BatchError", "BatchUpdateCompanies": "CompanyBatchError"}
"""The schema of the error that a batch of updates has, by its method."""

_MAY_PASS: Final = (429, 500, 503, 504)

REASONS: Final = "x-userfold-reasons"
"""The member of a response that lists its reasons, for programs."""


class Reasons:
    """What may fail, by operation."""

    def __init__(self, api: Api, contract: Contract) -> None:
        self._comments = api.enum("ErrorReason")
        self._contract = contract
        self._http_status = contract.http_status_of_reasons()

    def responses(self, method: str, binding: Binding) -> dict[str, Any]:
        """The responses of an operation that are errors, by status."""
        by_status: dict[int, list[str]] = {}
        name = binding.rpc.removeprefix("/userfold.v1.").replace("/", ".")
        needed = "SCOPE_MISSING" if self._contract.scope(name) else "MANAGEMENT_TOKEN_REQUIRED"
        for reason in (needed, *_reasons(method, binding)):
            by_status.setdefault(self._http_status[reason], []).append(reason)
        if binding.is_batch:
            # Its status is that of an item's error that may pass.
            for status in _MAY_PASS:
                by_status[status].append(PARTLY)
        return {str(status): self._response(status, reasons, method) for status, reasons in sorted(by_status.items())}

    def _response(self, status: int, reasons: list[str], method: str) -> dict[str, Any]:
        schema = BATCH_ERRORS[method] if PARTLY in reasons else "Status"
        listed = "\n".join(f"- `{reason}`: {_sentence(self._comments[reason])}" for reason in reasons)
        response: dict[str, Any] = {
            "description": listed,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
            REASONS: reasons,
        }
        if headers := _HEADERS.get(status):
            response["headers"] = dict(headers)
        return response


_RETRY_AFTER: Final = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer", "minimum": 1}}}
_HEADERS: Final[Mapping[int, Mapping[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}},
    415: {"Accept-Encoding": {"description": "`gzip`.", "schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}


def _reasons(method: str, binding: Binding) -> list[str]:
    reasons = [*_ALWAYS, *(_OF_WRITES if binding.is_write else _OF_READS)]
    # A body where a method takes none is refused, and its size is limited.
    reasons += _OF_BODIES if binding.body else ["BODY_TOO_LARGE"]
    if binding.body:
        reasons.append("BODY_NOT_AN_ARRAY" if binding.is_batch else "BODY_NOT_AN_OBJECT")
    if binding.is_batch:
        reasons.append(PARTLY)
    elif binding.has_results:
        reasons.append("BATCH_TOO_LARGE")
    if "{" in binding.template:
        reasons.append("ROUTE_NOT_FOUND")
    if method in _OF_USERS:
        reasons.append("USER_NOT_FOUND")
    if method in _OF_QUERIES:
        reasons += ["QUERY_TOO_SLOW", "INDEX_REQUIRED"]
    reasons += _OF_METHODS.get(method, ())
    if method in _OF_UPDATES:
        reasons.append("PROFILE_TOO_LARGE")
        # No batch has its status: to send the update again cannot help.
        reasons += [] if binding.is_batch else ["ETAG_MISMATCH"]
    return reasons


def _sentence(comment: str) -> str:
    """A comment without the code that it begins with, which the status says already."""
    text = " ".join(comment.split())
    head, _, rest = text.partition(". ")
    return rest if rest and (head.isupper() or head.startswith(("Over HTTP", *_CODES))) else text


_CODES: Final = (
    *("INVALID_ARGUMENT", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "NOT_FOUND", "UNIMPLEMENTED"),
    *("UNAUTHENTICATED", "PERMISSION_DENIED", "INTERNAL", "DEADLINE_EXCEEDED", "ABORTED"),
)
