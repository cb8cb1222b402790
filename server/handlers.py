"""Around every method of ours: whether its caller may call it, bytes to message, errors to Status, and what the
operator sees of them."""

# Some of gRPC's types are generic in the stubs alone.
from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, NoReturn, cast

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status
from userfold.v1.user_service_pb2 import BatchUpdateUsersResponse, StreamBatchUpdateUsersResponse

from processes import logs
from server import metrics
from server.admission import Admission
from server.authentication import Authenticator
from server.call import Call, Metadata, begin
from server.errors import (
    CredentialUnknown,
    InvalidRequest,
    MalformedRequest,
    Overloaded,
    RateLimited,
    ServerStopping,
    UserfoldError,
)
from server.model import Application
from server.scopes import NEEDS
from server.status import INTERNAL, TRAILER, answer_to, status_from_error

_log = structlog.get_logger("userfold.server")

Context = grpc.aio.ServicerContext[Any, Any]


Authorize = Callable[[Metadata], Awaitable[Application]]
"""Finds the application of a call whose credential is what its method needs, or raises what the caller is told."""


def handlers_of(
    service: ServiceDescriptor, servicer: object, authenticator: Authenticator, admission: Admission
) -> grpc.GenericRpcHandler[Any, Any]:
    """The methods of a servicer as a gRPC server takes them: none is called without the scope that it needs, and every
    error is answered in the one shape.

    Left alone, grpc.aio would send the text of an exception to the caller. An interceptor could do the same, but it is
    asked for its handler at every call: it cost 100 of 400 us.
    """
    return _Methods(service, servicer, authenticator, admission)


class _Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # Generic in the stubs alone.
    """Finds the handler of each call, and turns it away before its message is read where too much is under way."""

    def __init__(
        self, service: ServiceDescriptor, servicer: object, authenticator: Authenticator, admission: Admission
    ) -> None:
        self._admission = admission
        self._streams = set()
        self._batch_streams = set()
        self._handlers = {}
        for method in service.methods:
            batch = service.methods_by_name.get(method.name.removeprefix("Stream"))
            authorize = partial(authenticator.authorize, need=NEEDS[method.name])
            path = f"/{service.full_name}/{method.name}"
            message = GetMessageClass(method.input_type)
            if not method.client_streaming:
                wrap, serve = _unary, getattr(servicer, method.name)
            elif batch is not None and batch.name.startswith("Batch"):
                wrap, serve = _batches, getattr(servicer, batch.name)
                self._batch_streams.add(path)
            else:
                wrap, serve = _stream, getattr(servicer, method.name)
                self._streams.add(path)
            self._handlers[path] = wrap(method.name, serve, message, authorize, admission)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        path = handler_call_details.method
        handler = self._handlers.get(path)
        if handler is None:
            return None
        if path in self._streams:
            has_room = self._admission.has_room_for_a_stream
        elif path in self._batch_streams:
            has_room = self._admission.has_room_for_a_batch_stream
        else:
            has_room = self._admission.has_room
        return handler if has_room else _TURN_AWAY


async def _turn_away(_: object, context: Context) -> None:
    await _refuse("any", Overloaded(), context)


# It takes a stream of messages, and so reads none.
_TURN_AWAY: grpc.RpcMethodHandler[Any, Any] = grpc.stream_unary_rpc_method_handler(cast(Any, _turn_away))


def _unary(
    name: str, serve: Any, message: type[Message], authorize: Authorize, admission: Admission
) -> grpc.RpcMethodHandler[Any, Any]:
    answered = _call(name, serve, message, authorize, admission, _serialized, _refuse)
    return grpc.unary_unary_rpc_method_handler(cast(Any, answered))


