"""What the operator reads of refusals: one log line for each kind and second, and a count of each."""

import asyncio
import uuid
from typing import Final

import structlog

from gateway import metrics
from gateway.errors.answer import NO_ROOM, Answer, Refused, answer_from_refusal
from gateway.errors.rendering import refusal
from runtime import logs
from runtime.tally import Tally

_log = structlog.get_logger("userfold.gateway")

_TURNED_AWAY: Final = "none", next(iter(NO_ROOM.refused))


class Reports:
    """Logs and counts refusals; those for want of room once in so many seconds. Belongs to the running event loop."""

    def __init__(self, turned_away_seconds: float) -> None:
        self._turned_away_seconds = turned_away_seconds
        self._refused: Tally[tuple[str, Refused]] = Tally(_tell)
        self._turned_away = 0
        self._loop = asyncio.get_running_loop()

    def add(self, route: str, answer: Answer) -> None:
        """Report the refusals of one answer."""
        for refused, count in answer.refused.items():
            metrics.REFUSALS.labels(route, refused.reason).inc(count)
            self._refused.add((route, refused), count)

    def turned_away(self) -> int:
        """Report a request that found no room; returns how many of the same period were turned away before."""
        if not self._turned_away:
            self._loop.call_later(self._turned_away_seconds, self._tell_turned_away)
        self._turned_away += 1
        return self._turned_away - 1

    def flush(self) -> None:
        """Log what is counted now."""
        self._refused.flush()
        self._tell_turned_away()

    def _tell_turned_away(self) -> None:
        turned_away, self._turned_away = self._turned_away, 0
        if turned_away:
            metrics.TURNED_AWAY.inc(turned_away)
            _tell(_TURNED_AWAY, turned_away)


def defect(error: Exception, route: str) -> Answer:
    """INTERNAL, with an id that leads to the log. The exception's text may hold values, and is told to nobody."""
    error_id = uuid.uuid4().hex
    _log.error(
        "defect",
        error_id=error_id,
        route=route,
        exception=f"{type(error).__module__}.{type(error).__qualname__}",
        traceback=logs.locations(error),
    )
    return answer_from_refusal(refusal("INTERNAL", error_id=error_id))


def _tell(kind: tuple[str, Refused], count: int) -> None:
    route, refused = kind
    more = {"error_id": refused.error_id} if refused.error_id else {}
    if refused.path:
        more["path"] = refused.path
    _log.warning(
        "refused",
        reason=refused.reason,
        http_status=refused.http,
        route=route,
        fields=list(refused.fields),
        requests=count,
        **more,
    )
