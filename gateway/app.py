"""The application: finds what a path means, admits the request, and tells the operator of every refusal."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import ServiceDescriptor
from userfold.internal.v1 import user_update_service_pb2
from userfold.v1 import campaign_service_pb2, user_service_pb2

from gateway import metrics
from gateway.calls.transcoder import Transcoder
from gateway.errors.answer import NO_ROOM, Answer, answer_from_refusal
from gateway.errors.rendering import Refusal, refusal
from gateway.errors.reports import Reports, defect
from gateway.errors.violations import NOT_UTF8, Finding
from gateway.http import content_encoding
from gateway.http.cors import preflight
from gateway.http.forwarded import TrustedProxies
from gateway.http.handler import BodyRule, Discard
from gateway.http.request import Request
from gateway.routing import http_rules, not_stored
from gateway.routing.admission import Gate
from gateway.routing.not_stored import NotStored
from gateway.routing.router import ADMITTED, Accepted, Routes, template_of
from gateway.settings import Settings
from gateway.upstream.channel import Channel
from gateway.upstream.credentials import Caller, Verifier, caller_of
from gateway.upstream.readiness import LIVE, READY, Readiness
from runtime.observations import Observations
from runtime.turns import Turns

SERVICES: Final = (
    user_service_pb2.DESCRIPTOR.services_by_name["UserService"],
    campaign_service_pb2.DESCRIPTOR.services_by_name["CampaignService"],
)
"""The services whose methods are served over HTTP; the first is the one whose health is asked for."""

INTERNAL: Final = (user_update_service_pb2.DESCRIPTOR.services_by_name["UserUpdateService"],)
"""Services that take the requests of many clients together."""

NO_ROUTE: Final = "none"
"""What logs and metrics call the route of a path that leads nowhere."""

_UPDATES: Final = 2000
_BATCHES: Final = 100
_READS: Final = 100
"""Requests of one kind that may be under way at once, all decoded, or waiting for the server."""

_TURNED_AWAY_AT_ONCE: Final = 1000
_TURN_AWAY_SECONDS: Final = 1.0
"""So many requests of a second are turned away at once, which takes a twentieth of a core; any more after a second."""

Respond: TypeAlias = Callable[[Answer], None]
Abandon: TypeAlias = Callable[[], object] | None


class Application:
    """Answers all requests, those whose paths lead nowhere included, so that every answer has the same shape.

    It looks at the path as it was sent: `a%2Fb` is one segment, and stays one. No framework's router does, nor does one
    know the bindings. Raises UnsupportedBinding for an annotation that it cannot serve. Belongs to the running event
    loop.
    """

    def __init__(
        self,
        settings: Settings,
        channel: Channel,
        services: Sequence[ServiceDescriptor] = SERVICES,
        internal: Sequence[ServiceDescriptor] = INTERNAL,
    ) -> None:
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._bindings = http_rules.bindings_of(services, internal)
        turns = Turns()
        self._transcoders = {
            binding: Transcoder(
                binding, channel, settings.rpc_seconds if binding.is_write else settings.read_seconds, turns
            )
            for binding in self._bindings
        }
        self._constants: Mapping[str, Any] = {
            "/v1/config": {
                # Events are not stored: 0 stops most of them at their source.
                "sample_rate": 0,
                "user_sample_rate": {},
                "company_sample_rate": {},
                "user_rules": {},
                "company_rules": {},
                "regex_config": [],
            },
            "/v1/rules": [],
            LIVE: {"status": "alive"},
            READY: None,  # Told by the server, each time anew.
            "/health/probe": {"status": True, "region": settings.region},
        }
        self._readiness = Readiness(channel, services[0].full_name)
        self._verifier = Verifier(channel)
        self._not_stored = NotStored()
        self._reports = Reports(_TURN_AWAY_SECONDS)
        updates, batches, reads = self._gates = Gate(_UPDATES), Gate(_BATCHES), Gate(_READS)
        self._gate_of = {
            binding: reads if not binding.is_write else batches if binding.has_results else updates
            for binding in self._bindings
        }
        self._seconds = Observations()
        self._loop = asyncio.get_running_loop()
        self._routes = Routes(self._bindings, self._constants, settings.path_prefix)
        self._latest: tuple[Mapping[bytes, bytes] | None, Caller | None] = None, None
        self._missing = refusal("CREDENTIAL_MISSING")

    def body_rule(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> BodyRule:
        """What to do with the body of such a request."""
        try:
            found = self._routes.find(method, path)
        except http_rules.InvalidPath:
            return Discard(content_encoding.OBJECT_BYTES)
        if not isinstance(found, ADMITTED):
            return Discard(content_encoding.OBJECT_BYTES)
        caller = self._caller(headers)
        if caller is None or not caller.application:
            if refused := self._refusal(caller):
                return Refusal(refused.status, refused.http, route=template_of(found))
            if caller is None or not self._verifier.has_room(caller):
                return None
        elif isinstance(found, http_rules.Match) and not self._gate_of[found.binding].has_room(caller.application):
            return None
        if isinstance(found, Accepted):
            return Discard(not_stored.ROUTES[found.path])
        return self._transcoders[found.binding].body_bytes

    def handle(self, request: Request, respond: Respond) -> Abandon:
        """Answer one request; log and count it, unless it is OPTIONS."""
        if request.method == "OPTIONS":
            respond(preflight(request.headers))
            return None
        request.client = self._proxies.client(request.client, request.headers)
        started = time.perf_counter()
        route = NO_ROUTE
        try:
            found = self._routes.find(request.method, request.path)
            if isinstance(found, ADMITTED):
                route = template_of(found)
                return self._admit(found, request, route, started, respond)
            if found == READY and request.method in ("GET", "HEAD"):
                self._readiness.answer(respond)
                return None
            if isinstance(found, http_rules.MethodNotAllowed):
                answer = _not_allowed(found.allowed)
            elif found is None:
                answer = answer_from_refusal(
                    refusal("ROUTE_NOT_FOUND"), path=self._routes.shown(request.method, request.path)
                )
            elif found in not_stored.ROUTES:
                route, answer = found, _not_allowed(http_rules.allow({"POST"}), _reason(found))
            else:
                route, answer = found, self._constant(found, request.method)
        except http_rules.InvalidPath as error:
            violation = Finding(error.field, *NOT_UTF8)
            answer = answer_from_refusal(refusal("INVALID_REQUEST", violations=[violation]))
        except Exception as error:
            answer = defect(error, route)
        self._done(route, started, respond, answer)
        return None

    def refuse(self, refused: Refusal, respond: Respond) -> None:
        """Answer what never became a request."""
        self._done(refused.route or NO_ROUTE, time.perf_counter(), respond, answer_from_refusal(refused))

    def turn_away(self, respond: Respond) -> None:
        """Answer a request that finds no room.

        To turn away is work, too, and there may be thousands in a second. Whoever waits for an answer sends nothing
        more on its connection, so those beyond what is cheap are told a second later.
        """
        if self._reports.turned_away() < _TURNED_AWAY_AT_ONCE or self._readiness.is_stopping:
            respond(NO_ROOM)
        else:
            self._loop.call_later(_TURN_AWAY_SECONDS, respond, NO_ROOM)

    def stop(self) -> None:
        """Be no longer ready."""
        self._readiness.is_stopping = True
        for transcoder in self._transcoders.values():
            transcoder.stop()

    async def finished(self) -> None:
        """Wait until nothing is under way, also of clients that have gone."""
        await self._verifier.finished()
        for gate in self._gates:
            await gate.emptied()
        self.flush()

    def flush(self) -> None:
        """Log what is counted now."""
        self._not_stored.flush()
        self._reports.flush()

    def _admit(
        self, found: http_rules.Match | Accepted, request: Request, route: str, started: float, respond: Respond
    ) -> Abandon:
        """Answer a request when its credential is verified."""
        caller = self._caller(request.headers)
        if caller is not None and caller.application:
            return self._serve(found, caller, request, started, respond)
        if refused := self._refusal(caller):
            self._done(route, started, respond, answer_from_refusal(refused))
            return None
        if caller is None or not self._verifier.has_room(caller):
            self.turn_away(respond)
            return None
        waiting = _Waiting()

        def verified(outcome: str | Exception) -> None:
            if isinstance(outcome, str):
                caller.application = outcome
                waiting.go_on(self._serve(found, caller, request, started, respond))
            elif isinstance(outcome, Refusal):
                self._done(route, started, respond, answer_from_refusal(outcome))
            else:
                self._done(route, started, respond, outcome)

        self._verifier.verify(caller, verified)
        return waiting.abandon

    def _caller(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Who sent a request with these headers, whose application is found where the credential is verified."""
        of, caller = self._latest
        if of is not headers:
            # The head of a request is looked at twice, mostly without another one in between.
            caller = caller_of(headers)
            self._latest = headers, caller
        if caller is not None and not caller.application:
            caller.application = self._verifier.application(caller) or ""
        return caller

    def _refusal(self, caller: Caller | None) -> Refusal | None:
        """Why a request is refused at its head."""
        return self._missing if caller is None else self._verifier.refusal(caller)

    def _serve(
        self,
        found: http_rules.Match | Accepted,
        caller: Caller,
        request: Request,
        started: float,
        respond: Respond,
    ) -> Abandon:
        if isinstance(found, Accepted):
            self._not_stored.add(found.path, caller.application)
            self._done(found.path, started, respond, not_stored.ANSWER)
            return None
        gate, route = self._gate_of[found.binding], found.binding.template
        if not gate.enter(caller.application):
            self._reports.turned_away()
            respond(NO_ROOM)
            return None

        def done(answer: Answer | Exception) -> None:
            gate.leave(caller.application)
            if isinstance(answer, Answer) and answer.http == 401:
                self._verifier.forget(caller)
            self._done(route, started, respond, answer)

        try:
            return self._transcoders[found.binding].answer(found.fields, caller, request, done)
        except Exception as error:
            done(error)
            return None

    def _done(self, route: str, started: float, respond: Respond, answer: Answer | Exception) -> None:
        if isinstance(answer, Exception):
            answer = defect(answer, route)
        if answer.refused:
            self._reports.add(route, answer)
        respond(answer)
        self._seconds.add(metrics.requests(route, answer.http), time.perf_counter() - started)

    def _constant(self, path: str, method: str) -> Answer:
        if method in ("GET", "HEAD"):
            return Answer(200, self._constants[path])
        return _not_allowed(http_rules.allow({"GET"}))


class _Waiting:
    """A request that waits for its credential to be verified. `abandon` gives it up."""

    def __init__(self) -> None:
        self._is_abandoned = False
        self._abandon: Abandon = None

    def go_on(self, abandon: Abandon) -> None:
        """It is under way, and given up by calling this."""
        self._abandon = abandon
        if self._is_abandoned:
            self.abandon()

    def abandon(self) -> None:
        self._is_abandoned = True
        if self._abandon is not None:
            self._abandon()


def _reason(path: str) -> str:
    return "USERS_BELONG_ELSEWHERE" if path == not_stored.USERS_BELONG_ELSEWHERE else "METHOD_NOT_ALLOWED"


def _not_allowed(allowed: tuple[str, ...], reason: str = "METHOD_NOT_ALLOWED") -> Answer:
    return answer_from_refusal(refusal(reason, headers={"allow": ", ".join(allowed)}))
