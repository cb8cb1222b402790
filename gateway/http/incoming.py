"""What arrives on a connection: bytes to requests, with bounds on their size.

The bodies of this API are read whole. The parser is httptools (llhttp), which is strict about what frames a message.
"""

import asyncio
import functools
import math
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import httptools
import structlog

from gateway.errors.answer import NO_ROOM, Answer
from gateway.errors.rendering import Refusal, refusal
from gateway.http import head, limits
from gateway.http.connection_pool import Connections
from gateway.http.handler import Discard, Handler
from gateway.http.request import Request
from runtime import logs

_CLOSE: Final = {"connection": "close"}

_log = structlog.get_logger("userfold.gateway")


@dataclass(slots=True)
class Refused:
    """A request that is answered without being handled."""

    by: Refusal | Answer
    method: str
    body: bytes = b""


class Incoming(asyncio.Protocol, ABC):
    """The side of a connection that reads: puts each request, or why there is none, behind those that wait for their
    answers.
    """

    def __init__(self, handler: Handler, connections: Connections) -> None:
        self._handler = handler
        self._connections = connections
        self._clock = connections.clock
        # What reads, and what answers, are one connection.
        self._hold: Callable[[int], None] = functools.partial(connections.hold, cast(Any, self))
        self._transport: asyncio.Transport = cast(Any, None)
        self._client = ""
        self._host = b""
        """The last that was found valid."""
        self._waiting: deque[Request | Refused] = deque()
        self._answering: Request | Refused | None = None
        self._is_over = False
        """No further request is read."""
        self._is_ending = False
        """Nothing more is written, and what is still sent is thrown away."""
        self.since = self.deadline = math.inf
        self._arrives_since = self._arrives_until = 0.0
        """The `since` and `deadline` of what is within. They stand still while nothing is read."""
        self._made = 0
        """How often something was made of what arrived."""
        self.held = 0
        """Bytes: of bodies that are not answered, and of answers that are not taken."""
        self._begin_parsing()
        self.on_message_begin()
        self._is_within = False
        """A request has begun to arrive, and not yet ended."""

    @abstractmethod
    def _answer_next(self) -> None:
        """Answer what waits, as far as it can be answered now."""

    @abstractmethod
    def _let_continue(self) -> None:
        """Ask for a body whose client waits for that, behind earlier answers."""

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            if self._is_ending:
                self._throw_away(data)
            return
        made, was_within = self._made, self._is_within
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(rest=data[offer.args[0] :])
        except httptools.HttpParserCallbackError as error:
            self._refuse_for_defect(error)
        except httptools.HttpParserError:
            self._refuse("HTTP_MALFORMED")
        if self._made == made and self._is_within == was_within:
            # Empty lines between requests. Or the parser keeps a header, also one behind the body, to itself until it
            # has the whole; what goes with a chunk besides its size, it throws away.
            self._unmade_bytes += len(data)
            if self._unmade_bytes > limits.HEAD_BYTES:
                self._refuse("HEAD_TOO_LARGE")
        self._answer_next()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._is_over:
            return
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._made += 1
        self._limit = self._unmade_bytes = self._header_count = self._header_bytes = self._drained = 0
        self._discarded = 0
        self._is_within, self._has_head, self._is_draining = True, False, False
        self._must_continue = False
        """`100 Continue` is owed."""
        self._repeated: bytes | None = None
        """A header that came twice, and must not."""
        self._unread: Discard | Refusal | Answer | None = None
        """Why the body is not kept: it is not wanted, or this is the answer."""
        self.since = self._arrives_since = now = self._clock()
        self.deadline = self._arrives_until = now + limits.HEAD_SECONDS

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
            # The parser leaves blanks and tabs behind a value.
            self._headers[name] = value.rstrip()
        elif name in head.LISTS:
            self._headers[name] += head.LISTS[name] + value.rstrip()
        elif name in head.ONCE and (self._repeated is None or name == b"host"):
            self._repeated = name

    def on_headers_complete(self) -> None:
        if self._is_over or self._parser.should_upgrade():
            return
        self._has_head = True
        self._made, self._unmade_bytes = self._made + 1, 0
        self._method = self._parser.get_method().decode("ascii")
        if self._refuse_large_head():
            return
        if fault := self._fault_of_head():
            self._refuse(fault)
            return
        self._let_arrive(limits.BODY_SECONDS)
        rule = (
            self._handler.body_rule(self._method, self._path, self._headers)
            if self._repeated is None
            else refusal(head.ONCE[self._repeated])
        )
        expect = self._headers.get(b"expect")
        expects = expect is not None and self._version != "1.0" and head.expects_continue(expect)
        if not isinstance(rule, int):
            if not isinstance(rule, Discard):
                self._unread = rule or NO_ROOM
                # The connection goes on if the body passes soon.
                self._let_arrive(limits.DRAIN_SECONDS)
                if expects:
                    self._refuse_with(rule or refusal("OVERLOADED", headers=_CLOSE))
                return
            self._unread = rule
            rule = rule.limit
        self._limit = rule
        if int(self._headers.get(b"content-length", b"0")) > self._limit:
            if expects:
                self._refuse("BODY_TOO_LARGE")
            else:
                self._drain()
        elif expects:
            self._must_continue = True
            self._let_continue()

    def on_body(self, body: bytes) -> None:
        if self._is_over:
            return
        self._made, self._unmade_bytes = self._made + 1, 0
        if self._unread is not None or self._is_draining:
            self._pass_over(body)
            return
        self._body += body
        self._hold(len(body))
        if len(self._body) > self._limit:
            self._drain()

    def _pass_over(self, body: bytes) -> None:
        if isinstance(self._unread, Discard) and not self._is_draining:
            self._discarded += len(body)
            if self._discarded > self._limit:
                self._drain()
            return
        self._drained += len(body) + limits.PIECE_BYTES
        if self._drained > limits.DRAIN_BYTES:
            self._refuse("BODY_TOO_LARGE")

    def on_message_complete(self) -> None:
        if self._is_over or self._parser.should_upgrade():
            return
        if self._is_draining:
            self._refuse("BODY_TOO_LARGE")
            return
        if len(self._waiting) >= limits.PIPELINED:
            self._refuse("OVERLOADED")
            return
        self._is_within = self._must_continue = False
        self.since = self.deadline = math.inf
        # HTTP/1.0 needs a header for it, and does not get it either way.
        keeps_alive = self._keeps_alive and self._version == "1.1"
        self._is_over = not keeps_alive
        if self._unread is not None and not isinstance(self._unread, Discard):
            self._waiting.append(Refused(self._unread, self._method))
            return
        self._waiting.append(
            Request(self._method, self._path, self._query, self._headers, bytes(self._body), self._client, keeps_alive)
        )

    # Reading.

    def _begin_parsing(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # Data behind a request that says "Connection: close" is no error of that request.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _fault_of_head(self) -> str | None:
        """The reason to refuse a request and to close, for its head alone."""
        headers = self._headers
        self._keeps_alive = self._parser.should_keep_alive()
        if self._keeps_alive and b"connection" not in headers and b"proxy-connection" not in headers:
            version = "1.1"  # The only one with which a connection stays by itself. To ask takes half a microsecond.
        else:
            version = self._parser.get_http_version()
        self._version = version
        if version != "1.1" and version != "1.0":
            return "HTTP_MALFORMED"
        self._path, _, self._query = self._url.partition(b"?")
        if self._url[:1] != b"/" or b"#" in self._url:
            found = head.path_and_query(self._method, self._url)
            if found is None:
                return "HTTP_MALFORMED"
            self._path, self._query = found
        host = headers.get(b"host")
        if host != self._host or self._repeated == b"host" or not host:
            if host is None:
                if version == "1.1":
                    return "HOST_INVALID"
            elif self._repeated == b"host" or not head.is_host(host):
                return "HOST_INVALID"
            else:
                self._host = host
        if b"transfer-encoding" in headers:
            return head.fault_of_transfer_encoding(headers[b"transfer-encoding"], version)
        return None

    def _refuse_large_head(self) -> bool:
        is_large = self._header_count > limits.HEADERS or self._header_bytes + len(self._url) > limits.HEAD_BYTES
        if is_large:
            self._refuse("HEAD_TOO_LARGE")
        return is_large

    def _drain(self) -> None:
        self._is_draining = True
        self._drained = len(self._body)
        self._hold(-len(self._body))
        self._body.clear()
        self._let_arrive(limits.DRAIN_SECONDS)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the head again as if no upgrade had been offered, and then the rest.

        A server may ignore the offer (`Upgrade: h2c`, as `curl --http2` sends it), says RFC 9110, section 7.8. The
        parser instead ends the message at its head: the body would be lost, or taken for a request of its own.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":  # It is nothing but an upgrade.
            self._refuse("HTTP_MALFORMED")
            return
        lines = [b"%s %s HTTP/%s" % (method, self._url, self._parser.get_http_version().encode())]
        for name, value in self._headers.items():
            if name != b"upgrade":
                lines += [b"%s: %s" % (name, line) for line in value.split(b"\n")]
        if self._repeated:
            lines.append(b"%s: %s" % (self._repeated, self._headers[self._repeated]))
        self._begin_parsing()
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _throw_away(self, data: bytes) -> None:
        self._drained += len(data) + limits.PIECE_BYTES
        if self._drained > limits.DRAIN_BYTES:
            self._transport.abort()

    def _refuse_for_defect(self, error: BaseException) -> None:
        """Answer for a fault of ours, which the parser would tell as one of the client's."""
        error_id = uuid.uuid4().hex
        cause = error.__context__ or error
        _log.error("defect", error_id=error_id, route="none", traceback=logs.locations(cause))
        self._refuse_with(refusal("INTERNAL", headers=_CLOSE, error_id=error_id))

    def _refuse(self, reason: str) -> None:
        """Answer with an error behind what is under way, and close."""
        self._refuse_with(refusal(reason, headers=_CLOSE, limit=self._limit))

    def _refuse_with(self, refused: Refusal | Answer) -> None:
        if not self._is_over:
            # What is not read of the request would be taken for the next one.
            self._is_over = True
            self.since = self.deadline = math.inf
            self._waiting.append(Refused(refused, self._method if self._has_head else ""))

    def _let_arrive(self, seconds: float) -> None:
        """Set how long what is within may take to arrive from now on."""
        self.since = self._arrives_since = now = self._clock()
        self.deadline = self._arrives_until = now + seconds
