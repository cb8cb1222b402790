"""The calls of the same client libraries for which Userfold stores nothing: companies, subscriptions, actions, events.

Libraries end their process or raise an error when such a call fails, right after a successful update of a user. So
these calls succeed with a warning. Their bodies are discarded unread, and the log reports them once a minute.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import structlog

from gateway import metrics
from gateway.errors.answer import Answer
from gateway.http import content_encoding

_log = structlog.get_logger("userfold.gateway")

ROUTES: Final[Mapping[str, int]] = {
    "/v1/companies": content_encoding.OBJECT_BYTES,
    "/v1/companies/batch": content_encoding.ARRAY_BYTES,
    "/v1/subscriptions": content_encoding.OBJECT_BYTES,
    "/v1/subscriptions/batch": content_encoding.ARRAY_BYTES,
    "/v1/actions": content_encoding.OBJECT_BYTES,
    "/v1/actions/batch": content_encoding.ARRAY_BYTES,
    # One event holds the bodies of an API's request and of its response.
    "/v1/events": content_encoding.ARRAY_BYTES,
    "/v1/events/batch": content_encoding.ARRAY_BYTES,
}
"""The paths that take a POST, and the most that its body may have, as it is sent."""

USERS_BELONG_ELSEWHERE: Final = "/v1/events/batch"
"""The path that the public API's page gives by mistake for a list of users, with GET."""

ANSWER: Final = Answer(
    201,
    {
        "warnings": [
            {
                "field": "",
                "reason": "NOT_STORED",
                "description": "is accepted and not stored; users are stored by POST /v1/users and /v1/users/batch",
            }
        ]
    },
)

SECONDS: Final = 60.0
"""How often the log tells of one application."""

_APPLICATIONS: Final = 10_000
"""Applications that one minute's log tells of. The metric counts all."""


class NotStored:
    """Counts calls that are accepted and not stored, and logs them: an application's first, then each minute's.

    Belongs to the running event loop.
    """

    def __init__(self) -> None:
        self._calls: dict[str, Counter[str]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, route: str, application: str) -> None:
        """Count a call."""
        metrics.not_stored(route, application).inc()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)
        if (counted := self._calls.get(application)) is not None:
            counted[route] += 1
        elif len(self._calls) < _APPLICATIONS:
            self._calls[application] = Counter()
            _tell(application, {route: 1})

    def flush(self) -> None:
        """Log what is counted now, and begin a new minute."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        calls, self._calls = self._calls, {}
        for application, counted in calls.items():
            if counted:
                _tell(application, counted)
                # It sends on: the next minute's calls are told at its end.
                self._calls[application] = Counter()
        if self._calls:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)


def _tell(application: str, calls: Mapping[str, int]) -> None:
    paths: dict[str, Any] = dict(sorted(calls.items()))
    _log.warning("not stored", application=application, paths=paths, requests=sum(calls.values()))
