"""HTTP/1.1 on one connection: bytes to requests, answers to bytes, with bounds on size and time.

The bodies of this API are read whole and answered whole, which is all that is done here: a framework that streams them
costs a third of an update's CPU time. The parser is httptools (llhttp), which is strict about what frames a message.
"""

import asyncio
import functools
import math
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import httptools
import structlog

from gateway import head, limits
from gateway.answer import NO_ROOM, Answer
from gateway.connections import Connections
from gateway.handler import Discard, Handler
from gateway.outgoing import Outgoing
from gateway.request import Request
from gateway.response import no_room_bytes, response_bytes
from gateway.status import Refusal, refusal
from processes import logs

_CLOSE: Final = {"connection": "close"}

_log = structlog.get_logger("userfold.gateway")


@dataclass(slots=True)
class _Refused:
    """A request that is answered without being handled."""

    by: Refusal | Answer
    method: str
    body: bytes = b""


class HttpConnection(asyncio.Protocol):
    """One connection. Requests that are sent without waiting for answers are answered in their order."""

    def __init__(self, handler: Handler, connections: Connections) -> None:
        self._handler = handler
        self._connections = connections
        self._clock = connections.clock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast(Any, None)
        self._client = ""
        self._host = b""
        """The last that was found valid."""
        self._waiting: deque[Request | _Refused] = deque()
        self._answering: Request | _Refused | None = None
        self._abandon: Callable[[], object] | None = None
        self._is_over = False
        """No further request is read."""
        self._must_end = False
        """Behind what is being written."""
        self._is_ending = False
        """Nothing more is written, and what is still sent is thrown away."""
        self._client_has_ended = False
        self._stopped_reading: float | None = None
        """When: it begins again where nothing is to be answered."""
        self.since = self.deadline = math.inf
        self._arrives_since = self._arrives_until = 0.0
        """The `since` and `deadline` of what is within. It stands still while nothing is read."""
        self._made = 0
        """How often something was made of what arrived."""
        self.held = 0
        """Bytes: of bodies that are not answered, and of answers that are not taken."""
        self._begin_parsing()
        self.on_message_begin()
        self._is_within = False
        """A request has begun to arrive, and not yet ended."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outgoing = Outgoing(self._transport, functools.partial(self._connections.hold, self))
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
        if self._is_ending:
            self._wait(limits.LINGER_SECONDS)
        elif self._answering or self._waiting:
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
        self._let_arrive(limits.HEAD_SECONDS)

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
        if rule is None or isinstance(rule, Refusal):
            self._unread = rule or NO_ROOM
            # The connection goes on if the body passes soon.
            self._let_arrive(limits.DRAIN_SECONDS)
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
        elif expects:
            self._must_continue = True
            self._let_continue()

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
        self._is_within = self._must_continue = False
        self.since = self.deadline = math.inf
        # HTTP/1.0 needs a header for it, and does not get it either way.
        keeps_alive = self._version == "1.1" and self._parser.should_keep_alive()
        self._is_over = not keeps_alive
        if isinstance(self._unread, Refusal | Answer):
            self._waiting.append(_Refused(self._unread, self._method))
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
        self._version = self._parser.get_http_version()
        if self._version not in ("1.1", "1.0"):
            return "HTTP_MALFORMED"
        found = head.path_and_query(self._method, self._url)
        if found is None:
            return "HTTP_MALFORMED"
        self._path, self._query = found
        host = self._headers.get(b"host")
        if host is None:
            if self._version == "1.1":
                return "HOST_INVALID"
        elif self._repeated == b"host" or not (host == self._host or head.is_host(host)):
            return "HOST_INVALID"
        else:
            self._host = host
        encoding = self._headers.get(b"transfer-encoding")
        return None if encoding is None else head.fault_of_transfer_encoding(encoding, self._version)

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
            self._waiting.append(_Refused(refused, self._method if self._has_head else ""))

    def _stop_reading(self) -> None:
        if self._stopped_reading is None:
            self._stopped_reading = self._clock()
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._stopped_reading is not None:
            seconds = self._clock() - self._stopped_reading
            self._arrives_since += seconds
            self._arrives_until += seconds
            self._stopped_reading = None
            self._transport.resume_reading()

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
                # Until it is told, it may be cut off to make room for others.
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
            self._connections.hold(self, -len(answered.body))
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
        self._read_on()
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
            self._read_on()
            if self._is_within:
                self.since, self.deadline = self._arrives_since, self._arrives_until
                self._let_continue()
            else:
                self._wait(limits.QUIET_SECONDS if self._connections.is_closing else limits.IDLE_SECONDS)

    # Waiting for the client.

    def _wait(self, seconds: float) -> None:
        self.since = now = self._clock()
        self.deadline = now + seconds

    def _let_arrive(self, seconds: float) -> None:
        """Set how long what is within may take to arrive from now on."""
        self.since = self._arrives_since = now = self._clock()
        self.deadline = self._arrives_until = now + seconds

    def _wait_until_taken(self) -> None:
        """Wait for the client to take some of what is written, or all where it is little."""
        self._wait(limits.TAKE_SECONDS)
        self._outgoing.begin_period()
