"""The application: matches the head of each request to the exchange that answers it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor
from userfold.internal.v1 import company_update_service_pb2, user_update_service_pb2
from userfold.v1 import (
    application_service_pb2,
    campaign_service_pb2,
    company_service_pb2,
    credential_service_pb2,
    metadata_service_pb2,
    refusal_service_pb2,
    status_service_pb2,
    user_service_pb2,
    visitor_service_pb2,
)

from gateway import metrics
from gateway.calls.transcoder import Transcoder
from gateway.endpoints import client_config, health
from gateway.endpoints.health import READY, Readiness
from gateway.endpoints.unstored_calls import BODY_BYTES, USERS_BELONG_ELSEWHERE, UnstoredCall, UnstoredCalls
from gateway.errors.answer import NO_ROOM, Answer, answer_from_refusal
from gateway.errors.rendering import Refusal, refusal
from gateway.errors.reports import Reports, answer_from_rejection
from gateway.errors.violations import NOT_UTF8, Finding
from gateway.exchange import AdmittedExchange, Endpoint, FixedExchange, Shared, TurnedAway
from gateway.http.cors import Preflight
from gateway.http.forwarded import TrustedProxies
from gateway.http.handler import Body, Exchange, Respond
from gateway.http.messages import Rejection, library_in
from gateway.metrics import NO_METHOD, NO_ROUTE, method_label
from gateway.routing import http_rules
from gateway.routing.admission import Gate
from gateway.routing.router import Routes
from gateway.settings import Settings
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Verifier, caller_of
from gateway.upstream.refusal_reporter import RefusalReporter
from runtime.turns import Turns

SERVICES: Final = (
    user_service_pb2.DESCRIPTOR.services_by_name["UserService"],
    visitor_service_pb2.DESCRIPTOR.services_by_name["VisitorService"],
    company_service_pb2.DESCRIPTOR.services_by_name["CompanyService"],
    campaign_service_pb2.DESCRIPTOR.services_by_name["CampaignService"],
    refusal_service_pb2.DESCRIPTOR.services_by_name["RefusalService"],
    metadata_service_pb2.DESCRIPTOR.services_by_name["MetadataService"],
    status_service_pb2.DESCRIPTOR.services_by_name["StatusService"],
    application_service_pb2.DESCRIPTOR.services_by_name["ApplicationService"],
    credential_service_pb2.DESCRIPTOR.services_by_name["CredentialService"],
)
"""The services whose methods are served over HTTP. Readiness is that of the first."""

INTERNAL: Final = (
    user_update_service_pb2.DESCRIPTOR.services_by_name["UserUpdateService"],
    company_update_service_pb2.DESCRIPTOR.services_by_name["CompanyUpdateService"],
)
"""Services whose methods take the requests of many clients together."""

_UPDATES: Final = 2000
_BATCHES: Final = 100
_READS: Final = 100
"""The limits of requests in flight, of each kind."""

_TURNED_AWAY_AT_ONCE: Final = 1000
_TURN_AWAY_SECONDS: Final = 1.0
"""So many requests are turned away immediately in each such period, and further ones at its end."""


class Application:
    """Answers all requests, those without a route included, so that every error has the same shape.

    It matches a path as it was sent: `a%2Fb` is one segment. Raises UnsupportedBinding for an annotation that it cannot
    serve. Belongs to the running event loop.
    """

    def __init__(
        self,
        settings: Settings,
        channel: Channel,
        services: Sequence[ServiceDescriptor] = SERVICES,
        internal: Sequence[ServiceDescriptor] = INTERNAL,
    ) -> None:
        bindings = http_rules.bindings_of(services, internal)
        turns = Turns()
        updates, batches, reads = Gate(_UPDATES), Gate(_BATCHES), Gate(_READS)
        self._gates = {"update": updates, "batch": batches, "read": reads}
        self._transcoders = {
            binding: Transcoder(
                binding,
                channel,
                settings.rpc_seconds if binding.is_write else settings.read_seconds,
                turns,
                gate=reads if not binding.is_write else batches if binding.has_results else updates,
            )
            for binding in bindings
        }
        self._constants = {**client_config.CONSTANTS, **health.constants(settings.region)}
        self._unstored_calls = UnstoredCalls()
        self._unstored = {path: UnstoredCall(path, self._unstored_calls) for path in BODY_BYTES}
        self._routes = Routes(bindings, (*self._constants, *self._unstored, READY), settings.path_prefix)
        self._readiness = Readiness(channel, services[0].full_name)
        self._verifier = Verifier(channel)
        self._refusals = RefusalReporter(channel, time.time)
        requests = metrics.request_metrics()
        self._reports = Reports(_TURN_AWAY_SECONDS, requests)
        self._loop = asyncio.get_running_loop()
        self._shared = Shared(
            TrustedProxies(settings.trusted_proxies),
            self._verifier,
            self._reports,
            requests,
            self._refusals,
            self._turn_away,
            settings.request_log,
        )
        self._missing = refusal("CREDENTIAL_MISSING")

    def begin(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> Exchange:
        """Begin the exchange of the request with this head."""
        if method == "OPTIONS":
            return Preflight()
        try:
            match = self._routes.find(method, path)
        except http_rules.InvalidPath as error:
            violation = Finding(error.field, *NOT_UTF8)
            answer = answer_from_refusal(refusal("INVALID_REQUEST", violations=[violation]))
            return self._fixed(method, NO_ROUTE, answer)
        if isinstance(match, http_rules.Match):
            return self._admit(self._transcoders[match.binding], match.fields, headers)
        if isinstance(match, str):
            return self._begin_at(match, method, headers)
        if isinstance(match, http_rules.MethodNotAllowed):
            return self._fixed(method, NO_ROUTE, _not_allowed(match.allowed))
        not_found = answer_from_refusal(refusal("ROUTE_NOT_FOUND"), path=self._routes.loggable(method, path))
        return self._fixed(method, NO_ROUTE, not_found)

    def reject(self, rejection: Rejection) -> Exchange:
        """Begin the exchange of a request that its connection refuses."""
        return FixedExchange(self._shared, NO_METHOD, NO_ROUTE, answer_from_rejection(rejection), Body.UNWANTED)

    def turn_away(self, respond: Respond) -> None:
        """Answer that there is no room, before the head of the request is matched."""
        self._refuse_room(respond, self._reports.turned_away())

    def _turn_away(self, respond: Respond, endpoint: Endpoint, application: str) -> None:
        self._refuse_room(respond, self._reports.turned_away(endpoint.method, endpoint.route, application))

    def _refuse_room(self, respond: Respond, earlier: int) -> None:
        """Answer that there is no room. `earlier` requests were refused so in the same period.

        This is work as well, and there may be thousands of such requests in a second. A client that waits for its
        response sends nothing more on its connection: beyond a number that is cheap, responses wait for a second.
        """
        if earlier < _TURNED_AWAY_AT_ONCE or self._readiness.is_stopping:
            respond(NO_ROOM.response)
        else:
            self._loop.call_later(_TURN_AWAY_SECONDS, respond, NO_ROOM.response)

    async def watch(self) -> None:
        """Log when the gateway is not ready, and when it is again, until cancelled."""
        await self._readiness.watch()

    def stop(self) -> None:
        """Report that the gateway is no longer ready."""
        self._readiness.is_stopping = True
        for transcoder in self._transcoders.values():
            transcoder.stop()

    async def finished(self) -> None:
        """Wait until no request is in flight, those of clients that have gone included."""
        await self._verifier.finished()
        for gate in self._gates.values():
            await gate.emptied()
        self.flush()
        await self._refusals.finished()

    def note_load(self) -> None:
        """Set the gauges of requests in flight and of queued updates."""
        queued = [each.queued for each in self._transcoders.values()]
        metrics.QUEUED_UPDATES.set(sum(items for items, _ in queued))
        metrics.QUEUED_BYTES.set(sum(size for _, size in queued))
        for kind, gate in self._gates.items():
            metrics.IN_FLIGHT.labels(kind).set(gate.taken)

    def flush(self) -> None:
        """Log what is counted now."""
        self._unstored_calls.flush()
        self._reports.flush()

    def _begin_at(self, path: str, method: str, headers: Mapping[bytes, bytes]) -> Exchange:
        """Match a request whose path is not bound by an annotation."""
        if endpoint := self._unstored.get(path):
            if method == "POST":
                return self._admit(endpoint, {}, headers)
            reason = "USERS_BELONG_ELSEWHERE" if path == USERS_BELONG_ELSEWHERE else "METHOD_NOT_ALLOWED"
            return self._fixed(method, path, _not_allowed(http_rules.allow({"POST"}), reason))
        if method not in ("GET", "HEAD"):
            return self._fixed(method, path, _not_allowed(http_rules.allow({"GET"})))
        if path == READY:
            return self._readiness
        return self._fixed(method, path, self._constants[path])

    def _admit(self, endpoint: Endpoint, fields: Mapping[str, str], headers: Mapping[bytes, bytes]) -> Exchange:
        """Check the credential as far as that needs no call to the server, and whether there is room."""
        caller = caller_of(headers)
        if caller is None:
            return self._refused(endpoint, self._missing)
        if self._verifier.recognize(caller):
            if endpoint.gate is not None and not endpoint.gate.has_room(caller.application):
                self._refusals.add(endpoint.route, NO_ROOM, caller, library_in(headers))
                return TurnedAway(self._turn_away, endpoint, caller.application)
        elif refused := self._verifier.refusal(caller):
            return self._refused(endpoint, refused)
        elif not self._verifier.has_room(caller):
            return TurnedAway(self._turn_away, endpoint, "")
        return AdmittedExchange(self._shared, endpoint, caller, fields)

    def _fixed(self, method: str, route: str, answer: Answer) -> Exchange:
        return FixedExchange(self._shared, method_label(method), route, answer)

    def _refused(self, endpoint: Endpoint, refused: Refusal) -> Exchange:
        answer = answer_from_refusal(refused)
        return FixedExchange(self._shared, endpoint.method, endpoint.route, answer, Body.UNWANTED)


def _not_allowed(allowed: tuple[str, ...], reason: str = "METHOD_NOT_ALLOWED") -> Answer:
    return answer_from_refusal(refusal(reason, headers={"allow": ", ".join(allowed)}))
