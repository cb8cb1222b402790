"""Sends the requests of several clients in one RPC. Each gets its own outcome, as if it had been sent alone."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import grpc

from gateway.errors.rendering import refusal, refusal_from_rpc
from gateway.http.messages import Request
from gateway.routing.batch_methods import CLIENT_ADDRESSES, ORIGINS, BatchMethod
from gateway.spans import begin_group, end_call
from gateway.upstream.batcher import Batcher, Limits, NotAnsweredInTime, NotSentInTime, QueueFull
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller
from gateway.upstream.result import is_plain, outcome_of
from gateway.upstream.stream_pool import StreamPool
from runtime.reporting import traces

_Request: TypeAlias = tuple[bytes, Request, Caller]
"""An item of the batch, the request, and its caller."""

_ItemResult: TypeAlias = tuple[int, Any]
"""The index of an item in its batch, and its result."""

Respond: TypeAlias = Callable[[dict[str, Any] | Exception], object]
"""Receives the members of the response that are not empty, a Refusal, or a defect."""

_EXPIRED_REASONS: Final = {
    NotSentInTime: "NOT_SENT_IN_TIME",
    NotAnsweredInTime: "WRITE_OUTCOME_UNKNOWN",
}


class BatchClient:
    """Calls a batch method, each time for requests with the same credentials.

    Each request has `limits.seconds` from its arrival.
    """

    def __init__(self, method: BatchMethod, channel: Channel, limits: Limits) -> None:
        self._method = method
        self._batcher: Batcher[bytes, _Request, _ItemResult] = Batcher(self._send, limits)
        self._streams = StreamPool(method, channel)

    @property
    def queued(self) -> tuple[int, int]:
        """The requests that wait for their batch, and the bytes of their bodies."""
        return self._batcher.queued_items, self._batcher.queued_bytes

    def send(
        self, caller: Caller, body_bytes: int, decode: Callable[[], bytes], request: Request, respond: Respond
    ) -> None:
        """Send one request, whose body has so many bytes as it is inflated.

        `decode` returns the item of the batch as JSON, or raises what `respond` receives. It is called when the batch
        is sent. `respond` also receives the refusal of the whole batch. Raises a Refusal where too many requests are
        queued.
        """

        def prepare() -> _Request:
            return decode(), request, caller

        try:
            self._batcher.submit(caller.digest, body_bytes, prepare, functools.partial(self._settle, respond))
        except QueueFull:
            raise refusal("OVERLOADED") from None

    def _settle(self, respond: Respond, outcome: _ItemResult | Exception) -> None:
        try:
            response = self._response(outcome)
        except Exception as error:
            response = error
        respond(response)

    def _response(self, outcome: _ItemResult | Exception) -> dict[str, Any] | Exception:
        if isinstance(outcome, NotSentInTime | NotAnsweredInTime):
            return refusal(_EXPIRED_REASONS[type(outcome)])
        if isinstance(outcome, grpc.aio.AioRpcError):
            return refusal_from_rpc(outcome, is_write=True)
        if isinstance(outcome, Exception):
            # All requests of a batch receive the same exception. Raising it for each would grow its traceback.
            return outcome
        index, result = outcome
        if is_plain(result):
            return {}
        prefix = f"{self._method.items}[{index}]."
        return outcome_of(result, lambda path: path.removeprefix(prefix))

    async def _send(self, _: bytes, requests: Sequence[_Request], seconds: float) -> Sequence[_ItemResult | Exception]:
        items, sent, callers = zip(*requests, strict=True)
        addresses, origins = [each.client for each in sent], [each.origin.packed() for each in sent]
        message: Any = self._method.request(
            **{self._method.items_json: items, CLIENT_ADDRESSES: addresses, ORIGINS: origins}
        )
        tracer = traces.active()
        span = None if tracer is None else begin_group(tracer, self._method.rpc, sent)
        if span is None:
            response: Any = await self._streams.send(callers[0], message.SerializeToString(), seconds)
        else:
            message.traceparent = span.traceparent
            try:
                response = await self._streams.send(callers[0], message.SerializeToString(), seconds)
            except BaseException as error:
                end_call(span, error)
                raise
            end_call(span)
        if len(response.results) != len(requests):
            raise ValueError("not one result for each item")
        return [*enumerate(response.results)]
