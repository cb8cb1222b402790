"""Around every method of ours: whether its caller may call it, bytes to message, errors to Status, and what the
operator sees of them."""

# Some of gRPC's types are generic in the stubs alone.
from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, cast

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status

from server import logs, metrics
from server.authentication import Authenticator
from server.call import Call, Metadata, begin
from server.errors import CredentialUnknown, InvalidRequest, MalformedRequest, UserfoldError
from server.model import Application
from server.scopes import NEEDS
from server.status import INTERNAL, TRAILER, answer_to, status_from_error

_log = structlog.get_logger("userfold.server")

Context = grpc.aio.ServicerContext[Any, Any]


Authorize = Callable[[Metadata], Awaitable[Application]]
"""Finds the application of a call whose credential is what its method needs, or raises what the caller is told."""


def handlers_of(
    service: ServiceDescriptor, servicer: object, authenticator: Authenticator
) -> grpc.GenericRpcHandler[Any, Any]:
    """The methods of a servicer as a gRPC server takes them: none is called without the scope that it needs, and every
    error is answered in the one shape.

    Left alone, grpc.aio would send the text of an exception to the caller. An interceptor could do the same, but it is
    asked for its handler at every call: it cost 100 of 400 us.
    """
    handlers = {}
    for method in service.methods:
        wrap = _stream if method.client_streaming else _unary
        authorize = partial(authenticator.authorize, need=NEEDS[method.name])
        serve = getattr(servicer, method.name)
        handlers[method.name] = wrap(method.name, serve, GetMessageClass(method.input_type), authorize)
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _unary(name: str, serve: Any, message: type[Message], authorize: Authorize) -> grpc.RpcMethodHandler[Any, Any]:
    seconds = metrics.REQUESTS.labels(name, "OK")

    async def answered(text: bytes, context: Context) -> bytes:
        started = time.perf_counter()
        try:
            metadata = context.invocation_metadata() or ()
            begin(Call(await authorize(metadata), metadata))
            response: Message = await serve(_parsed(text, message), context)
        except Exception as error:
            metrics.REQUESTS.labels(name, answer_to(error).code.name).observe(time.perf_counter() - started)
            await _refuse(name, error, context)
        seconds.observe(time.perf_counter() - started)
        return response.SerializeToString()

    return grpc.unary_unary_rpc_method_handler(cast(Any, answered))


def _stream(name: str, serve: Any, message: type[Message], authorize: Authorize) -> grpc.RpcMethodHandler[Any, Any]:
    async def answered(texts: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            metadata = context.invocation_metadata() or ()
            call = Call(await authorize(metadata), metadata)
            begin(call)
            async for response in serve(_all_parsed(texts, message, call, authorize), context):
                yield response.SerializeToString()
            code = grpc.StatusCode.OK
        except Exception as error:
            code = answer_to(error).code
            await _refuse(name, error, context)
        finally:
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


def _parsed(text: bytes, message: type[Message]) -> Message:
    try:
        return message.FromString(text)
    except DecodeError as error:
        raise MalformedRequest from error


async def _refuse(method: str, error: Exception, context: Context) -> None:
    status = status_from_error(error, error_id=record_refusal(method, error))
    await context.abort(answer_to(error).code, status.message, ((TRAILER, status.SerializeToString()),))


def status_of_item(method: str, error: UserfoldError, prefix: str = "") -> Status:
    """The Status of one item among several, made visible to the operator as a refusal is."""
    return status_from_error(error, prefix, record_refusal(method, error))


def record_refusal(method: str, error: BaseException) -> str:
    """Make a refusal visible to the operator. Answers the error_id to tell the caller, empty where there is none.

    Only the parts of a path that the contract names are logged: the keys in metadata are the caller's.
    """
    answer = answer_to(error)
    metrics.REFUSALS.labels(method, answer.reason).inc()
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
