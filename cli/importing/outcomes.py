"""What the errors of a stream and of single updates mean for an import."""

from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from cli.failures import CommandFailed, ExitStatus
from cli.refusals import failure_of

INTERNAL: Final = grpc.StatusCode.INTERNAL.value[0]
"""The code of a defect of the server: an update with it is sent once more."""

REFUSED: Final = frozenset(
    code.value[0]
    for code in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNIMPLEMENTED,
    )
)
"""Codes of one update that stay the same when it is sent again."""

_FATAL: Final = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.NOT_FOUND,
    }
)
"""Codes with which every later call would end as well."""

_ACKNOWLEDGED: Final = frozenset({"SERVER_STOPPING", "STREAM_IDLE"})
"""Reasons with which a stream ends after everything that the server has read is acknowledged."""


class Lost(Exception):
    """The stream is of no more use. Another one may be.

    If `is_quiet`, the server works on no update of the stream any more. Otherwise it may still write some.
    """

    def __init__(self, failure: CommandFailed, *, is_quiet: bool = False) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.is_quiet = is_quiet


def lost(address: str, problem: str) -> Lost:
    """The loss of a stream to the server at `address` that has this problem."""
    return Lost(CommandFailed(f"the server at {address} {problem}", ExitStatus.UNAVAILABLE))


def error_of_call(error: grpc.aio.AioRpcError, address: str) -> Exception:
    """CommandFailed where no stream would be accepted, else Lost. Nothing was sent with the call."""
    failure = failure_of(error, address)
    return failure if error.code() in _FATAL else Lost(failure, is_quiet=True)


def error_of_stream(error: grpc.aio.AioRpcError, address: str) -> Lost:
    """The loss of a stream. One that ends during a write may have lost its status: the next call has the reason."""
    if error.code() is grpc.StatusCode.INTERNAL:
        return lost(address, "ended the stream")
    return Lost(failure_of(error, address), is_quiet=_reason(error) in _ACKNOWLEDGED)


def _reason(error: grpc.aio.AioRpcError) -> str:
    info = ErrorInfo()
    trailers: Any = error.trailing_metadata() or ()
    details = dict(trailers).get("grpc-status-details-bin")
    if isinstance(details, bytes):
        for detail in Status.FromString(details).details:
            detail.Unpack(info)
    return info.reason
