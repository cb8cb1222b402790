"""Calls of client libraries for which Userfold stores nothing: subscriptions, actions, events.

Libraries end their process or raise an error when such a call fails, right after a successful update of a user. So
these calls succeed with a warning. Their bodies are discarded unread, and the log reports them once a minute.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import structlog

from gateway import metrics
from gateway.errors.answer import Answer, Complete
from gateway.http import content_encoding
from gateway.http.handler import Body
from gateway.http.messages import Request
from gateway.upstream.credential_cache import Caller

_log = structlog.get_logger("userfold.gateway")

BODY_BYTES: Final[Mapping[str, int]] = {
    "/v1/subscriptions": content_encoding.OBJECT_BYTES,
    "/v1/subscriptions/batch": content_encoding.ARRAY_BYTES,
    "/v1/actions": content_encoding.OBJECT_BYTES,
    "/v1/actions/batch": content_encoding.ARRAY_BYTES,
    # One event holds the bodies of an API's request and of its response.
    "/v1/events": content_encoding.ARRAY_BYTES,
    "/v1/events/batch": content_encoding.ARRAY_BYTES,
}
"""The paths that take a POST, with the limit of its body, as it is sent."""

USERS_BELONG_ELSEWHERE: Final = "/v1/events/batch"
"""The path that the public API's page gives by mistake for a list of users, with GET."""

ANSWER: Final = Answer(
    201,
    {
        "warnings": [
            {
                "field": "",
                "reason": "NOT_STORED",
                "description": "is accepted and not stored; POST /v1/users and /v1/companies store users and companies",
            }
        ]
    },
    warned={("", "NOT_STORED"): 1},
)

SECONDS: Final = 60.0
"""How often the log reports the calls of one application."""

_APPLICATIONS: Final = 10_000
"""The limit of applications in the log of one minute. The metric counts the calls of all."""


class UnstoredCall:
    """The endpoint of one path. Takes a request that has a credential, and counts it."""

    method: Final = "POST"
    gate: Final = None
    body: Final = Body.DISCARDED

    def __init__(self, path: str, calls: "UnstoredCalls") -> None:
        self.route = path
        self.body_limit = BODY_BYTES[path]
        self._calls = calls

    def answer(self, _fields: Mapping[str, str], caller: Caller, _request: Request, complete: Complete) -> None:
        """Count the call, and answer that nothing is stored."""
        self._calls.add(self.route, caller.application)
        complete(ANSWER)


class UnstoredCalls:
    """Counts calls that are accepted and not stored, and logs them: an application's first, then each minute's.

    Belongs to the running event loop.
    """

    def __init__(self) -> None:
        self._calls: dict[str, Counter[str]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, route: str, application: str) -> None:
        """Count a call."""
        metrics.count_unstored(route, application)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)
        if (counted := self._calls.get(application)) is not None:
            counted[route] += 1
        elif len(self._calls) < _APPLICATIONS:
            self._calls[application] = Counter()
            _log_calls(application, {route: 1})

    def flush(self) -> None:
        """Log what is counted now, and begin a new minute."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        calls, self._calls = self._calls, {}
        for application, counted in calls.items():
            if counted:
                _log_calls(application, counted)
                # The application is still sending: its further calls are logged at the end of the next minute.
                self._calls[application] = Counter()
        if self._calls:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)


def _log_calls(application: str, calls: Mapping[str, int]) -> None:
    paths: dict[str, Any] = dict(sorted(calls.items()))
    _log.warning("not stored", application=application, paths=paths, requests=sum(calls.values()))
