"""HTTP/1.1 on one connection: requests are answered in their order, with limits on time.

Bodies and responses are held whole: no request of this API needs to be streamed.
"""

import asyncio
import math
from typing import cast

from gateway.http import limits
from gateway.http.connection_pool import Connections
from gateway.http.handler import Body, Handler
from gateway.http.incoming import Incoming
from gateway.http.messages import Fault, Response
from gateway.http.outgoing import PIECE_BYTES, Outgoing


class HttpConnection(Incoming):
    """One connection. Pipelined requests are answered in their order."""

    def __init__(self, handler: Handler, connections: Connections) -> None:
        super().__init__(handler, connections)
        self._loop = asyncio.get_running_loop()
        self._must_end = False
        """The connection ends when what is being written has been sent."""
        self._client_has_ended = False
        self._paused_reading_at: float | None = None
        """Reading resumes when no request is left to answer."""

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outgoing = Outgoing(self._transport, self._hold)
        self._is_tls = bool(transport.get_extra_info("sslcontext"))
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) else ""
        self._connections.open.add(self)
        self._wait_for_client(limits.IDLE_SECONDS)
        if self._connections.is_closing:
            self.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)
        self._has_last = True
        self._queue.clear()
        answering, self._answering = self._answering, None
        if answering is not None:
            answering[0].abandon()

    def eof_received(self) -> bool:
        # A client may end its side after the last request, and still wait for the responses.
        self._has_last = self._client_has_ended = self._must_end = True
        waits = self._answering or self._queue or self._outgoing.is_paused
        # TLS has no half-closed connections.
        return bool(waits) and not (self._is_ending or self._is_tls)

    def pause_writing(self) -> None:
        # A client that does not receive its responses gets no further ones.
        self._outgoing.pause()
        self._stop_reading()
        self._wait_until_received()

    def resume_writing(self) -> None:
        if not self._outgoing.resume():
            return
        if self._answering or self._queue:
            self.since = self.deadline = math.inf
            self._answer_next()
        elif self._must_end:
            self._end()
        else:
            self._rest()

    # Called by the pool.

    @property
    def is_sending(self) -> bool:
        """Whether the client has to receive a response before anything else."""
        return self._outgoing.is_paused

    def note_progress(self) -> None:
        """Set `since` to now if the client has received more of a response."""
        if self._outgoing.has_progressed():
            self.since = self._clock()

    def expire(self) -> None:
        """End the connection, or refuse the request that takes too long."""
        self.since = self.deadline = math.inf
        is_closing = self._transport.is_closing()
        if (self._outgoing.is_paused or self._is_ending or is_closing) and self._outgoing.left():
            if self._outgoing.kept_minimum():
                self._wait_until_received()
            else:
                self._transport.abort()
        elif is_closing:
            self._transport.abort()
        elif self._is_ending:
            self._close()
        elif self._is_within and not self._has_last:
            if self._exchange is not None and self._exchange.body is Body.UNWANTED:
                self._end_with(self._exchange)
            else:
                self._reject(Fault.BODY_TOO_LARGE if self._is_draining else Fault.TOO_SLOW)
            self._answer_next()
        else:
            self._end()

    def stop(self) -> None:
        """Close when all requests are answered that the client has sent, also those that are not read yet."""
        is_idle = not (self._answering or self._queue or self._is_within or self._outgoing.is_paused)
        if is_idle and not self._is_ending:
            self._wait_for_client(limits.QUIET_SECONDS)

    def abort(self) -> None:
        """Close now."""
        self._has_last = True
        self._outgoing.forget()
        self._body.clear()
        self._transport.abort()

    # Answering.

    def _answer_next(self) -> None:
        if self._answering is None and self._queue and not self._outgoing.is_paused:
            exchange, request = self._answering = self._queue.popleft()
            if exchange.body is Body.UNWANTED and not self._is_within:
                # Until it is answered, the connection may be cut off to make room for others.
                self._wait_for_client(limits.IDLE_SECONDS)
            exchange.handle(request, self._respond)
        if self._queue and not self._transport.is_closing():
            # The parser has read all that it was given; the client's further requests can wait in the socket.
            self._stop_reading()
            if self._answering and self._answering[0].body is not Body.UNWANTED and not self._outgoing.is_paused:
                self.since = self.deadline = math.inf

    def _respond(self, response: Response) -> None:
        answered, self._answering = self._answering, None
        if answered is None or self._transport.is_closing():
            return
        request = answered[1]
        is_last = not self._queue and (self._has_last or self._connections.is_stopping)
        closes = is_last or "connection" in response.headers
        data = response.to_bytes(self._connections.date, request.tag, closes=closes, is_head=request.method == "HEAD")
        if len(data) > limits.LARGE_BYTES and response.status == 200 and not self._connections.has_room(len(data)):
            # A refusal is better than a part of the response. Only a read has one that is so large.
            self._answering = answered
            self._handler.turn_away(self._respond)
            return
        if self._transport.is_closing():
            return
        if request.body:
            self._hold(-len(request.body))
        if len(data) <= PIECE_BYTES:
            self._transport.write(data)
        else:
            self._outgoing.write(data)
        if closes:
            self._has_last = self._must_end = True
            self._queue.clear()
        if self._outgoing.is_paused:
            return
        if closes:
            self._end()
        elif self._queue:
            self._loop.call_soon(self._answer_next)
        else:
            self._rest()

    def _send_continue(self) -> None:
        if self._owes_continue and not (self._answering or self._queue):
            self._owes_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _end(self) -> None:
        """End our side when the client has received everything, and discard what it sends until it ends its own, or for
        a short time: closing a connection with unread data would destroy the response on its way (RFC 9112, section
        9.6)."""
        self._has_last = self._is_ending = True
        if self._client_has_ended or (self._is_tls and not self._is_within):
            self._close()
            return
        if not self._is_tls:
            self._transport.write_eof()
        if self._paused_reading_at is not None:
            self._read_on(self._paused_reading_at)
        if self._outgoing.left():
            self._wait_until_received()
        else:
            self._wait_for_client(limits.LINGER_SECONDS)

    def _close(self) -> None:
        """Close when the client has received everything."""
        self._is_ending = True
        self._transport.close()
        self._wait_until_received()

    def _rest(self) -> None:
        """Read on if no request is left to answer."""
        if not (self._answering or self._queue or self._transport.is_closing()):
            if self._paused_reading_at is not None:
                self._read_on(self._paused_reading_at)
            if self._is_within:
                self.since, self.deadline = self._arrives_since, self._arrives_until
                self._send_continue()
            else:
                self._wait_for_client(limits.QUIET_SECONDS if self._connections.is_closing else limits.IDLE_SECONDS)

    # Waiting for the client.

    def _stop_reading(self) -> None:
        if self._paused_reading_at is None:
            self._paused_reading_at = self._clock()
            self._transport.pause_reading()

    def _read_on(self, stopped: float) -> None:
        seconds = self._clock() - stopped
        self._arrives_since += seconds
        self._arrives_until += seconds
        self._paused_reading_at = None
        self._transport.resume_reading()

    def _wait_for_client(self, seconds: float) -> None:
        self.since = now = self._clock()
        self.deadline = now + seconds

    def _wait_until_received(self) -> None:
        """Wait until the client has received some of what is written, or all of it if that is little."""
        self._wait_for_client(limits.TAKE_SECONDS)
        self._outgoing.begin_period()
