"""Sends the messages of a batch method to the server: on streams that stay open, or as calls.

A message on a stream costs less than a call. A caller gets streams when it sends again within half a minute. However a
stream ends, a message has the outcome that it would have as a call. It is sent again, as a call, only where it could
not be written completely, or the server reports that it has not begun with it.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from gateway.errors.rendering import Refusal, is_of_the_server, refusal
from gateway.routing.batch_methods import BatchMethod
from gateway.upstream.batcher import NotAnsweredInTime
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller
from gateway.upstream.refusal_reporter import REPORTS_REFUSALS

_STREAMS: Final = 32
"""The limit of open streams of one gateway. A server accepts those of many: `BATCH_STREAMS` in `server/limits.py`."""

_CALLERS: Final = 1000
"""The limit of callers that are remembered. The messages of further ones are sent as calls."""

_IDLE_SECONDS: Final = 30.0
"""After so long without a message, the streams of a caller are closed, and the caller is forgotten."""

_RETRY_SECONDS: Final = 10.0
"""How long no stream is opened after the server has refused one, as an older or a stopping server does."""


@dataclass(slots=True)
class _Stream:
    """An open stream, on the connections of this generation."""

    call: Any
    generation: int


@dataclass(slots=True)
class _Streams:
    """The streams of one credential. `open` counts all of them; the first of `idle` has been idle longest."""

    used_at: float
    idle: deque[_Stream] = field(default_factory=deque)
    open: int = 0


class StreamPool:
    """Sends the encoded messages of a batch method. Belongs to the running event loop."""

    def __init__(self, method: BatchMethod, channel: Channel) -> None:
        self._channel = channel
        self._call = channel.unary_unary(
            method.rpc, request_serializer=bytes, response_deserializer=method.response.FromString
        )
        self._stream = method.stream
        self._callers: dict[bytes, _Streams] = {}
        self._open = 0
        self._no_stream_before = 0.0
        self._loop = asyncio.get_running_loop()

    async def send(self, caller: Caller, message: bytes, seconds: float) -> Message:
        """Send one message, and return the server's response.

        Raises AioRpcError where the call or its stream fails, Refusal where the server responds with an error or cannot
        be reached, and NotAnsweredInTime.
        """
        deadline = self._loop.time() + seconds
        streams = self._callers.get(caller.digest)
        stream = self._take(streams, caller) if streams else None
        is_maybe_sent = False
        if streams and stream:
            try:
                reply = await self._send_on(stream, message, deadline)
            except _NotBegun as end:
                is_maybe_sent = end.is_maybe_sent
                self._close(streams, stream)
                self._no_stream_before = self._loop.time() + _RETRY_SECONDS
            except BaseException:
                self._close(streams, stream)
                raise
            else:
                streams.idle.append(stream)
                return _response_in(reply)
        try:
            seconds = deadline - self._loop.time()
            response: Message = await self._call(
                message, timeout=seconds, metadata=(*caller.metadata, REPORTS_REFUSALS)
            )
        except Refusal:
            # The call was not sent, but the stream may have delivered the message.
            if is_maybe_sent:
                raise refusal("WRITE_OUTCOME_UNKNOWN") from None
            raise
        # Only now: the server knows this credential.
        self._remember(caller.digest)
        return response

    async def _send_on(self, stream: _Stream, message: bytes, deadline: float) -> Any:
        try:
            async with asyncio.timeout_at(deadline):
                try:
                    await stream.call.write(message)
                except asyncio.InvalidStateError:
                    raise _NotBegun from None
                except grpc.aio.AioRpcError:
                    # The server cannot read a partial message. Why the stream has ended is not always known here.
                    raise _NotBegun(is_maybe_sent=True) from None
                reply = await stream.call.read()
        except TimeoutError:
            raise NotAnsweredInTime from None
        except grpc.aio.AioRpcError as error:
            if is_of_the_server(error) or error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise _NotBegun from None
            raise
        if not isinstance(reply, Message):  # The stream ended with OK. The server never does that; a proxy may.
            raise refusal("WRITE_OUTCOME_UNKNOWN")
        return reply

    def _take(self, streams: _Streams, caller: Caller) -> _Stream | None:
        now = streams.used_at = self._loop.time()
        generation = self._channel.renewed()
        while streams.idle and not _is_usable(streams.idle[0], generation):
            self._close(streams, streams.idle.popleft())
        # One for each process that a connection may reach; more only where all of those are in use.
        if streams.idle and streams.open >= self._channel.streams:
            return streams.idle.popleft()
        if self._stream and self._open < _STREAMS and now >= self._no_stream_before:
            open_stream = self._channel.stream_stream(
                self._stream.rpc, request_serializer=bytes, response_deserializer=self._stream.response.FromString
            )
            if call := open_stream(metadata=(*caller.metadata, REPORTS_REFUSALS)):
                streams.open += 1
                self._open += 1
                return _Stream(call, generation)
        return streams.idle.popleft() if streams.idle else None

    def _close(self, streams: _Streams, stream: _Stream) -> None:
        stream.call.cancel()
        streams.open -= 1
        self._open -= 1

    def _remember(self, digest: bytes) -> None:
        if self._stream and digest not in self._callers and len(self._callers) < _CALLERS:
            if not self._callers:
                self._loop.call_later(_IDLE_SECONDS, self._forget_idle)
            self._callers[digest] = _Streams(self._loop.time())

    def _forget_idle(self) -> None:
        now = self._loop.time()
        for digest, streams in list(self._callers.items()):
            if streams.used_at + _IDLE_SECONDS <= now:
                while streams.idle:
                    self._close(streams, streams.idle.popleft())
                if not streams.open:
                    del self._callers[digest]
        if self._callers:
            self._loop.call_later(_IDLE_SECONDS, self._forget_idle)


def _is_usable(stream: _Stream, generation: int) -> bool:
    return stream.generation == generation and not stream.call.done()


def _response_in(reply: Any) -> Message:
    if reply.HasField("error"):
        raise Refusal(reply.error)
    if not reply.HasField("response"):
        raise refusal("WRITE_OUTCOME_UNKNOWN")
    response: Message = reply.response
    return response


class _NotBegun(Exception):
    """The server has not begun with the message, so that it can be sent again. `is_maybe_sent`: nearly certainly."""

    def __init__(self, *, is_maybe_sent: bool = False) -> None:
        super().__init__()
        self.is_maybe_sent = is_maybe_sent
