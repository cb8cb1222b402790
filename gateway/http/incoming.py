"""The receiving side of a connection: bytes become requests, with limits on their size.

The bodies of this API are read whole. The parser is httptools (llhttp), which is strict about the framing of messages.
"""

import asyncio
import functools
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import httptools

from gateway.http import head, limits
from gateway.http.connection_pool import Connections
from gateway.http.handler import Body, Exchange, Handler
from gateway.http.messages import Fault, Rejection, Request

Queued: TypeAlias = tuple[Exchange, Request]
"""A request that is not answered yet, with its exchange."""


class Incoming(asyncio.Protocol, ABC):
    """The side of a connection that reads: appends each request to the queue of those that are not answered yet."""

    def __init__(self, handler: Handler, connections: Connections) -> None:
        self._handler = handler
        self._connections = connections
        self._clock = connections.clock
        # `self` is a whole connection: this class is one of its two sides.
        self._hold: Callable[[int], None] = functools.partial(connections.hold, cast(Any, self))
        self._transport: asyncio.Transport = cast(Any, None)
        self._client = ""
        self._host = b""
        """The last Host that was found valid."""
        self._queue: deque[Queued] = deque()
        self._answering: Queued | None = None
        self._has_last = False
        """No further request is read."""
        self._is_ending = False
        """Nothing more is written, and what the client still sends is discarded."""
        self.since = self.deadline = math.inf
        self._arrives_since = self._arrives_until = 0.0
        """The `since` and `deadline` of the request that is being read. They stand still while reading is paused."""
        self._progress = 0
        """How often the parser has completed a part of a request."""
        self.held = 0
        """Bytes: of bodies that are not answered, and of responses that the client has not received."""
        self._begin_parsing()
        self.on_message_begin()
        self._is_within = False
        """A request has begun to arrive, and has not ended."""

    @abstractmethod
    def _answer_next(self) -> None:
        """Answer the queued requests, as far as that is possible now."""

    @abstractmethod
    def _send_continue(self) -> None:
        """Send `100 Continue` if a client waits for it and all earlier requests are answered."""

    def data_received(self, data: bytes) -> None:
        if self._has_last:
            if self._is_ending:
                self._discard(data)
            return
        progress, was_within = self._progress, self._is_within
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(rest=data[offer.args[0] :])
        except httptools.HttpParserCallbackError as error:
            # A defect of ours: the parser would blame the request for it.
            self._reject(Fault.DEFECT, error.__context__ or error)
        except httptools.HttpParserError:
            self._reject(Fault.MALFORMED)
        if self._progress == progress and self._is_within == was_within:
            # Empty lines between requests; or an unfinished header or trailer, which the parser buffers; or an
            # extension of a chunk, which it discards.
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > limits.HEAD_BYTES:
                self._reject(Fault.HEAD_TOO_LARGE)
        self._answer_next()

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self._has_last:
            return
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._progress += 1
        self._unparsed_bytes = self._header_count = self._header_bytes = self._drained = self._discarded = 0
        self._exchange: Exchange | None = None
        """Begun by a complete head."""
        self._limit = 0
        self._is_within, self._has_head, self._is_draining = True, False, False
        self._owes_continue = False
        self._repeated: bytes | None = None
        """A header that was sent twice, and must not be."""
        self.since = self._arrives_since = now = self._clock()
        self.deadline = self._arrives_until = now + limits.HEAD_SECONDS

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        if self._has_head:
            # A trailer is ignored: a proxy does not remove from trailers what it removes from headers.
            self._reject_large_head()
        elif name not in self._headers:
            # The parser keeps trailing blanks and tabs.
            self._headers[name] = value.rstrip()
        elif name in head.LISTS:
            self._headers[name] += head.LISTS[name] + value.rstrip()
        elif name in head.ONCE and (self._repeated is None or name == b"host"):
            self._repeated = name

    def on_headers_complete(self) -> None:
        if self._has_last or self._parser.should_upgrade():
            return
        self._has_head = True
        self._progress, self._unparsed_bytes = self._progress + 1, 0
        self._method = self._parser.get_method().decode("ascii")
        if self._reject_large_head():
            return
        if fault := self._fault_of_head():
            self._reject(fault)
            return
        self._limit_arrival(limits.BODY_SECONDS)
        if self._repeated is None:
            exchange = self._handler.begin(self._method, self._path, self._headers)
        else:
            exchange = self._handler.reject(Rejection(head.ONCE[self._repeated]))
        self._exchange = exchange
        self._limit = exchange.body_limit
        expect = self._headers.get(b"expect")
        expects = expect is not None and self._version != "1.0" and head.expects_continue(expect)
        if exchange.body is Body.UNWANTED:
            # The connection stays open if the body ends soon.
            self._limit_arrival(limits.DRAIN_SECONDS)
            if expects:
                self._end_with(exchange)
        elif int(self._headers.get(b"content-length", b"0")) > self._limit:
            if expects:
                self._reject(Fault.BODY_TOO_LARGE)
            else:
                self._drain()
        elif expects:
            self._owes_continue = True
            self._send_continue()

    def on_body(self, body: bytes) -> None:
        if self._has_last or self._exchange is None:
            return
        self._progress, self._unparsed_bytes = self._progress + 1, 0
        if self._is_draining or self._exchange.body is Body.UNWANTED:
            self._drained += len(body) + limits.PIECE_BYTES
            if self._drained > limits.DRAIN_BYTES:
                self._reject(Fault.BODY_TOO_LARGE)
        elif self._exchange.body is Body.KEPT:
            self._body += body
            self._hold(len(body))
            if len(self._body) > self._limit:
                self._drain()
        else:
            self._discarded += len(body)
            if self._discarded > self._limit:
                self._drain()

    def on_message_complete(self) -> None:
        if self._has_last or self._exchange is None:
            return
        if self._is_draining:
            self._reject(Fault.BODY_TOO_LARGE)
            return
        if len(self._queue) >= limits.PIPELINED:
            self._reject(Fault.TOO_MANY_PIPELINED)
            return
        self._is_within = self._owes_continue = False
        self.since = self.deadline = math.inf
        # A connection of HTTP/1.0 always closes.
        self._has_last = not (self._keeps_alive and self._version == "1.1")
        request = Request(self._method, self._path, self._query, self._headers, bytes(self._body), self._client)
        self._queue.append((self._exchange, request))
        # An idle connection must not keep its last request in memory.
        self._exchange, self._headers = None, {}
        self._body.clear()

    # Reading.

    def _begin_parsing(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # Data after a request with "Connection: close" does not make that request malformed.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _fault_of_head(self) -> Fault | None:
        """Why the head is refused and the connection closed. Sets the version, the path and the query."""
        headers = self._headers
        self._keeps_alive = self._parser.should_keep_alive()
        if self._keeps_alive and b"connection" not in headers and b"proxy-connection" not in headers:
            version = "1.1"  # The only one that keeps a connection by default. This saves asking the parser.
        else:
            version = self._parser.get_http_version()
        self._version = version
        if version != "1.1" and version != "1.0":
            return Fault.MALFORMED
        self._path, _, self._query = self._url.partition(b"?")
        if self._url[:1] != b"/" or b"#" in self._url:
            target = head.path_and_query(self._method, self._url)
            if target is None:
                return Fault.MALFORMED
            self._path, self._query = target
        host = headers.get(b"host")
        if host != self._host or self._repeated == b"host" or not host:
            if host is None:
                if version == "1.1":
                    return Fault.HOST_INVALID
            elif self._repeated == b"host" or not head.is_host(host):
                return Fault.HOST_INVALID
            else:
                self._host = host
        if b"transfer-encoding" in headers:
            return head.fault_of_transfer_encoding(headers[b"transfer-encoding"], version)
        return None

    def _reject_large_head(self) -> bool:
        is_large = self._header_count > limits.HEADERS or self._header_bytes + len(self._url) > limits.HEAD_BYTES
        if is_large:
            self._reject(Fault.HEAD_TOO_LARGE)
        return is_large

    def _drain(self) -> None:
        """Discard a body that is too large: a client that is still sending could not receive the response."""
        self._is_draining = True
        self._drained = len(self._body)
        self._hold(-len(self._body))
        self._body.clear()
        self._limit_arrival(limits.DRAIN_SECONDS)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the head again without its offer to upgrade (`Upgrade: h2c`, as `curl --http2` sends it), and the rest.

        A server may ignore the offer (RFC 9110, section 7.8). The parser instead ends the message at its head: the
        body would be lost, or read as a request of its own.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":  # It is nothing but an upgrade.
            self._reject(Fault.MALFORMED)
            return
        start = b"%s %s HTTP/%s" % (method, self._url, self._parser.get_http_version().encode())
        repeated = [(self._repeated, self._headers[self._repeated])] if self._repeated else []
        self._begin_parsing()
        self.data_received(head.without_upgrade(start, [*self._headers.items(), *repeated]) + rest)

    def _discard(self, data: bytes) -> None:
        """Discard what the client sends after the last request."""
        self._drained += len(data) + limits.PIECE_BYTES
        if self._drained > limits.DRAIN_BYTES:
            self._transport.abort()

    def _reject(self, fault: Fault, cause: BaseException | None = None) -> None:
        """Refuse the request that is being read, after those before it are answered, and close the connection."""
        self._end_with(self._handler.reject(Rejection(fault, self._limit, cause)))

    def _end_with(self, exchange: Exchange) -> None:
        """Make this the last exchange: the unread rest of the request would be taken for the next one."""
        if not self._has_last:
            self._has_last = True
            self.since = self.deadline = math.inf
            # Only the head is known of it, or nothing.
            request = Request(self._method, b"", headers=self._headers) if self._has_head else Request("", b"")
            request.client = self._client
            self._queue.append((exchange, request))

    def _limit_arrival(self, seconds: float) -> None:
        """Set how long the rest of the request may take to arrive."""
        self.since = self._arrives_since = now = self._clock()
        self.deadline = self._arrives_until = now + seconds
