"""Around every method of ours: bytes to message, errors to Status, and what the operator sees of them."""

# Some of gRPC's types are generic in the stubs alone.
from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, cast

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from server import metrics
from server.errors import InvalidRequest, MalformedRequest, UserfoldError
from server.status import INTERNAL, TRAILER, answer_to, status_from_error

_log = structlog.get_logger("userfold.server")

Context = grpc.aio.ServicerContext[Any, Any]


class StatusInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # As above.
    """Answers every error of a method of ours in the one shape, and counts and logs it without any value.

    Left alone, grpc.aio would send the text of an exception to the caller.
    """

    async def intercept_service(  # type: ignore[override]  # A method that is not there has no handler.
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or not method.startswith("/userfold."):
            return handler
        found: Any = handler
        wrap = _stream if found.request_streaming else _unary
        serve = found.stream_stream if found.request_streaming else found.unary_unary
        return wrap(method.rpartition("/")[2], serve, found.request_deserializer, found.response_serializer)


def _unary(name: str, serve: Any, parse: Any, serialize: Any) -> grpc.RpcMethodHandler[Any, Any]:
    seconds = metrics.REQUESTS.labels(name, "OK")

    async def answered(message: bytes, context: Context) -> object:
        started = time.perf_counter()
        try:
            response = await serve(_parsed(message, parse), context)
        except Exception as error:
            metrics.REQUESTS.labels(name, answer_to(error).code.name).observe(time.perf_counter() - started)
            await _refuse(name, error, context)
        seconds.observe(time.perf_counter() - started)
        return response

    return grpc.unary_unary_rpc_method_handler(cast(Any, answered), response_serializer=serialize)


def _stream(name: str, serve: Any, parse: Any, serialize: Any) -> grpc.RpcMethodHandler[Any, Any]:
    async def answered(messages: AsyncIterable[bytes], context: Context) -> AsyncIterator[object]:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            async for response in serve(_all_parsed(messages, parse), context):
                yield response
            code = grpc.StatusCode.OK
        except Exception as error:
            code = answer_to(error).code
            await _refuse(name, error, context)
        finally:
            metrics.REQUESTS.labels(name, code.name).observe(time.perf_counter() - started)

    return grpc.stream_stream_rpc_method_handler(cast(Any, answered), response_serializer=serialize)


async def _all_parsed(messages: AsyncIterable[bytes], parse: Callable[[bytes], object]) -> AsyncIterator[object]:
    async for message in messages:
        yield _parsed(message, parse)


def _parsed(message: bytes, parse: Callable[[bytes], object]) -> object:
    try:
        return parse(message)
    except DecodeError as error:
        raise MalformedRequest from error


async def _refuse(method: str, error: Exception, context: Context) -> None:
    status = status_from_error(error, error_id=record_refusal(method, error))
    await context.abort(answer_to(error).code, status.message, ((TRAILER, status.SerializeToString()),))


def status_of_update(method: str, error: UserfoldError, prefix: str = "") -> Status:
    """The Status of one update among several, made visible to the operator as a refusal is."""
    return status_from_error(error, prefix, record_refusal(method, error))


def record_refusal(method: str, error: BaseException) -> str:
    """Make a refusal visible to the operator. Answers the error_id to tell the caller, empty where there is none.

    Only the parts of a path that the contract names are logged: the keys in metadata are the caller's.
    """
    answer = answer_to(error)
    metrics.REFUSALS.labels(method, answer.reason).inc()
    if answer is INTERNAL:
        error_id = uuid.uuid4().hex
        # Where it happened, but not the exception's text, which may hold values.
        places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        code = str(error) if isinstance(error, UserfoldError) else None
        _log.error("defect", method=method, error_id=error_id, type=type(error).__name__, detail=code, places=places)
        return error_id
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    fields = sorted({_contract_part(violation.field) for violation in violations})
    _log.warning("refused", method=method, reason=answer.reason, **({"fields": fields} if fields else {}))
    return ""


def _contract_part(path: str) -> str:
    return "metadata" if path.startswith("metadata") else path
