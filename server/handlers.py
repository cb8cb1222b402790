"""Around every method of ours: whether its caller may call it, bytes to message, errors to Status."""

# Some of gRPC's types are generic in the stubs alone.
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from userfold.v1.user_service_pb2 import BatchUpdateUsersResponse, StreamBatchUpdateUsersResponse

from processes.observations import Observations
from processes.turns import Turns
from server import metrics
from server.admission import Admission
from server.authentication import Authenticator
from server.call import Call, Metadata, arrive, arrived_metadata, begin
from server.errors import CredentialUnknown, MalformedRequest, Overloaded, ServerStopping
from server.model import Application
from server.refusals import status_of_refusal
from server.scopes import ANY_CREDENTIAL, NEEDS
from server.status import TRAILER, answer_to

Context = grpc.aio.ServicerContext[Any, Any]


Authorize = Callable[[Metadata], Awaitable[Application]]
"""Finds the application of a call whose credential is what its method needs, or raises what the caller is told."""


def handlers_of(
    service: ServiceDescriptor, servicer: object, authenticator: Authenticator, admission: Admission, turns: Turns
) -> grpc.GenericRpcHandler[Any, Any]:
    """The methods of a servicer as a gRPC server takes them: none is called without the scope that it needs, and every
    error is answered in the one shape.

    Left alone, grpc.aio would send the text of an exception to the caller. An interceptor could do the same, but it is
    asked for its handler at every call: it cost 100 of 400 us.
    """
    return _Methods(service, servicer, authenticator, admission, turns)


@dataclass(frozen=True, slots=True)
class _Method:
    """A method: what serves its messages, and what is around each of its calls."""

    name: str
    serve: Any
    message: type[Message]
    authorize: Authorize
    admission: Admission
    seconds: Observations


class _Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # Generic in the stubs alone.
    """Finds the handler of each call, and turns it away before its message is read where too much is under way."""

    def __init__(
        self,
        service: ServiceDescriptor,
        servicer: object,
        authenticator: Authenticator,
        admission: Admission,
        turns: Turns,
    ) -> None:
        self._admission = admission
        self._turns = turns
        self._streams = {}
        self._handlers = {}
        seconds = Observations()
        for method in service.methods:
            authorize: Authorize = authenticator.authenticate
            if method.name not in ANY_CREDENTIAL:
                authorize = partial(authenticator.authorize, need=NEEDS[method.name])
            path = f"/{service.full_name}/{method.name}"
            message = GetMessageClass(method.input_type)
            handler, served = _unary, method.name
            if method.client_streaming:
                handler, self._streams[path] = _stream, admission.streams
            if method.name.startswith("StreamBatch"):
                handler, self._streams[path] = _batches, admission.batch_streams
                served = method.name.removeprefix("Stream")
            serve = getattr(servicer, served)
            self._handlers[path] = handler(_Method(method.name, serve, message, authorize, admission, seconds))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        path = handler_call_details.method
        handler = self._handlers.get(path)
        if handler is None:
            return None
        arrive(handler_call_details.invocation_metadata or ())
        return handler if self._streams.get(path, self._admission).has_room else _TURN_AWAY


async def _turn_away(_: object, context: Context) -> None:
    await _refuse("any", Overloaded(), context)


# It takes a stream of messages, and so reads none.
_TURN_AWAY: grpc.RpcMethodHandler[Any, Any] = grpc.stream_unary_rpc_method_handler(cast(Any, _turn_away))


def _unary(method: _Method) -> grpc.RpcMethodHandler[Any, Any]:
    answered = _call(method, _serialized, _refuse)
    return grpc.unary_unary_rpc_method_handler(cast(Any, answered))


def _batches(method: _Method) -> grpc.RpcMethodHandler[Any, Any]:
    """A stream of requests of which each is served as a call."""
    name, authorize, admission = method.name, method.authorize, method.admission
    call = _call(method, _response_of_batch, _refuse_batch)

    async def answered(texts: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        with admission.batch_streams:
            try:
                await authorize(arrived_metadata())
                async with aclosing(_until(admission.stopping, texts)) as coming:
                    async for text in coming:
                        answer = call if admission.has_room else turn_away
                        yield await answer(text, context)
            except Exception as error:
                await _refuse(name, error, context)

    async def turn_away(_: bytes, context: Context) -> bytes:
        return await _refuse_batch(name, Overloaded(), context)

    return grpc.stream_stream_rpc_method_handler(cast(Any, answered))


async def _until(stopping: asyncio.Event, texts: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
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
    status = status_of_refusal(method, error)
    return StreamBatchUpdateUsersResponse(status=status).SerializeToString()


def _call(
    method: _Method,
    answer: Callable[[Message], bytes],
    refuse: Callable[[str, Exception, Context], Awaitable[bytes]],
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """What is between the bytes of a request and those of its response."""
    name, serve, message, authorize = method.name, method.serve, method.message, method.authorize
    admission, seconds = method.admission, method.seconds
    answers = metrics.REQUESTS.labels(name, "OK")
    items = _items_field(message)

    async def answered(text: bytes, context: Context) -> bytes:
        started = time.perf_counter()
        admission.calls += 1
        admission.octets += len(text)
        try:
            metadata = arrived_metadata()
            application = await authorize(metadata)
            async with admission.admit(name, application):
                begin(Call(application, metadata, len(text)))
                request = _parsed(text, message)
                admission.count(name, application, len(getattr(request, items)) if items else 1)
                response: Message = await serve(request, context)
        except Exception as error:
            refusals = metrics.REQUESTS.labels(name, answer_to(error).code.name)
            seconds.add(refusals, time.perf_counter() - started)
            return await refuse(name, error, context)
        finally:
            admission.calls -= 1
            admission.octets -= len(text)
        seconds.add(answers, time.perf_counter() - started)
        return answer(response)

    return answered


def _stream(method: _Method) -> grpc.RpcMethodHandler[Any, Any]:
    name, message, authorize, admission = method.name, method.message, method.authorize, method.admission
    items = _items_field(message)

    async def admitted(texts: AsyncIterable[bytes], call: Call) -> AsyncIterator[Message]:
        async for parsed in _all_parsed(texts, message, call, authorize):
            yield parsed
            # The producer is slowed down, not refused.
            admission.count(name, call.application, len(getattr(parsed, items)))
            if wait := admission.pause(name, call.application):
                await asyncio.sleep(wait)

    async def answered(texts: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        with admission.streams:
            try:
                metadata = arrived_metadata()
                call = Call(await authorize(metadata), metadata)
                begin(call)
                async for response in method.serve(admitted(texts, call), context):
                    yield response.SerializeToString()
                code = grpc.StatusCode.OK
            except Exception as error:
                code = answer_to(error).code
                await _refuse(name, error, context)
            finally:
                method.seconds.add(metrics.REQUESTS.labels(name, code.name), time.perf_counter() - started)

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
    status = status_of_refusal(method, error)
    await context.abort(answer_to(error).code, status.message, ((TRAILER, status.SerializeToString()),))