def _batches(
    name: str, serve: Any, message: type[Message], authorize: Authorize, admission: Admission
) -> grpc.RpcMethodHandler[Any, Any]:
    """A stream of requests of which each is served as a call."""
    call = _call(name, serve, message, authorize, admission, _response_of_batch, _refuse_batch)

    async def answered(texts: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        admission.begin_batch_stream()
        try:
            await authorize(context.invocation_metadata() or ())
            async for text in _until(admission.stopping, texts):
                yield await (call(text, context) if admission.has_room else _refuse_batch(name, Overloaded(), context))
        except Exception as error:
            await _refuse(name, error, context)
        finally:
            admission.end_batch_stream()

    return grpc.stream_stream_rpc_method_handler(cast(Any, answered))


async def _until(stopping: asyncio.Event, texts: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The texts that come before the event is set; then raises ServerStopping."""
    if stopping.is_set():
        raise ServerStopping
    coming = aiter(texts)
    task = cast("asyncio.Task[object]", asyncio.current_task())
    is_reading = False

    def stop(_: object) -> None:
        if is_reading:
            task.cancel()

    # One for all texts, instead of a task that reads each.
    stopped = asyncio.ensure_future(stopping.wait())
    stopped.add_done_callback(stop)
    try:
        while not stopping.is_set():
            is_reading = True
            try:
                text = await anext(coming)
            except StopAsyncIteration:
                return
            finally:
                is_reading = False
            yield text
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
        task.uncancel()
    finally:
        stopped.cancel()
    raise ServerStopping


def _serialized(response: Message) -> bytes:
    return response.SerializeToString()


def _response_of_batch(response: Message) -> bytes:
    told = StreamBatchUpdateUsersResponse(response=cast(BatchUpdateUsersResponse, response))
    return told.SerializeToString()


async def _refuse_batch(method: str, error: Exception, _: Context) -> bytes:
    status = status_from_error(error, error_id=record_refusal(method, error))
    return StreamBatchUpdateUsersResponse(status=status).SerializeToString()


def _call(
    name: str,
    serve: Any,
    message: type[Message],
    authorize: Authorize,
    admission: Admission,
    answer: Callable[[Message], bytes],
    refuse: Callable[[str, Exception, Context], Awaitable[bytes]],
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """What is between the bytes of a request and those of its response."""
    seconds = metrics.REQUESTS.labels(name, "OK")
    items = _items_field(message)

    async def answered(text: bytes, context: Context) -> bytes:
        started = time.perf_counter()
        admission.calls += 1
        admission.octets += len(text)
        try:
            metadata = context.invocation_metadata() or ()
            application = await authorize(metadata)
            async with admission.admit(name, application):
                begin(Call(application, metadata))
                request = _parsed(text, message)
                admission.count(name, application, len(getattr(request, items)) if items else 1)
                response: Message = await serve(request, context)
        except Exception as error:
            metrics.REQUESTS.labels(name, answer_to(error).code.name).observe(time.perf_counter() - started)
            return await refuse(name, error, context)
        finally:
            admission.calls -= 1
            admission.octets -= len(text)
        seconds.observe(time.perf_counter() - started)
        return answer(response)

    return answered


def _stream(
    name: str, serve: Any, message: type[Message], authorize: Authorize, admission: Admission
) -> grpc.RpcMethodHandler[Any, Any]:
    items = _items_field(message)

    async def admitted(texts: AsyncIterable[bytes], call: Call) -> AsyncIterator[Message]:
        async for parsed in _all_parsed(texts, message, call, authorize):
            yield parsed
            # The producer is slowed down, not refused.
            admission.count(name, call.application, len(getattr(parsed, items)))
            if seconds := admission.pause(name, call.application):
                await asyncio.sleep(seconds)

    async def answered(texts: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        admission.begin_stream()
        try:
            metadata = context.invocation_metadata() or ()
            call = Call(await authorize(metadata), metadata)
            begin(call)
            async for response in serve(admitted(texts, call), context):
                yield response.SerializeToString()
            code = grpc.StatusCode.OK
        except Exception as error:
            code = answer_to(error).code
            await _refuse(name, error, context)
        finally:
            admission.end_stream()
            metrics.REQUESTS.labels(name, code.name).observe(time.perf_counter() - started)

    return grpc.stream_stream_rpc_method_handler(cast(Any, answered))


async def _all_parsed(
    texts: AsyncIterable[bytes], message: type[Message], call: Call, authorize: Authorize
) -> AsyncIterator[Message]:
    async for text in texts:
        # A stream may outlive its credential, which by then may even be another application's.
        if (await authorize(call.metadata)).application_id != call.application.application_id:
            raise CredentialUnknown
        yield _parsed(text, message)


def _items_field(message: type[Message]) -> str:
    """The field of a request that holds many items, each with a result of its own; empty where it is one."""
    names = message.DESCRIPTOR.fields_by_name
    return next((name for name in ("users", "requests", "user_ids") if name in names), "")


def _parsed(text: bytes, message: type[Message]) -> Message:
    try:
        return message.FromString(text)
    except DecodeError as error:
        raise MalformedRequest from error


async def _refuse(method: str, error: Exception, context: Context) -> NoReturn:
    status = status_from_error(error, error_id=record_refusal(method, error))
    await context.abort(answer_to(error).code, status.message, ((TRAILER, status.SerializeToString()),))


def status_of_item(method: str, error: UserfoldError, prefix: str = "") -> Status:
    """The Status of one item among several, made visible to the operator as a refusal is."""
    return status_from_error(error, prefix, record_refusal(method, error))


class _Load:
    """Tells of what is turned away once in a second: there may be thousands."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._told_at = -math.inf

    def told(self, reason: str) -> None:
        self._calls[reason] += 1
        if (now := time.monotonic()) >= self._told_at + 1:
            for each, calls in self._calls.items():
                _log.warning("refused", reason=each, calls=calls)
            self._calls.clear()
            self._told_at = now


_LOAD = _Load()


def record_refusal(method: str, error: BaseException) -> str:
    """Make a refusal visible to the operator. Answers the error_id to tell the caller, empty where there is none.

    Only the parts of a path that the contract names are logged: the keys in metadata are the caller's.
    """
    answer = answer_to(error)
    metrics.REFUSALS.labels(method, answer.reason).inc()
    if isinstance(error, Overloaded | RateLimited):
        _LOAD.told(answer.reason)
        return ""
    if answer is INTERNAL:
        error_id = uuid.uuid4().hex
        code = str(error) if isinstance(error, UserfoldError) else None
        places = logs.locations(error)
        _log.error("defect", method=method, error_id=error_id, type=type(error).__name__, detail=code, places=places)
        return error_id
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    fields = sorted({_contract_part(violation.field) for violation in violations})
    _log.warning("refused", method=method, reason=answer.reason, **({"fields": fields} if fields else {}))
    return ""


def _contract_part(path: str) -> str:
    return "metadata" if path.startswith("metadata") else path
