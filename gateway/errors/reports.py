"""Refusals in the log and the metrics: a log line for each kind in each second, and a count of all."""

import asyncio
import uuid
from typing import Final

import structlog

from gateway import metrics
from gateway.errors.answer import NO_ROOM, Answer, Refused, answer_from_refusal
from gateway.errors.rendering import refusal
from gateway.http.messages import Fault, Rejection
from runtime import logs
from runtime.tally import Tally

_log = structlog.get_logger("userfold.gateway")

NO_ROUTE: Final = "none"
"""The route, in logs and metrics, of a request that has none."""

_TURNED_AWAY: Final = NO_ROUTE, next(iter(NO_ROOM.refused))


class Reports:
    """Logs and counts refusals; those for lack of room once every `turned_away_seconds`. Belongs to the running event
    loop."""

    def __init__(self, turned_away_seconds: float) -> None:
        self._turned_away_seconds = turned_away_seconds
        self._refused: Tally[tuple[str, Refused]] = Tally(_log_refused)
        self._turned_away = 0
        self._loop = asyncio.get_running_loop()

    def add(self, route: str, answer: Answer) -> None:
        """Report the refusals in one answer."""
        for refused, count in answer.refused.items():
            metrics.REFUSALS.labels(route, refused.reason).inc(count)
            self._refused.add((route, refused), count)

    def turned_away(self) -> int:
        """Report a request refused for lack of room. Returns how many were refused earlier in the same period."""
        if not self._turned_away:
            self._loop.call_later(self._turned_away_seconds, self._report_turned_away)
        self._turned_away += 1
        return self._turned_away - 1

    def flush(self) -> None:
        """Log what is counted now."""
        self._refused.flush()
        self._report_turned_away()

    def _report_turned_away(self) -> None:
        turned_away, self._turned_away = self._turned_away, 0
        if turned_away:
            metrics.TURNED_AWAY.inc(turned_away)
            _log_refused(_TURNED_AWAY, turned_away)


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


def _log_refused(kind: tuple[str, Refused], count: int) -> None:
    route, refused = kind
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
    )
