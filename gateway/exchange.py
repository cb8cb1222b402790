"""One request, from the match of its head to the response: the way in, and the only way back."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from gateway import spans
from gateway.errors.answer import NO_ROOM, Abandon, Answer, Complete, answer_from_refusal
from gateway.errors.rendering import Refusal
from gateway.errors.reports import Reports, defect
from gateway.http import content_encoding
from gateway.http.forwarded import TrustedProxies
from gateway.http.handler import Body, Respond
from gateway.http.messages import Request
from gateway.routing.admission import Gate
from gateway.upstream.credential_cache import Account, Caller, Verifier
from gateway.upstream.refusal_reporter import RefusalReporter
from runtime.metrics.requests import RequestMetrics
from runtime.reporting import traces
from runtime.reporting.origin import Origin
from runtime.reporting.request_log import RequestLog


class Endpoint(Protocol):
    """What answers the requests of one route that need a credential."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def route(self) -> str:
        """The path template, which logs and metrics show."""

    @property
    def body(self) -> Body:
        """Whether the body of a request is needed."""

    @property
    def body_limit(self) -> int:
        """The limit of the body, in bytes as they are sent."""

    @property
    def gate(self) -> Gate | None:
        """The places for its requests; None where none is needed."""

    def answer(self, fields: Mapping[str, str], caller: Caller, request: Request, complete: Complete) -> Abandon:
        """Start to answer a request with these path fields. Must call `complete` once, at any time."""


TurnAway: TypeAlias = Callable[[Respond, Endpoint, str], None]
"""Refuses a request of an endpoint and an application, for which there is no room. The application may be empty."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the exchanges of one application share."""

    proxies: TrustedProxies
    verifier: Verifier
    reports: Reports
    requests: RequestMetrics
    refusals: RefusalReporter
    turn_away: TurnAway
    request_log: RequestLog

    def finish(
        self,
        method: str,
        route: str,
        caller: Caller | None,
        request: Request,
        answer: Answer,
        started: float,
        respond: Respond,
    ) -> None:
        """Report what is refused, respond, and count the request: the end of every exchange.

        `caller` is None where the application of the request is not known.
        """
        application = "" if caller is None else caller.application
        if answer.refused or answer.warned:
            self.reports.add(route, answer, self._origin(request, caller))
            if caller is not None:
                self.refusals.add(route, answer, caller, request.origin.client_library)
        respond(answer.response)
        seconds = time.perf_counter() - started
        self.requests.add((method, route, answer.http_status), application, seconds)
        if self.request_log.is_on and self.request_log.has_line(request.origin.request_id):
            self.request_log.write(
                self._origin(request, caller),
                method=request.method,
                route=route,
                http_status=answer.http_status,
                reasons=_reasons(answer),
                body_bytes=len(request.body),
                milliseconds=round(seconds * 1e3, 3),
            )
        if request.span is not None:
            spans.end_request(request, answer.http_status, _reasons(answer), application)

    def _origin(self, request: Request, caller: Caller | None) -> Origin:
        address = self.request_log.addresses.shown(request.client)
        if caller is None:
            return request.origin.of("", "", address)
        return request.origin.of(caller.application, caller.credential, address)


def _reasons(answer: Answer) -> list[str]:
    return sorted({refused.reason for refused in answer.refused})


