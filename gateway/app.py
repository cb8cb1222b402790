"""The application: finds what a path means, and tells the operator of every refusal."""

import asyncio
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import structlog
from google.protobuf.descriptor import ServiceDescriptor
from userfold.v1 import user_service_pb2

from gateway import bindings, body, metrics
from gateway.answer import NO_ROOM, Answer, Refused, answer_from_refusal
from gateway.channel import Channel
from gateway.cors import preflight
from gateway.findings import NOT_UTF8, Finding
from gateway.gate import Gate
from gateway.handler import BodyRule
from gateway.health import LIVE, READY, Readiness
from gateway.proxies import TrustedProxies
from gateway.request import Request
from gateway.settings import Settings
from gateway.status import Refusal, refusal
from gateway.transcode import Transcoder, credential_of
from processes import logs
from processes.observations import Observations

SERVICE: Final = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]

NO_ROUTE: Final = "none"
"""What logs and metrics call the route of a path that leads nowhere."""

_UPDATES: Final = 2000
_BATCHES: Final = 100
_READS: Final = 100
"""Requests of one kind that may be under way at once, all decoded, or waiting for the server."""

_TURNED_AWAY_AT_ONCE: Final = 1000
_TURN_AWAY_SECONDS: Final = 1.0
"""So many requests of a second are turned away at once, which takes a twentieth of a core; any more after a second."""

_log = structlog.get_logger("userfold.gateway")


