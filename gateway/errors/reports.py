"""Refusals in the log and the metrics: a log line for each kind in each second, and a count of all."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from gateway import metrics
from gateway.errors.answer import NO_ROOM, Answer, Refused, answer_from_refusal
from gateway.errors.rendering import refusal
from gateway.http.messages import Fault, Rejection
from gateway.metrics import NO_METHOD, NO_ROUTE
from runtime import logs
from runtime.metrics.requests import RequestMetrics
from runtime.reporting.origin import Origin, fields_of
from runtime.tally import Tally

_log = structlog.get_logger("userfold.gateway")

_TURNED_AWAY: Final = next(iter(NO_ROOM.refused))


class Reports:
    """Logs and counts refusals, and counts warnings. Requests for which there is no room are counted in `requests` as
    well, all once every `turned_away_seconds`. Belongs to the running event loop."""

    def __init__(self, turned_away_seconds: float, requests: RequestMetrics) -> None:
        self._turned_away_seconds = turned_away_seconds
        self._requests = requests
        self._refused: Tally[tuple[str, Refused, str], Origin] = Tally(_log_refused, _log_further)
        self._turned_away: Counter[tuple[str, str, str]] = Counter()
        self._loop = asyncio.get_running_loop()

    def add(self, route: str, answer: Answer, origin: Origin) -> None:
        """Report the refusals and the warnings in one answer, to a request of this origin."""
        for refused, count in answer.refused.items():
            metrics.refusals(route, refused.reason).inc(count, origin.exemplar())
            self._refused.add((route, refused, origin.application), count, origin)
        for (_, reason), count in answer.warned.items():
            metrics.warnings(route, reason).inc(count)

    def turned_away(self, method: str = NO_METHOD, route: str = NO_ROUTE, application: str = "") -> int:
        """Report a request refused for lack of room. Returns how many were refused earlier in the same period."""
        earlier = self._turned_away.total()
        if not earlier:
            self._loop.call_later(self._turned_away_seconds, self._report_turned_away)
        self._turned_away[method, route, metrics.APPLICATIONS.label(application)] += 1
        return earlier

    def flush(self) -> None:
        """Log what is counted now."""
        self._refused.flush()
        self._report_turned_away()

    def _report_turned_away(self) -> None:
        turned_away, self._turned_away = self._turned_away, Counter()
        for (method, route, application), count in turned_away.items():
            self._requests.count((method, route, _TURNED_AWAY.http_status), application, count)
            metrics.refusals(route, _TURNED_AWAY.reason).inc(count)
        if turned_away:
            _log_refused((NO_ROUTE, _TURNED_AWAY, ""), turned_away.total(), [])


def answer_from_rejection(rejection: Rejection) -> Answer:
    """The answer to a request that its connection refused."""
    if rejection.cause is not None:
        return defect(rejection.cause, NO_ROUTE)
    headers = {"connection": "close"} if rejection.fault is Fault.TOO_MANY_CONNECTIONS else None
    return answer_from_refusal(refusal(rejection.fault.value, headers=headers, limit=rejection.limit))


def defect(error: BaseException, route: str) -> Answer:
    """INTERNAL, with an error_id that the log has as well. The exception's message may hold values: nobody sees it."""
    error_id = uuid.uuid4().hex
    _log.error(
        "defect",
        error_id=error_id,
        route=route,
        exception=f"{type(error).__module__}.{type(error).__qualname__}",
        traceback=logs.locations(error),
    )
    return answer_from_refusal(refusal("INTERNAL", error_id=error_id))


def _log_refused(kind: tuple[str, Refused, str], count: int, origins: Sequence[Origin]) -> None:
    route, refused, _ = kind
    more = {"error_id": refused.error_id} if refused.error_id else {}
    if refused.path:
        more["path"] = refused.path
    _log.warning(
        "refused",
        reason=refused.reason,
        http_status=refused.http_status,
        route=route,
        fields=list(refused.fields),
        requests=count,
        **more,
        **fields_of(origins),
    )


def _log_further(count: int) -> None:
    _log.warning("refusals of further kinds", requests=count)
