"""HTTP/1.1 on one connection: bytes to requests, answers to bytes, with bounds on size and time.

The bodies of this API are read whole and answered whole, which is all that is done here: a framework that streams them
costs a third of an update's CPU time. The parser is httptools (llhttp), which is strict about what frames a message.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import httptools

from gateway import limits
from gateway.answer import NO_ROOM, Answer
from gateway.connections import Connections
from gateway.handler import Discard, Handler
from gateway.request import Request
from gateway.response import no_room_bytes, response_bytes
from gateway.status import Refusal, refusal

_CLOSE: Final = {"connection": "close"}
_LISTS: Final = (b"content-encoding", b"x-forwarded-for", b"forwarded")


class HttpConnection(asyncio.Protocol):
    """One connection. Requests that are sent without waiting for answers are answered in their order."""

    def __init__(self, handler: Handler, connections: Connections) -> None:
        self._handler = handler
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast(Any, None)
        self._client = ""
        self._waiting: deque[Request | Refusal | Answer] = deque()
        self._answering: Request | Refusal | Answer | None = None
        self._abandon: Callable[[], object] | None = None
        self._is_over = False
        """Nothing more is read."""
        self._is_paused = False
        self._has_head = False
        self.deadline = math.inf
        """When `expire` is to be called, by the loop's clock."""
        self._made = 0
        """How often something was made of what arrived."""
        self.held = 0
        """Bytes: of bodies that are not answered, or of answers that are not taken."""
        self._begin_parsing()
        self.on_message_begin()
        self._is_within = False
        """A request has begun to arrive, and not yet ended."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) else ""
        self._connections.open.add(self)
        self.deadline = self._loop.time() + limits.IDLE_SECONDS

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.left(self)
        self._is_over = True
        self._waiting.clear()
        if self._abandon is not None:
            self._abandon()
            self._abandon = None

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        made, was_within = self._made, self._is_within
        if not self._is_within:
            self._is_within, self._has_head = True, False
            self.deadline = self._loop.time() + limits.HEAD_SECONDS
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(rest=data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse("HTTP_MALFORMED")
        if was_within and self._is_within and self._made == made:
            # The parser keeps a header, also one behind the body, to itself until it has the whole. What goes with a
            # chunk besides its size, it throws away.
            self._unmade_bytes += len(data)
            if self._unmade_bytes > limits.HEAD_BYTES:
                self._refuse("HEAD_TOO_LARGE")
        self._answer_next()

    def eof_received(self) -> bool:
        # A client may end its side behind the last request, and still wait for the answers.
        self._is_over = True
        # With TLS there are no halves of a connection.
        return bool(self._answering or self._waiting) and not self._transport.get_extra_info("sslcontext")

    def pause_writing(self) -> None:
        # Who does not take answers does not get more of them.
        self._is_paused = True
        self._connections.hold(self, self._transport.get_write_buffer_size())
        self._transport.pause_reading()
        self.deadline = self._loop.time() + limits.BODY_SECONDS

    def resume_writing(self) -> None:
        self._is_paused = False
        self._rest()
        self._answer_next()

    # What the listener calls.

    def expire(self) -> None:
        """End what has taken too long."""
        self.deadline = math.inf
        if self._is_paused or self._transport.is_closing():
            self._transport.abort()
        elif self._is_within and not self._is_over:
            self._refuse("BODY_TOO_LARGE" if self._is_draining else "REQUEST_TOO_SLOW")
            self._answer_next()
        else:
            self._close()

    def stop(self) -> None:
        """Close when what is under way is answered."""
        if not (self._answering or self._waiting or self._is_within):
            self._close()

    def abort(self) -> None:
        """Close now."""
        self._is_over = True
        self._body.clear()
        self._transport.abort()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._made += 1
        self._limit = self._unmade_bytes = self._header_count = self._header_bytes = self._drained = 0
        self._discarded = 0
        self._is_within, self._has_head, self._is_draining = True, False, False
        self._unread: Discard | Refusal | Answer | None = None
        """Why the body is not kept: it is not wanted, or this is the answer."""
        self.deadline = self._loop.time() + limits.HEAD_SECONDS

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        if self._has_head:
            # Behind the body: a proxy in front lets through there what it takes out of a head.
            self._refuse_large_head()
        elif name not in self._headers:
            self._headers[name] = value
        elif name in _LISTS:
            self._headers[name] += b"," + value

    def on_headers_complete(self) -> None:
        if self._is_over or self._parser.should_upgrade():
            return
        self._has_head = True
        self._made, self._unmade_bytes = self._made + 1, 0
        self._method = self._parser.get_method().decode("ascii")
        self._path, _, self._query = self._url.partition(b"?")
        if not self._path.startswith(b"/"):
            self._take_apart_url()
        if self._refuse_large_head():
            return
        self.deadline = self._loop.time() + limits.BODY_SECONDS
        rule = self._handler.body_rule(self._method, self._path, self._headers)
        expects = self._headers.get(b"expect", b"").lower() == b"100-continue"
        if rule is None or isinstance(rule, Refusal):
            self._unread = rule or NO_ROOM
            if expects:
                self._refuse_with(rule or refusal("OVERLOADED", headers=_CLOSE))
            return
        if isinstance(rule, Discard):
            self._unread = rule
            rule = rule.limit
        self._limit = rule
        if int(self._headers.get(b"content-length", b"0")) > self._limit:
            if expects:
                self._refuse("BODY_TOO_LARGE")
            else:
                self._drain()
        elif expects and not (self._answering or self._waiting):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._is_over:
            return
        self._made, self._unmade_bytes = self._made + 1, 0
        if isinstance(self._unread, Discard) and not self._is_draining:
            self._discarded += len(body)
            if self._discarded > self._limit:
                self._drain()
            return
        if self._is_draining or self._unread is not None:
            self._drained += len(body) + limits.PIECE_BYTES
            if self._drained > limits.DRAIN_BYTES:
                self._refuse("BODY_TOO_LARGE")
            return
        self._body += body
        self._connections.hold(self, len(body))
        if len(self._body) > self._limit:
            self._drain()

    def on_message_complete(self) -> None:
        if self._is_over or self._parser.should_upgrade():
            return
        if self._is_draining:
            self._refuse("BODY_TOO_LARGE")
            return
        if len(self._waiting) >= limits.PIPELINED:
            self._refuse("OVERLOADED")
            return
        self._is_within = False
        self.deadline = math.inf
        keeps_alive = self._parser.should_keep_alive() and (
            # HTTP/1.0 needs a header for it, and does not get it either way.
            b"connection" not in self._headers or self._parser.get_http_version() == "1.1"
        )
        self._is_over = not keeps_alive
        # HEAD goes on to be refused as a request, for its answer must have no body.
        if isinstance(self._unread, Refusal | Answer) and self._method != "HEAD":
            self._waiting.append(self._unread)
            return
        self._waiting.append(
            Request(self._method, self._path, self._query, self._headers, bytes(self._body), self._client, keeps_alive)
        )

    # Reading.

    def _begin_parsing(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # Data behind a request that says "Connection: close" is no error of that request.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _take_apart_url(self) -> None:
        try:
            parts = httptools.parse_url(self._url)
            self._path, self._query = parts.path or b"/", parts.query or b""
        except httptools.HttpParserInvalidURLError:
            pass  # `*`, or the HOST:PORT of CONNECT: a path that leads nowhere.

    def _refuse_large_head(self) -> bool:
        is_large = self._header_count > limits.HEADERS or self._header_bytes + len(self._url) > limits.HEAD_BYTES
        if is_large:
            self._refuse("HEAD_TOO_LARGE")
        return is_large

    def _drain(self) -> None:
        self._is_draining = True
        self._drained = len(self._body)
        self._connections.hold(self, -len(self._body))
        self._body.clear()
        self.deadline = self._loop.time() + limits.DRAIN_SECONDS

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the head again as if no upgrade had been offered, and then the rest.

        A server may ignore the offer (`Upgrade: h2c`, as `curl --http2` sends it), says RFC 9110, section 7.8. The
        parser instead ends the message at its head: the body would be lost, or taken for a request of its own.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":  # It is nothing but an upgrade.
            self._refuse("HTTP_MALFORMED")
            return
        head = [b"%s %s HTTP/%s" % (method, self._url, self._parser.get_http_version().encode())]
        head += [b"%s: %s" % header for header in self._headers.items() if header[0] != b"upgrade"]
        self._begin_parsing()
        self.data_received(b"\r\n".join(head) + b"\r\n\r\n" + rest)

    def _refuse(self, reason: str) -> None:
        """Answer with an error behind what is under way, and close."""
        self._refuse_with(refusal(reason, headers=_CLOSE, limit=self._limit))

    def _refuse_with(self, refused: Refusal) -> None:
        if not self._is_over:
            # What is not read of the request would be taken for the next one.
            self._is_over = True
            self.deadline = math.inf
            self._waiting.append(refused)

    # Answering.

    def _answer_next(self) -> None:
        if self._answering is None and self._waiting and not self._is_paused:
            answering = self._answering = self._waiting.popleft()
            if isinstance(answering, Answer):
                # Until it is told, it may be cut off to make room for others.
                if not self._is_within:
                    self.deadline = self._loop.time() + limits.IDLE_SECONDS
                self._handler.turn_away(self._respond)
            elif isinstance(answering, Refusal):
                self._handler.refuse(answering, self._respond)
            else:
                abandon = self._handler.handle(answering, self._respond)
                if self._answering is answering:
                    self._abandon = abandon
        if self._waiting and not self._transport.is_closing():
            # The parser went on to the end of what it was given; what is still on its way can wait.
            self._transport.pause_reading()

    def _respond(self, answer: Answer) -> None:
        answered, self._answering, self._abandon = self._answering, None, None
        if self._transport.is_closing():
            return
        is_last = self._is_over and not self._waiting
        closes = "connection" in answer.headers or is_last or (self._connections.is_stopping and not self._waiting)
        is_head = isinstance(answered, Request) and answered.method == "HEAD"
        if answer is NO_ROOM and not (closes or is_head):
            response = no_room_bytes(self._connections.date)
        else:
            response = response_bytes(answer, self._connections.date, closes=closes, is_head=is_head)
        self._transport.write(response)
        if closes:
            self._is_over = True
            self._close()
        elif self._waiting:
            self._loop.call_soon(self._answer_next)
        elif not self._is_paused:
            self._rest()

    def _close(self) -> None:
        """Close when what was written is taken."""
        self._transport.close()
        self.deadline = self._loop.time() + limits.BODY_SECONDS

    def _rest(self) -> None:
        """Read on where nothing is to be answered."""
        if not (self._answering or self._waiting or self._transport.is_closing()):
            if self.held:
                self._connections.hold(self, (len(self._body) if self._is_within else 0) - self.held)
            self._transport.resume_reading()
            if not self._is_within:
                self.deadline = self._loop.time() + limits.IDLE_SECONDS
