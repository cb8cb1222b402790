"""The ASGI application: finds what a path means, and tells the operator of every refusal."""

import functools
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import orjson
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from userfold.v1 import user_service_pb2
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway import bindings, logs, metrics
from gateway.answer import Answer, Refused, answer_from_refusal
from gateway.channel import Channel
from gateway.cors import ORIGIN, preflight
from gateway.findings import Finding
from gateway.settings import Settings
from gateway.status import refusal
from gateway.transcode import Transcoder

SERVICE: Final = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]

NO_ROUTE: Final = "none"
"""What logs and metrics call the route of a path that leads nowhere."""

_log = structlog.get_logger("userfold.gateway")


def create_app(settings: Settings, channel: Channel, service: ServiceDescriptor = SERVICE) -> ASGIApp:
    """The whole HTTP face of a service. Raises UnsupportedBinding for an annotation that it cannot serve."""
    app: Any = Application(settings, channel, service)
    if settings.trusted_proxies:
        app = ProxyHeadersMiddleware(app, list(settings.trusted_proxies))
    return cast("ASGIApp", app)


class Application:
    """The ASGI application: all paths, those that lead nowhere included, so that every answer has the same shape.

    It looks at the path as it was sent: `a%2Fb` is one segment, and stays one. No framework's router does, nor does one
    know the bindings; each would cost a twentieth of a request. Of HTTP alone: the listener declines all else.
    """

    def __init__(self, settings: Settings, channel: Channel, service: ServiceDescriptor) -> None:
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
            "/health/probe": {"status": True, "region": settings.region},
        }
        # Found once: nearly all requests have one of these paths.
        self._fixed = {
            (binding.method, path): self._find(binding.method, path)
            for binding in self._bindings
            if not binding.pattern.groupindex
            for path in (binding.template.encode(), f"{self._prefix}{binding.template}".encode())
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; log and count it, unless it is OPTIONS."""
        if scope["method"] == "OPTIONS":
            await preflight(Headers(scope=scope))(scope, receive, send)
            return
        started = time.perf_counter()
        route, answer = await self._answer(scope, receive)
        for refused in answer.refused:
            _tell(route, refused)
        await _response(answer)(scope, receive, send)
        metrics.requests(route, answer.http).observe(time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[str, Answer]:
        route = NO_ROUTE
        try:
            method, raw_path = scope["method"], scope["raw_path"]
            found = self._fixed.get((method, raw_path)) or self._find(method, raw_path)
            if isinstance(found, bindings.Match):
                route = found.binding.template
                return route, await self._transcoders[found.binding].answer(found.fields, scope, receive)
            if isinstance(found, bindings.MethodNotAllowed):
                return NO_ROUTE, _not_allowed(found.allowed)
            if found is not None:
                return found, self._constant(found, method)
        except bindings.InvalidPath as error:
            violation = Finding(error.field, "NOT_UTF8", "must be percent-encoded UTF-8")
            return NO_ROUTE, answer_from_refusal(refusal("INVALID_REQUEST", violations=[violation]))
        except Exception as error:
            return route, _defect(error, route)
        return NO_ROUTE, answer_from_refusal(refusal("ROUTE_NOT_FOUND"))

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


def _response(answer: Answer) -> Response:
    if answer.body == {} and not answer.headers:
        return _empty(answer.http)
    headers = dict((ORIGIN, *answer.headers.items()))
    return Response(orjson.dumps(answer.body), answer.http, headers, "application/json")


@functools.cache
def _empty(http: int) -> Response:
    """The answer that nearly all updates have."""
    return Response(b"{}", http, dict([ORIGIN]), "application/json")


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
