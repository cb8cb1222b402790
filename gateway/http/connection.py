"""HTTP/1.1 on one connection: requests in their order, answers to bytes, with bounds on time.

The bodies of this API are read whole and answered whole, which is all that is done here: a framework that streams them
costs a third of an update's CPU time.
"""

import asyncio
import math
from collections.abc import Callable
from typing import cast

from gateway.errors.answer import NO_ROOM, Answer
from gateway.errors.rendering import Refusal
from gateway.http import limits
from gateway.http.connection_pool import Connections
from gateway.http.handler import Handler
from gateway.http.incoming import Incoming
from gateway.http.outgoing import PIECE_BYTES, Outgoing
from gateway.http.request import Request
from gateway.http.response import no_room_bytes, response_bytes


class HttpConnection(Incoming):
    """One connection. Requests that are sent without waiting for answers are answered in their order."""

    def __init__(self, handler: Handler, connections: Connections) -> None:
        super().__init__(handler, connections)
        self._loop = asyncio.get_running_loop()
        self._abandon: Callable[[], object] | None = None
        self._must_end = False
        """Behind what is being written."""
        self._client_has_ended = False
        self._stopped_reading: float | None = None
        """When: it begins again where nothing is to be answered."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outgoing = Outgoing(self._transport, self._hold)
        self._is_tls = bool(transport.get_extra_info("sslcontext"))
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) else ""
        self._connections.open.add(self)
        self._wait(limits.IDLE_SECONDS)
        if self._connections.is_closing:
            self.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.left(self)
        self._is_over = True
        self._answering = None
        self._waiting.clear()
        if self._abandon is not None:
            self._abandon()
            self._abandon = None

    def eof_received(self) -> bool:
        # A client may end its side behind the last request, and still wait for the answers.
        self._is_over = self._client_has_ended = self._must_end = True
        waits = self._answering or self._waiting or self._outgoing.is_paused
        # With TLS there are no halves of a connection.
        return bool(waits) and not (self._is_ending or self._is_tls)

    def pause_writing(self) -> None:
        # Who does not take answers does not get more of them.
        self._outgoing.pause()
        self._stop_reading()
        self._wait_until_taken()

    def resume_writing(self) -> None:
        if not self._outgoing.resume():
            return
        if self._answering or self._waiting:
            self.since = self.deadline = math.inf
            self._answer_next()
        elif self._must_end:
            self._end()
        else:
            self._rest()

    # What the listener calls.

    @property
    def is_taking(self) -> bool:
        """Whether its client has to take an answer before anything else."""
        return self._outgoing.is_paused

    def look(self) -> None:
        """Set `since` anew if its client has taken some of an answer."""
        if self._outgoing.look():
            self.since = self._clock()

    def expire(self) -> None:
        """End what has taken too long."""
        self.since = self.deadline = math.inf
        is_closing = self._transport.is_closing()
        if (self._outgoing.is_paused or self._is_ending or is_closing) and self._outgoing.left():
            if self._outgoing.was_taken():
                self._wait_until_taken()
            else:
                self._transport.abort()
        elif is_closing:
            self._transport.abort()
        elif self._is_ending:
            self._close()
        elif self._is_within and not self._is_over:
            if isinstance(self._unread, Refusal | Answer):
                self._refuse_with(self._unread)
            else:
                self._refuse("BODY_TOO_LARGE" if self._is_draining else "REQUEST_TOO_SLOW")
            self._answer_next()
        else:
            self._end()

    def stop(self) -> None:
        """Close when what is under way is answered, also what was sent before and has not been read yet."""
        is_idle = not (self._answering or self._waiting or self._is_within or self._outgoing.is_paused)
        if is_idle and not self._is_ending:
            self._wait(limits.QUIET_SECONDS)

    def abort(self) -> None:
        """Close now."""
        self._is_over = True
        self._outgoing.forget()
        self._body.clear()
        self._transport.abort()

    # Answering.

    def _answer_next(self) -> None:
        if self._answering is None and self._waiting and not self._outgoing.is_paused:
            answering = self._answering = self._waiting.popleft()
            if isinstance(answering, Request):
                abandon = self._handler.handle(answering, self._respond)
                if self._answering is answering:
                    self._abandon = abandon
            elif isinstance(answering.by, Refusal):
                self._handler.refuse(answering.by, self._respond)
            else:
                # Until it is answered, the connection may be cut off to make room for others.
                if not self._is_within:
                    self._wait(limits.IDLE_SECONDS)
                self._handler.turn_away(self._respond)
        if self._waiting and not self._transport.is_closing():
            # The parser went on to the end of what it was given; what is still on its way can wait.
            self._stop_reading()
            if isinstance(self._answering, Request) and not self._outgoing.is_paused:
                self.since = self.deadline = math.inf

    def _respond(self, answer: Answer) -> None:
        answered, self._answering, self._abandon = self._answering, None, None
        if answered is None or self._transport.is_closing():
            return
        is_last = self._is_over and not self._waiting
        closes = "connection" in answer.headers or is_last or (self._connections.is_stopping and not self._waiting)
        is_head = answered.method == "HEAD"
        if answer is NO_ROOM and not (closes or is_head):
            response = no_room_bytes(self._connections.date)
        else:
            response = response_bytes(answer, self._connections.date, closes=closes, is_head=is_head)
            size = len(response)
            if size > limits.LARGE_BYTES and answer.http == 200 and not self._connections.has_room(size):
                # Better none than a part of it. That it is so large shows that it is a read's.
                self._answering = answered
                self._handler.turn_away(self._respond)
                return
            if self._transport.is_closing():
                return
        if answered.body:
            self._hold(-len(answered.body))
        if len(response) <= PIECE_BYTES:
            self._transport.write(response)
        else:
            self._outgoing.write(response)
        if closes:
            self._is_over = self._must_end = True
            self._waiting.clear()
        if self._outgoing.is_paused:
            return
        if closes:
            self._end()
        elif self._waiting:
            self._loop.call_soon(self._answer_next)
        else:
            self._rest()

    def _let_continue(self) -> None:
        """Ask for a body whose client waits for that, behind earlier answers."""
        if self._must_continue and not (self._answering or self._waiting):
            self._must_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _end(self) -> None:
        """End our side when what was written is taken, and throw away what is still sent until the client ends its own,
        or for a short time: a connection that is closed with something unread would destroy the answer on its way
        (RFC 9112, section 9.6)."""
        self._is_over = self._is_ending = True
        if self._client_has_ended or (self._is_tls and not self._is_within):
            self._close()
            return
        if not self._is_tls:
            self._transport.write_eof()
        if self._stopped_reading is not None:
            self._read_on(self._stopped_reading)
        if self._outgoing.left():
            self._wait_until_taken()
        else:
            self._wait(limits.LINGER_SECONDS)

    def _close(self) -> None:
        """Close when what was written is taken."""
        self._is_ending = True
        self._transport.close()
        self._wait_until_taken()

    def _rest(self) -> None:
        """Read on where nothing is to be answered."""
        if not (self._answering or self._waiting or self._transport.is_closing()):
            if self._stopped_reading is not None:
                self._read_on(self._stopped_reading)
            if self._is_within:
                self.since, self.deadline = self._arrives_since, self._arrives_until
                self._let_continue()
            else:
                self._wait(limits.QUIET_SECONDS if self._connections.is_closing else limits.IDLE_SECONDS)

    # Waiting for the client.

    def _stop_reading(self) -> None:
        if self._stopped_reading is None:
            self._stopped_reading = self._clock()
            self._transport.pause_reading()

    def _read_on(self, stopped: float) -> None:
        seconds = self._clock() - stopped
        self._arrives_since += seconds
        self._arrives_until += seconds
        self._stopped_reading = None
        self._transport.resume_reading()

    def _wait(self, seconds: float) -> None:
        self.since = now = self._clock()
        self.deadline = now + seconds

    def _wait_until_taken(self) -> None:
        """Wait for the client to take some of what is written, or all where it is little."""
        self._wait(limits.TAKE_SECONDS)
        self._outgoing.begin_period()
