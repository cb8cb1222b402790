"""The span of a call, where the program writes traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from google.rpc.status_pb2 import Status

from runtime.reporting.origin import EXAMPLES, REQUEST_ID, origin_from_metadata, unpacked, valid_traceparent
from runtime.reporting.traces import Attributes, Kind
from server.rpc.call import Metadata
from server.rpc.error_status import code_name, error_status, reason_of

if TYPE_CHECKING:
    from runtime.reporting.spans import Tracer

_FAULTS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""The codes that are errors of the server, by the conventions of OpenTelemetry."""


class CallSpan:
    """The span of one call, or of one request of a stream. `request` is None where it is too large to be parsed here.

    It is a child of the span that the caller names: in the metadata, or in a request that many clients share.
    """

    def __init__(self, tracer: Tracer, method: str, metadata: Metadata, request: Any) -> None:
        service, _, name = method.rpartition(".")
        self._origins: Sequence[str] = getattr(request, "origins", ())
        origin = origin_from_metadata(metadata)
        parent = _traceparent(request) or origin.traceparent
        self._span = tracer.start(f"{service}/{name}", Kind.SERVER, parent)
        self.traceparent = self._span.traceparent
        attributes: dict[str, str | int | Sequence[str]] = {
            "rpc.system.name": "grpc",
            "rpc.method": f"{service}/{name}",
        }
        if self._origins:
            attributes["userfold.request_ids"] = [unpacked(each).request_id for each in self._origins[:EXAMPLES]]
            attributes["userfold.requests"] = len(self._origins)
        elif any(name == REQUEST_ID for name, _ in metadata):
            attributes["userfold.request_id"] = origin.request_id
        self._span.set(attributes)

    def end_served(self, application_id: str, response: Any) -> None:
        """End the span of a call that succeeded. The items that were refused are events."""
        refused = 0
        for index, result in enumerate(getattr(response, "results", ())):
            if refused < EXAMPLES and result.HasField("error"):
                refused += 1
                self._span.event("refused", self._refused(index, result.error))
        self._span.set({"userfold.application": application_id, "rpc.response.status_code": "OK"})
        self._span.end()

    def end_refused(self, error: BaseException) -> None:
        """End the span of a call that failed."""
        status = error_status(error)
        code = status.code.name if isinstance(error, Exception) else "CANCELLED"
        self._span.set({"rpc.response.status_code": code, "userfold.reason": status.reason})
        self._span.end(status.reason if code in _FAULTS else "")

    def _refused(self, index: int, error: Status) -> Attributes:
        ids = {"userfold.request_id": unpacked(self._origins[index]).request_id} if self._origins else {}
        return {"userfold.reason": reason_of(error), "rpc.response.status_code": code_name(error.code), **ids}


def _traceparent(request: Any) -> str:
    """The span that a request names which many clients share; empty where there is none."""
    named: Sequence[str] = getattr(request, "origins", ())
    sent: str = getattr(request, "traceparent", "")
    return valid_traceparent(sent) or (unpacked(named[0]).traceparent if named else "")