class Application:
    """Answers all requests, those whose paths lead nowhere included, so that every answer has the same shape.

    It looks at the path as it was sent: `a%2Fb` is one segment, and stays one. No framework's router does, nor does one
    know the bindings. Raises UnsupportedBinding for an annotation that it cannot serve. Belongs to the running event
    loop.
    """

    def __init__(self, settings: Settings, channel: Channel, service: ServiceDescriptor = SERVICE) -> None:
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._prefix = settings.path_prefix
        self._bindings = bindings.bindings_of(service)
        self._transcoders = {
            binding: Transcoder(binding, channel, settings.rpc_seconds if binding.is_write else settings.read_seconds)
            for binding in self._bindings
        }
        self._constants: Mapping[str, Any] = {
            "/v1/config": {
                "sample_rate": 100,
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
        self._readiness = Readiness(channel, service.full_name)
        updates, batches, reads = self._gates = Gate(_UPDATES), Gate(_BATCHES), Gate(_READS)
        self._gate_of = {
            binding: reads if not binding.is_write else batches if binding.has_results else updates
            for binding in self._bindings
        }
        self._seconds = Observations()
        self._turned_away = 0
        self._loop = asyncio.get_running_loop()
        # Found once: nearly all requests have one of these paths.
        self._fixed = {
            (binding.method, path): self._find(binding.method, path)
            for binding in self._bindings
            if not binding.pattern.groupindex
            for path in (binding.template.encode(), f"{self._prefix}{binding.template}".encode())
        }

    def body_rule(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> BodyRule:
        """What to do with the body of such a request."""
        found = self._fixed.get((method, path))
        if found is None:
            try:
                found = self._find(method, path)
            except bindings.InvalidPath:
                return body.OBJECT_BYTES
        if not isinstance(found, bindings.Match):
            return body.OBJECT_BYTES
        if not self._gate_of[found.binding].has_room(credential_of(headers)):
            return None
        return body.ARRAY_BYTES if found.binding.has_results else body.OBJECT_BYTES

    def handle(self, request: Request, respond: Callable[[Answer], None]) -> Callable[[], object] | None:
        """Answer one request; log and count it, unless it is OPTIONS."""
        if request.method == "OPTIONS":
            respond(preflight(request.headers))
            return None
        request.client = self._proxies.client(request.client, request.headers)
        started = time.perf_counter()
        route = NO_ROUTE
        try:
            found = self._fixed.get((request.method, request.path)) or self._find(request.method, request.path)
            if isinstance(found, bindings.Match):
                route = found.binding.template
                gate, key = self._gate_of[found.binding], credential_of(request.headers)
                if not gate.enter(key):
                    self._count_turned_away()
                    respond(NO_ROOM)
                    return None

                def done(answer: Answer | Exception) -> None:
                    gate.leave(key)
                    self._done(route, started, respond, answer)

                try:
                    return self._transcoders[found.binding].answer(found.fields, request, done)
                except Exception as error:
                    done(error)
                    return None
            if found == READY and request.method in ("GET", "HEAD"):
                self._readiness.answer(respond)
                return None
            if isinstance(found, bindings.MethodNotAllowed):
                answer = _not_allowed(found.allowed)
            elif found is not None:
                route, answer = found, self._constant(found, request.method)
            else:
                answer = answer_from_refusal(refusal("ROUTE_NOT_FOUND"))
        except bindings.InvalidPath as error:
            violation = Finding(error.field, *NOT_UTF8)
            answer = answer_from_refusal(refusal("INVALID_REQUEST", violations=[violation]))
        except Exception as error:
            answer = _defect(error, route)
        self._done(route, started, respond, answer)
        return None

    def refuse(self, refused: Refusal, respond: Callable[[Answer], None]) -> None:
        """Answer what never became a request."""
        self._done(NO_ROUTE, time.perf_counter(), respond, answer_from_refusal(refused))

    def turn_away(self, respond: Callable[[Answer], None]) -> None:
        """Answer a request that finds no room.

        To turn away is work, too, and there may be thousands in a second. Whoever waits for an answer sends nothing
        more on its connection, so those beyond what is cheap are told a second later.
        """
        self._count_turned_away()
        if self._turned_away <= _TURNED_AWAY_AT_ONCE or self._readiness.is_stopping:
            respond(NO_ROOM)
        else:
            self._loop.call_later(_TURN_AWAY_SECONDS, respond, NO_ROOM)

    def _count_turned_away(self) -> None:
        if not self._turned_away:
            self._loop.call_later(_TURN_AWAY_SECONDS, self._tell_turned_away)
        self._turned_away += 1

    def _tell_turned_away(self) -> None:
        """Tell the operator of the last second's, all together."""
        turned_away, self._turned_away = self._turned_away, 0
        if turned_away:
            metrics.TURNED_AWAY.inc(turned_away)
            _log.warning("refused", reason="OVERLOADED", http_status=NO_ROOM.http, requests=turned_away)

    def stop(self) -> None:
        """Be no longer ready."""
        self._readiness.is_stopping = True

    async def finished(self) -> None:
        """Wait until nothing is under way, also of clients that have gone."""
        for gate in self._gates:
            await gate.emptied()
        self._tell_turned_away()

    def _done(self, route: str, started: float, respond: Callable[[Answer], None], answer: Answer | Exception) -> None:
        if isinstance(answer, Exception):
            answer = _defect(answer, route)
        for refused in answer.refused:
            _tell(route, refused)
        respond(answer)
        self._seconds.add(metrics.requests(route, answer.http), time.perf_counter() - started)

    def _find(self, method: str, raw_path: bytes) -> bindings.Match | bindings.MethodNotAllowed | str | None:
        """What a path leads to: a binding, one with other methods, the path of a constant, or nothing."""
        for path in self._paths(raw_path):
            if path in self._constants:
                return path
            if found := bindings.match(self._bindings, method, path):
                return found
        return None

    def _paths(self, raw_path: bytes) -> Iterator[str]:
        """What a path may mean: with the prefix taken off, or as it is. Runs of `/` are one; one at the end is none."""
        path = re.sub("/+", "/", raw_path.decode("latin-1")).rstrip("/")
        if self._prefix and path.startswith(f"{self._prefix}/"):
            yield path.removeprefix(self._prefix)
        yield path

    def _constant(self, path: str, method: str) -> Answer:
        if method in ("GET", "HEAD"):
            return Answer(200, self._constants[path])
        return _not_allowed(bindings.allow({"GET"}))


def _not_allowed(allowed: tuple[str, ...]) -> Answer:
    return answer_from_refusal(refusal("METHOD_NOT_ALLOWED", headers={"allow": ", ".join(allowed)}))


def _defect(error: Exception, route: str) -> Answer:
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


def _tell(route: str, refused: Refused) -> None:
    metrics.REFUSALS.labels(route, refused.reason).inc()
    more = {"error_id": refused.error_id} if refused.error_id else {}
    if refused.index is not None:
        more["index"] = str(refused.index)
    _log.warning(
        "refused",
        reason=refused.reason,
        http_status=refused.http,
        route=route,
        fields=list(refused.fields),
        **more,
    )
