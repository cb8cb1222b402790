"""The lines that requests have in the log, where the operator wants them."""

import time
from typing import Any

from google.rpc.status_pb2 import Status
from grpc import StatusCode

from runtime.reporting.origin import ID_CHARACTERS, Origin
from runtime.reporting.request_log import RequestLog
from server.rpc.call import Call, RefusalSource
from server.rpc.error_status import code_name, error_status, reason_of
from server.rpc.observing.refusal_log import status_of_refusal


def write_served(log: RequestLog, method: str, call: Call, response: Any, started: float) -> None:
    """Write the line of a call that succeeded, or of each item that is a request of its own."""
    if not call.origins:
        _write(log, method, call.origin, StatusCode.OK.name, "", started)
        return
    # Metrics, too, count them as what the clients called.
    method = call.requests.method if call.requests else method
    for index, result in enumerate(response.results):
        if log.has_line(call.origins[index][:ID_CHARACTERS].partition(" ")[0]):
            code, reason = "OK", ""
            if result.HasField("error"):
                code, reason = code_name(result.error.code), reason_of(result.error)
            _write(log, method, call.origin_of(index), code, reason, started)


def refused(
    method: str, error: Exception, origin: Origin, log: RequestLog, started: float, refusals: RefusalSource | None
) -> Status:
    """The Status of a call that is refused, which is logged and counted."""
    if log.is_on:
        status = error_status(error)
        _write(log, method, origin, status.code.name, status.reason, started)
    return status_of_refusal(method, error, origin, refusals=refusals)


def _write(log: RequestLog, method: str, origin: Origin, code: str, reason: str, started: float) -> None:
    if log.has_line(origin.request_id):
        reasons = {"reason": reason} if reason else {}
        log.write(
            origin, method=method, code=code, **reasons, milliseconds=round((time.perf_counter() - started) * 1e3, 3)
        )
