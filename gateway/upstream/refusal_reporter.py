"""Counts what the gateway refuses or answers with warnings, and reports the counts to the server.

The counts of an application are sent with the credential of its latest refused request: a gateway has no credential of
its own, so it can add to the refusals of an application only what its clients could cause themselves.
"""

from collections.abc import Callable, Mapping
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from userfold.internal.v1.refusal_report_service_pb2 import ReportRefusalsRequest, ReportRefusalsResponse
from userfold.v1.refusal_service_pb2 import Refusal, RefusedField

from gateway.errors.answer import Answer
from gateway.errors.rendering import Refusal as Unreachable
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller, Metadata
from runtime.refusal_counts import APPLICATIONS, Counts, Occurrences, RefusalCounts, RefusalKind

REPORTS_REFUSALS: Final = "x-userfold-reports-refusals", "1"
"""The metadata, of every call but checks of credentials, that tells the server not to count its refusals: the gateway
counts them, by what it knows of its client."""

_REPORT: Final = "/userfold.internal.v1.RefusalReportService/ReportRefusals"
_SECONDS: Final = 1.0
"""The deadline of a report. Reports are sent one after the other."""

_OF_ONE_APPLICATION: Final = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
    }
)
"""Codes of a report that would fail again, while those of other applications may succeed."""


class RefusalReporter:
    """Counts refusals and warnings of verified applications. `now` returns seconds since 1970-01-01 UTC. Belongs to the
    running event loop.
    """

    def __init__(self, channel: Channel, now: Callable[[], float]) -> None:
        self._report = channel.unary_unary(
            _REPORT,
            request_serializer=ReportRefusalsRequest.SerializeToString,
            response_deserializer=ReportRefusalsResponse.FromString,
        )
        self._counts = RefusalCounts(self._send, now)
        self._credentials: dict[str, Metadata] = {}

    def add(self, route: str, answer: Answer, caller: Caller, client_library: str) -> None:
        """Count the refusals and warnings in the answer to a request, which this client library sent.

        Without a verified application, nothing is counted.
        """
        application = caller.application
        if not application:
            return
        if application not in self._credentials and len(self._credentials) >= APPLICATIONS:
            return
        self._credentials[application] = caller.metadata
        for refused, count in answer.refused.items():
            kind = RefusalKind(refused.reason, False, refused.path or route, refused.violations, client_library)
            self._counts.add(application, kind, count)
        for (field, reason), count in answer.warned.items():
            fields = ((field, reason),) if field else ()
            self._counts.add(application, RefusalKind(reason, True, route, fields, client_library), count)

    async def finished(self) -> None:
        """Report what is counted now, if the server responds soon."""
        await self._counts.finished()

    async def _send(self, counts: Mapping[str, Counts]) -> Mapping[str, Counts]:
        """Report counts. Returns those that may be reported later."""
        credentials, self._credentials = self._credentials, {}
        unsent = dict(counts)
        try:
            for application, of_application in counts.items():
                request = ReportRefusalsRequest(refusals=map(_message, of_application.items()))
                try:
                    await self._report(request, timeout=_SECONDS, metadata=credentials[application])
                except Unreachable:
                    break
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                        continue
                    if error.code() not in _OF_ONE_APPLICATION:
                        break
                del unsent[application]
        finally:
            for application in unsent:
                self._credentials.setdefault(application, credentials[application])
        return unsent


def _message(counted: tuple[RefusalKind, Occurrences]) -> Refusal:
    kind, occurrences = counted
    return Refusal(
        reason=kind.reason,
        is_warning=kind.is_warning,
        method=kind.method,
        fields=[RefusedField(field=field, reason=reason) for field, reason in kind.fields],
        client_library=kind.client_library,
        count=occurrences.count,
        first_time=_timestamp(occurrences.first_time),
        last_time=_timestamp(occurrences.last_time),
    )


def _timestamp(seconds: float) -> Timestamp:
    milliseconds = round(seconds * 1000)
    return Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
