"""One call, from the bytes of its request to those of its response: authenticate, admit, parse, serve, respond."""

# Some of gRPC's types are generic in the stubs only.
from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any, NoReturn, TypeAlias, cast

import grpc
from google.protobuf.message import Message

from runtime.reporting import traces
from runtime.reporting.origin import REQUEST_ID, Origin
from runtime.reporting.request_log import RequestLog
from server.errors import GatewayTooOld, MalformedRequest, Overloaded
from server.rpc import parsing
from server.rpc.call import Call, Metadata, RefusalSource, is_from_gateway_0_1, origin_of_call
from server.rpc.error_status import TRAILER, error_status
from server.rpc.observing.audit import write_audited
from server.rpc.observing.request_lines import refused, write_served
from server.rpc.observing.spans import CallSpan
from server.rpc.served_method import Head, ServedMethod

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


async def respond(method: ServedMethod, head: Head, payload: bytes, context: Context) -> Message:
    """The response to one request. Raises the error that the client gets instead.

    Counts the call, and its duration, in both cases.
    """
    started = time.perf_counter()
    calls, size_bytes = method.admission.calls, len(payload)
    cached = head.cached
    # Until the credential is looked up again, the place is held by the application that it belonged to last.
    holder = head.application_id
    try:
        calls.take(holder, size_bytes)
        try:
            if cached is not None and cached.valid_until > method.authenticator.clock():
                application = cached.application
            else:
                application = await method.authenticator.authenticate(head.credential)
            method.require_scope(application)
            if method.rule.is_misread_by_0_1 and is_from_gateway_0_1(head.metadata):
                raise GatewayTooOld
            addresses = method.request_log.addresses
            call = Call(application, head.metadata, context.peer, method.refusals, size_bytes, addresses=addresses)
            gate = method.admission.admit(method.rule.work, application.application_id)
            if gate is None:
                response = await _serve(method, call, payload, started)
            else:
                async with gate:
                    response = await _serve(method, call, payload, started)
        finally:
            calls.give_back(holder, size_bytes)
    except Exception as error:
        method.observe_error(error, holder, started)
        raise
    method.observe_success(call, started)
    return response


async def respond_traced(method: ServedMethod, head: Head, payload: bytes, context: Context) -> Message:
    """As `respond`, as a span of its own where traces are written."""
    tracer = traces.active()
    if tracer is None:
        return await respond(method, head, payload, context)
    span = CallSpan(tracer, method.full_name, head.metadata, method.small_request(payload))
    token = traces.PARENT.set(span.traceparent)
    try:
        response = await respond(method, head, payload, context)
    except BaseException as error:
        span.end_refused(error)
        raise
    finally:
        traces.PARENT.reset(token)
    span.end_served(head.application_id, response)
    return response


async def _serve(method: ServedMethod, call: Call, payload: bytes, started: float) -> Message:
    """Parse the request of a call that is admitted, and have the servicer serve it."""
    # Small requests, the most common ones, are parsed here: `method.parse` would be a coroutine more.
    if len(payload) <= parsing.SLICE_BYTES:
        request = parsing.parse(payload, method.request_class)
    else:
        request, call.oversized = await method.parse_large(payload, call.application_id)
    method.admission.count(method.rule.work, call.application_id, method.count_of(request))
    response: Message = await method.serve(request, call)
    if method.audited is not None:
        write_audited(method.audited, method.name, call, request, response)
    if method.request_log.is_on:
        write_served(method.request_log, method.name, call, response, started)
    return response


async def abort(
    method_name: str,
    error: Exception,
    context: Context,
    origin: Origin,
    log: RequestLog,
    started: float,
    refusals: RefusalSource | None,
) -> NoReturn:
    """End a call with the Status of an error, which `refusals` counts, and its request id in the trailing metadata."""
    status = refused(method_name, error, origin, log, started, refusals)
    trailers = ((TRAILER, status.SerializeToString()), (REQUEST_ID, origin.request_id))
    await context.abort(error_status(error).code, status.message, trailers)


# The stubs describe the synchronous server only.
_RpcMethodHandler: Any = grpc.RpcMethodHandler


class CallHandler(_RpcMethodHandler):  # type: ignore[misc]  # As above.
    """Handles one call, in bytes.

    Each call has a handler of its own, so that the handler can hold what `dispatch` decided from the head of the call.
    """

    request_streaming = False
    response_streaming = False
    request_deserializer = None
    response_serializer = None


class AcceptedCall(CallHandler):
    """A call that was not refused for its head."""

    def __init__(self, method: ServedMethod, head: Head) -> None:
        self.method = method
        self.head = head

    async def abort(self, error: Exception, context: Context, started: float, payload: bytes = b"") -> NoReturn:
        """End the call, which has this request, with the Status of an error."""
        method = self.method
        origin = method.origin_of(self.head, context.peer, payload)
        refusals = method.refusals_of(self.head)
        await abort(method.name, error, context, origin, method.request_log, started, refusals)


class UnaryCall(AcceptedCall):
    """A call whose credential was known before. gRPC reads its request first."""

    async def unary_unary(self, payload: bytes, context: Context) -> bytes:
        started = time.perf_counter()
        try:
            response = await respond_traced(self.method, self.head, payload, context)
        except Exception as error:
            await self.abort(error, context, started, payload)
        return response.SerializeToString()


class UnverifiedUnaryCall(AcceptedCall):
    """A call whose credential is looked up before its request is read.

    It is the same on the wire. gRPC reads the requests of a stream only when the handler asks for them.
    """

    request_streaming = True

    async def stream_unary(self, payloads: AsyncIterable[bytes], context: Context) -> bytes:
        started = time.perf_counter()
        method = self.method
        try:
            application = await method.authenticate_head(self.head)
            if not method.capacity.has_room(application.application_id):
                raise Overloaded
            async with aclosing(cast("AsyncGenerator[bytes, None]", aiter(payloads))) as received:
                payload = await anext(received, None)
            if payload is None:
                raise MalformedRequest
        except Exception as error:
            method.observe_error(error, self.head.application_id, started)
            await self.abort(error, context, started)
        return await UnaryCall(method, method.renewed(self.head)).unary_unary(payload, context)


class RefusedCall(CallHandler):
    """A call that is refused for its head. It is handled as a stream, so that its request is not read."""

    request_streaming = True

    def __init__(
        self,
        method_name: str,
        error: Exception,
        metadata: Metadata,
        log: RequestLog,
        refusals: RefusalSource | None = None,
    ) -> None:
        self._method_name = method_name
        self._error = error
        self._metadata = metadata
        self._log = log
        self._refusals = refusals

    async def stream_unary(self, _: AsyncIterable[bytes], context: Context) -> NoReturn:
        origin = origin_of_call(self._metadata, None, self._log.addresses, context.peer)
        started = time.perf_counter()
        await abort(self._method_name, self._error, context, origin, self._log, started, self._refusals)
