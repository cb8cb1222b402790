"""The spans of requests and of calls to the server, where the program writes traces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc

from gateway.http.messages import Request
from runtime.reporting.origin import TRACEPARENT
from runtime.reporting.traces import Kind

if TYPE_CHECKING:
    from runtime.reporting.spans import Span, Tracer

Metadata: TypeAlias = "tuple[tuple[str, str], ...]"

_FAULT: Final = 500


def begin_request(tracer: Tracer, request: Request, route: str) -> None:
    """Begin the span of a request, a child of the client's. What the request causes belongs to it from now on."""
    origin = request.origin
    span = request.span = tracer.start(f"{request.method or 'HTTP'} {route}", Kind.SERVER, origin.traceparent)
    origin.traceparent = span.traceparent
    attributes = {
        "http.request.method": request.method,
        "http.route": route,
        "userfold.request_id": origin.request_id,
        "userfold.client_library": origin.client_library,
    }
    span.set({name: value for name, value in attributes.items() if value})


def end_request(request: Request, http_status: int, reasons: Sequence[str], application: str) -> None:
    """End the span of a request, if it has one."""
    span, request.span = request.span, None
    if span is None:
        return
    span.set({"http.response.status_code": http_status})
    if application:
        span.set({"userfold.application": application})
    if reasons:
        span.set({"userfold.reasons": reasons})
    span.end(next(iter(reasons), str(http_status)) if http_status >= _FAULT else "")


def begin_group(tracer: Tracer, method: str, requests: Sequence[Request]) -> Span | None:
    """Begin the span of a call for several requests. Each of their spans is linked to it, and it to them."""
    span = tracer.start_group(method.removeprefix("/"), Kind.CLIENT, [each.origin.traceparent for each in requests])
    if span is not None:
        span.set(
            {"rpc.system.name": "grpc", "rpc.method": method.removeprefix("/"), "userfold.requests": len(requests)}
        )
        for request in requests[1:]:
            if request.span is not None:
                request.span.link(span.traceparent)
    return span


def end_call(span: Span, error: BaseException | None = None) -> None:
    """End the span of a call."""
    if error is None:
        span.set({"rpc.response.status_code": "OK"})
        span.end()
    elif isinstance(error, grpc.aio.AioRpcError):
        code = error.code().name
        span.set({"rpc.response.status_code": code})
        span.end(code)
    else:
        span.end(type(error).__name__)


async def traced_call(
    tracer: Tracer, method: str, call: Callable[[Metadata], Awaitable[Any]], metadata: Metadata
) -> Any:
    """Make a call with this metadata as a span of its own, if the metadata belongs to one that is sampled."""
    named = dict(metadata)
    if TRACEPARENT not in named:
        return await call(metadata)
    span = tracer.start(method.removeprefix("/"), Kind.CLIENT, named[TRACEPARENT])
    span.set({"rpc.system.name": "grpc", "rpc.method": method.removeprefix("/")})
    changed = tuple((name, span.traceparent if name == TRACEPARENT else value) for name, value in metadata)
    try:
        response = await call(changed)
    except BaseException as error:
        end_call(span, error)
        raise
    end_call(span)
    return response
