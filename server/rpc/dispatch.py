"""The methods of a servicer as a gRPC server takes them: the head of a call decides whether its messages are read."""

# Some of gRPC's types are generic in the stubs alone.
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TypeAlias, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from userfold.internal.v1 import options_pb2
from userfold.internal.v1.user_update_service_pb2 import BatchUpdateUsersResponse, StreamBatchUpdateUsersResponse

from runtime.observations import Observations
from runtime.turns import Turns
from server.accounts.credentials import Credential, credential_from_metadata
from server.accounts.scopes import ANY_CREDENTIAL, NEEDS
from server.errors import CredentialUnknown, GatewayTooOld, MalformedRequest, Overloaded
from server.rpc.admission import Admission
from server.rpc.authentication import Authenticator
from server.rpc.call import Call, begin, is_of_older_gateway
from server.rpc.error_status import answer_to
from server.rpc.invocation import HEAD, Context, Method, answering, refuse
from server.rpc.open_streams import OpenStream, Streams
from server.rpc.parsing import items_field
from server.rpc.places import Places
from server.rpc.refusals import status_of_refusal

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

# It is in CampaignService.
_MOVED: Final = frozenset({"/userfold.v1.UserService/ReportCampaigns"})

_REFUSED: ContextVar[Exception] = ContextVar("refused")


class _Handlers(NamedTuple):
    """What serves the calls of a method, by their heads, and the places that it takes of its application."""

    places: Places
    known: _Handler
    unknown: _Handler
    refused: _Handler


class Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # Generic in the stubs alone.
    """The methods of a servicer as a gRPC server takes them: none is called without the scope that it needs, and every
    error is answered in the one shape.

    Finds the handler of each call. A call is turned away before its message is read where it shows no credential, or
    where its application has too much under way; and nothing is read before its credential is known.

    Left alone, grpc.aio would send the text of an exception to the caller. An interceptor could do the same, but it is
    asked for its handler at every call: it cost 100 of 400 us.
    """

    def __init__(
        self,
        service: ServiceDescriptor,
        servicer: object,
        authenticator: Authenticator,
        admission: Admission,
        streams: Streams,
        turns: Turns,
    ) -> None:
        self._authenticator = authenticator
        self._admission = admission
        seconds = Observations()

        def handlers(described: MethodDescriptor) -> _Handlers:
            name = described.name
            # Each of its requests is served as a call of this method.
            called = described.GetOptions().Extensions[options_pb2.stream_of].rpartition(".")[2]
            serve = getattr(servicer, called or name)
            need = None if name in ANY_CREDENTIAL else NEEDS[name]
            message = GetMessageClass(described.input_type)
            method = Method(name, serve, message, need, authenticator, admission, streams, turns, seconds)
            refused = _refused(method)
            if called:
                handler = _batches(method)
                return _Handlers(streams.batches, handler, handler, refused)
            if described.client_streaming:
                handler = _stream(method)
                return _Handlers(streams.updates, handler, handler, refused)
            return _Handlers(admission.calls, *_unary(method), refused)

        self._handlers = {f"/{service.full_name}/{each.name}": handlers(each) for each in service.methods}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        handlers = self._handlers.get(handler_call_details.method)
        if handlers is None:
            return None
        metadata = handler_call_details.invocation_metadata or ()
        try:
            credential = credential_from_metadata(metadata)
            known = self._authenticator.known(credential)
            if known is None:
                self._admission.require_place_of_unverified()
            elif not handlers.places.has_room(known.application.application_id):
                raise Overloaded
        except Exception as error:
            _REFUSED.set(error)
            return handlers.refused
        HEAD.set((metadata, credential, known))
        return handlers.unknown if known is None else handlers.known


