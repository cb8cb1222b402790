"""Errors of gRPC as one line for people: the reason, the fields, and what to do."""

from collections.abc import Mapping
from typing import Final, cast

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from cli.failures import CommandFailed, ExitStatus

_MAY_SUCCEED_LATER: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)

_REMEDIES: Final[Mapping[str, str]] = {
    "CREDENTIAL_UNKNOWN": "check USERFOLD_TOKEN, and that it is for this server",
    "SCOPE_MISSING": "`userfold applications create-token` makes a token with the scope {scope}",
    "INDEX_REQUIRED": "`userfold applications declare-index` with the path {path} lets the servers build an index",
    "QUERY_TOO_SLOW": "narrow the filter",
    "VISITOR_IDENTIFIED": "`userfold users lookup --anonymous-id` finds the user",
    "DATABASE_UNAVAILABLE": "check the server's MongoDB, then try again",
    "OVERLOADED": "try again later",
    "RATE_LIMITED": "try again later",
    "INTERNAL": "the server's log explains it under error_id={error_id}",
}
"""What a user of the command line can do, by the reason. In braces: a name in the metadata of the ErrorInfo."""


def failure_of(error: grpc.RpcError, address: str) -> CommandFailed:
    """The failure of a command whose call to the server at `address` ended with this error."""
    call = cast("grpc.Call", error)
    code, message = call.code(), call.details() or ""
    status = ExitStatus.UNAVAILABLE if code in _MAY_SUCCEED_LATER else ExitStatus.FAILED
    details = dict(call.trailing_metadata() or ()).get("grpc-status-details-bin")
    if not isinstance(details, bytes):
        return CommandFailed(_without_details(code, message, address), status)
    return CommandFailed(line_of(Status.FromString(details)), status)


def line_of(status: Status) -> str:
    """A refusal on one line: its message, the fields that break rules, the reason, and what to do."""
    info, fields = ErrorInfo(), BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(fields)
    line = status.message.rstrip(".")
    if fields.field_violations:
        line += ": " + "; ".join(f"{each.field}: {each.description.rstrip('.')}" for each in fields.field_violations)
    if info.reason:
        line += f" ({info.reason})"
    if remedy := _REMEDIES.get(info.reason):
        # Another version of the server may not send the name.
        line += ": " + remedy.format_map({"scope": "", "path": "", "error_id": "", **info.metadata})
    return line


def _without_details(code: grpc.StatusCode, message: str, address: str) -> str:
    """gRPC itself failed the call, or a proxy did."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"the server at {address} did not answer in time: try again later"
    if code is not grpc.StatusCode.UNAVAILABLE:
        return f"the server at {address} failed the call: {code.name} {message}"
    if "certificate" in message.lower() or "handshake" in message.lower():
        return (
            f"no TLS connection to {address}: check USERFOLD_GRPC_TLS_CA, which must hold the authority of the server's"
            f" certificate, and USERFOLD_GRPC_TLS_SERVER_NAME (gRPC: {_last(message)})"
        )
    return (
        f"no server answers at {address}: start one (`userfold run`), set USERFOLD_GRPC_ADDRESS, or"
        f" USERFOLD_GRPC_TLS_CA where the server speaks TLS (gRPC: {_last(message)})"
    )


def _last(message: str) -> str:
    """The end of gRPC's message, which is the cause."""
    return " ".join(message.rsplit("last error: ", 1)[-1].split())[:200]