class AdmittedExchange:
    """A request of a route that needs a credential, which its head names.

    The head is matched and checked for room once. The place at the gate is taken when the body has arrived, so that a
    slow client holds none, and given back by `complete`.
    """

    __slots__ = (
        "_abandon",
        "_caller",
        "_endpoint",
        "_fields",
        "_gate",
        "_is_abandoned",
        "_is_complete",
        "_request",
        "_respond",
        "_shared",
        "_started",
        "body",
        "body_limit",
    )

    def __init__(self, shared: Shared, endpoint: Endpoint, caller: Caller, fields: Mapping[str, str]) -> None:
        self.body: Final = endpoint.body
        self.body_limit: Final = endpoint.body_limit
        self._shared = shared
        self._endpoint = endpoint
        self._caller = caller
        self._fields = fields
        self._gate: Gate | None = None
        """The gate at which the request has a place."""
        self._abandon: Abandon = None
        self._is_abandoned = False
        self._is_complete = False

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer the request as soon as its credential is verified."""
        self._started = time.perf_counter()
        self._request = request
        self._respond = respond
        request.client = self._shared.proxies.client(request.client, request.headers)
        if (tracer := traces.active()) is not None:
            spans.begin_request(tracer, request, self._endpoint.route)
        caller, verifier = self._caller, self._shared.verifier
        # A credential may have been verified, or refused, while the body was arriving.
        if caller.application or verifier.recognize(caller):
            self._start()
        elif refused := verifier.refusal(caller):
            self.complete(refused)
        elif not verifier.has_room(caller):
            spans.end_request(request, NO_ROOM.http_status, _reasons(NO_ROOM), "")
            self._shared.turn_away(respond, self._endpoint, "")
        else:
            verifier.verify(caller, request.origin, self._verified)

    def _verified(self, outcome: Account | Exception) -> None:
        if isinstance(outcome, Exception):
            self.complete(outcome)
        else:
            self._caller.application, self._caller.credential = outcome
            self._start()

    def _start(self) -> None:
        gate = self._endpoint.gate
        if gate is not None:
            if not gate.enter(self._caller.application):
                endpoint = self._endpoint
                self._shared.reports.turned_away(endpoint.method, endpoint.route, self._caller.application)
                library = self._request.origin.client_library
                self._shared.refusals.add(endpoint.route, NO_ROOM, self._caller, library)
                spans.end_request(self._request, NO_ROOM.http_status, _reasons(NO_ROOM), self._caller.application)
                self._respond(NO_ROOM.response)
                return
            self._gate = gate
        try:
            abandon = self._endpoint.answer(self._fields, self._caller, self._request, self.complete)
        except Exception as error:
            if self._is_complete:
                raise
            self.complete(error)
            return
        self._abandon = abandon
        if self._is_abandoned:
            self.abandon()

    def complete(self, answer: Answer | Exception) -> None:
        """Give back the place, and respond; once. A credential that the server no longer knows is forgotten."""
        if self._is_complete:
            return
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave(self._caller.application)
        endpoint, route = self._endpoint, self._endpoint.route
        if isinstance(answer, Refusal):
            answer = answer_from_refusal(answer)
        elif isinstance(answer, Exception):
            answer = defect(answer, route)
        if answer.http_status == 401:
            self._shared.verifier.forget(self._caller)
        self._shared.finish(endpoint.method, route, self._caller, self._request, answer, self._started, self._respond)
        self._is_complete = True

    def abandon(self) -> None:
        """Stop the work for a client that has gone, where that is possible."""
        self._is_abandoned = True
        if self._abandon is not None:
            self._abandon()


class FixedExchange:
    """A request whose answer is known from its head: a constant, or a refusal."""

    body_limit: Final = content_encoding.OBJECT_BYTES

    def __init__(self, shared: Shared, method: str, route: str, answer: Answer, body: Body = Body.DISCARDED) -> None:
        self.body: Final = body
        self._shared = shared
        self._method = method
        self._route = route
        self._answer = answer

    def handle(self, request: Request, respond: Respond) -> None:
        """Respond."""
        request.client = self._shared.proxies.client(request.client, request.headers)
        if (tracer := traces.active()) is not None:
            spans.begin_request(tracer, request, self._route)
        caller = self._shared.verifier.recognized(request.headers) if self._answer.refused else None
        self._shared.finish(self._method, self._route, caller, request, self._answer, time.perf_counter(), respond)

    def abandon(self) -> None:
        """There is no work to stop."""


class TurnedAway:
    """A request for which there is no room, as is known from its head."""

    body: Final = Body.UNWANTED
    body_limit: Final = 0

    __slots__ = ("_application", "_endpoint", "_turn_away")

    def __init__(self, turn_away: TurnAway, endpoint: Endpoint, application: str) -> None:
        self._turn_away = turn_away
        self._endpoint = endpoint
        self._application = application

    def handle(self, _request: Request, respond: Respond) -> None:
        """Respond, now or later."""
        self._turn_away(respond, self._endpoint, self._application)

    def abandon(self) -> None:
        """There is no work to stop."""