class MovedMethods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # As above.
    """Refuses in words what gateways of version 0.1 call at a path that is no more."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        method = handler_call_details.method
        if method not in _MOVED or not is_of_older_gateway(handler_call_details.invocation_metadata or ()):
            return None

        async def refused(_: object, context: Context) -> None:
            await refuse(method.rpartition("/")[2], GatewayTooOld(), context)

        return grpc.stream_unary_rpc_method_handler(cast(Any, refused))


def _refused(method: Method) -> _Handler:
    """Refuses a call for its head. As a stream of messages, of which none is read."""

    async def refused(_: object, context: Context) -> None:
        error = _REFUSED.get()
        method.observe(answer_to(error).code, time.perf_counter())
        await refuse(method.name, error, context)

    return grpc.stream_unary_rpc_method_handler(cast(Any, refused))


def _unary(method: Method) -> tuple[_Handler, _Handler]:
    """What serves a call whose credential was known before, and one whose credential is looked up first."""
    answered = answering(method, _serialized, refuse)

    async def answered_if_known(texts: AsyncIterable[bytes], context: Context) -> bytes:
        started = time.perf_counter()
        try:
            metadata, credential, _ = head = HEAD.get()
            application = await method.authorized(head)
            if not method.admission.calls.has_room(application.application_id):
                raise Overloaded
            async with aclosing(cast("AsyncGenerator[bytes, None]", aiter(texts))) as messages:
                text = await anext(messages, None)
            if text is None:
                raise MalformedRequest
        except Exception as error:
            method.observe(answer_to(error).code, started)
            await refuse(method.name, error, context)
        method.renewed(metadata, credential)
        return await answered(text, context)

    return (
        grpc.unary_unary_rpc_method_handler(cast(Any, answered)),
        # On the wire it is the same call. As a stream, its message is not read before the handler asks for it.
        grpc.stream_unary_rpc_method_handler(cast(Any, answered_if_known)),
    )


def _batches(method: Method) -> _Handler:
    """A stream of requests of which each is served as a call."""
    call = answering(method, _response_of_batch, _refuse_batch)
    streams = method.streams

    async def answered(texts: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            metadata, credential, _ = head = HEAD.get()
            application_id = (await method.authorized(head)).application_id
            with streams.open(streams.batches, application_id, credential) as stream:
                async with aclosing(stream.messages(texts)) as messages:
                    async for text in messages:
                        method.renewed(metadata, credential)
                        yield await call(text, context)
        except Exception as error:
            await refuse(method.name, error, context)

    return grpc.stream_stream_rpc_method_handler(cast(Any, answered))


def _stream(method: Method) -> _Handler:
    """A stream of requests that are served together."""
    name, admission, streams = method.name, method.admission, method.streams
    items = items_field(method.message)

    async def admitted(
        stream: OpenStream, texts: AsyncIterable[bytes], credential: Credential, call: Call
    ) -> AsyncIterator[Message]:
        async with aclosing(stream.messages(texts)) as messages:
            async for text in messages:
                # A stream may outlive its credential, which by then may even be another application's.
                if (await method.authenticated(credential)).application_id != call.application.application_id:
                    raise CredentialUnknown
                parsed = await method.parsed(text, call)
                yield parsed
                # The producer is slowed down, not refused.
                admission.count(name, call.application, len(getattr(parsed, items)))
                if wait := admission.pause(name, call.application):
                    await asyncio.sleep(wait)

    async def answered(texts: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            metadata, credential, _ = head = HEAD.get()
            application = await method.authorized(head)
            with streams.open(streams.updates, application.application_id, credential) as stream:
                call = Call(application, metadata)
                begin(call)
                async for response in method.serve(admitted(stream, texts, credential, call), context):
                    yield response.SerializeToString()
            code = grpc.StatusCode.OK
        except Exception as error:
            code = answer_to(error).code
            await refuse(name, error, context)
        finally:
            method.observe(code, started)

    return grpc.stream_stream_rpc_method_handler(cast(Any, answered))


def _serialized(response: Message) -> bytes:
    return response.SerializeToString()


def _response_of_batch(response: Message) -> bytes:
    result = StreamBatchUpdateUsersResponse(response=cast(BatchUpdateUsersResponse, response))
    return result.SerializeToString()


async def _refuse_batch(method: str, error: Exception, _: Context) -> bytes:
    status = status_of_refusal(method, error)
    return StreamBatchUpdateUsersResponse(error=status).SerializeToString()
