"""The methods of RefusalService, and of the internal RefusalReportService, which gateways call."""

import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from userfold.internal.v1 import refusal_report_service_pb2 as internal_pb
from userfold.v1 import refusal_service_pb2 as pb

from runtime.client_library import client_library
from runtime.refusal_counts import REASONS, Counts, Occurrences, RefusalCounts, RefusalKind
from server import limits
from server.errors import InvalidRequest, Violation
from server.rpc.call import Call

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
# `UpdateUser`, `/v1/users/{user_id}`, `POST /v1/user/*`, `none`.
_METHOD: Final = re.compile(r"(?:[A-Z-]{1,20} )?[A-Za-z0-9_/.:{}*]{1,256}")
# Below `metadata`, names are a caller's.
_FIELD: Final = re.compile(r"(?!metadata\.)[a-z_.\[\]*]{1,128}")
_OLDEST_SECONDS: Final = 3600.0
"""How old a reported refusal may be. An older one counts as of then."""

_COUNT: Final = 2**40
"""The limit of a reported count. A larger one counts as this."""


class Refusals(Protocol):
    """Where refusals are stored."""

    async def latest(self, application_id: str) -> Sequence[tuple[RefusalKind, Occurrences]]:
        """The kinds of an application, those that happened last first. Raises DatabaseUnavailable."""


class RefusalService:
    """Serves `userfold.v1.RefusalService`."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    async def ListRefusals(self, _: pb.ListRefusalsRequest, call: Call) -> pb.ListRefusalsResponse:
        response = pb.ListRefusalsResponse()
        for kind, occurrences in await self._refusals.latest(call.application_id):
            refusal = response.refusals.add(
                reason=kind.reason,
                is_warning=kind.is_warning,
                method=kind.method,
                fields=[pb.RefusedField(field=field, reason=reason) for field, reason in kind.fields],
                client_library=kind.client_library,
                count=occurrences.count,
            )
            refusal.first_time.FromMilliseconds(round(occurrences.first_time * 1000))
            refusal.last_time.FromMilliseconds(round(occurrences.last_time * 1000))
        return response


class RefusalReportService:
    """Serves `userfold.internal.v1.RefusalReportService`: adds to `counts`, which are stored later. `now` returns
    seconds since 1970-01-01 UTC.
    """

    def __init__(self, counts: RefusalCounts, now: Callable[[], float]) -> None:
        self._counts = counts
        self._now = now

    async def ReportRefusals(
        self, request: internal_pb.ReportRefusalsRequest, call: Call
    ) -> internal_pb.ReportRefusalsResponse:
        # A collector key is public, and lets a caller reach this method: so all is bounded, and has a known form.
        if len(request.refusals) > REASONS:
            raise InvalidRequest([Violation("refusals", "TOO_MANY", f"must be at most {REASONS}")])
        now = self._now()
        counts: Counts = {}
        for refusal in request.refusals:
            occurrences = Occurrences(
                min(max(refusal.count, 1), _COUNT), _time(refusal.first_time, now), _time(refusal.last_time, now)
            )
            kind = _kind(refusal)
            if kind in counts:
                counts[kind].add(occurrences)
            else:
                counts[kind] = occurrences
        self._counts.add_all(call.application_id, counts)
        return internal_pb.ReportRefusalsResponse()


def _kind(refusal: pb.Refusal) -> RefusalKind:
    """The kind that a message describes. Raises InvalidRequest."""
    fields = [(each.field, each.reason) for each in refusal.fields[: limits.REPORTED]]
    is_known = (
        _REASON.fullmatch(refusal.reason)
        and (not refusal.method or _METHOD.fullmatch(refusal.method))
        and all(_FIELD.fullmatch(field) and _REASON.fullmatch(reason) for field, reason in fields)
    )
    if not is_known:
        raise InvalidRequest([Violation("refusals", "OUT_OF_RANGE", "must be what a gateway reports")])
    library = client_library(refusal.client_library)
    return RefusalKind(refusal.reason, refusal.is_warning, refusal.method, tuple(fields), library)


def _time(timestamp: Timestamp, now: float) -> float:
    seconds = timestamp.seconds + timestamp.nanos / 1e9
    return min(max(seconds, now - _OLDEST_SECONDS), now)
