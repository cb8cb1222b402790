"""A connection as its client sees it, with a transport, an application and a clock that the test controls."""

import asyncio
import math
import re
from typing import Any

import orjson

from gateway.errors.answer import NO_ROOM, answer_from_refusal
from gateway.errors.rendering import Refusal
from gateway.errors.reports import answer_from_rejection
from gateway.http.connection import HttpConnection
from gateway.http.connection_pool import Connections
from gateway.http.handler import Body, Respond
from gateway.http.messages import Rejection, Request, Response
from tests.gateway.messages import reasons

POST = b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n" + b'{"user_id":"1"}'
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
LIMIT = 100


class FakeTransport:
    """Keeps what is written, until it is closed."""

    def __init__(self) -> None:
        self.written = b""
        self.writes = 0
        self.has_ended = False
        self.is_closed = False
        self.reading = True
        self.aborted = False
        self.pending = 0
        self.is_tls = False

    @property
    def closed(self) -> bool:
        """Whether nothing more can be written."""
        return self.has_ended or self.is_closed

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes += 1
        self.written += data

    def write_eof(self) -> None:
        assert not self.is_tls
        self.has_ended = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.pending

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("192.0.2.1", 4711), "sslcontext": self.is_tls or None}.get(name)


JSON = {"content-type": "application/json"}


class FakeExchange:
    """Keeps the request in the handler until the test answers it; or responds immediately, if it is `refused_with`."""

    def __init__(
        self, handler: "FakeHandler", body: Body, body_limit: int, refused_with: Response | None = None
    ) -> None:
        self.body = body
        self.body_limit = body_limit
        self._handler = handler
        self._refused_with = refused_with
        self._path = b""

    def handle(self, request: Request, respond: Respond) -> None:
        if self._refused_with is not None:
            respond(self._refused_with)
            return
        self._path = request.path
        self._handler.take(request, respond)

    def abandon(self) -> None:
        self._handler.abandoned.append(self._path)


class TurnedAwayExchange(FakeExchange):
    """A request for which there is no room."""

    def handle(self, request: Request, respond: Respond) -> None:
        self._handler.turn_away(respond)


class FakeHandler:
    """Keeps the requests, which the test answers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.is_full = False
        self.abandoned: list[bytes] = []
        self.body = Body.KEPT
        self.body_limit = LIMIT
        self.refused_with: Response | None = None
        self._respond: list[Respond] = []

    def begin(self, method: str, path: bytes, headers: object) -> FakeExchange:
        if self.is_full:
            return TurnedAwayExchange(self, Body.UNWANTED, 0)
        return FakeExchange(self, self.body, self.body_limit, self.refused_with)

    def reject(self, rejection: Rejection) -> FakeExchange:
        return FakeExchange(self, Body.UNWANTED, 0, answer_from_rejection(rejection).response)

    def turn_away(self, respond: Respond) -> None:
        respond(NO_ROOM.response)

    def stop(self) -> None:
        pass

    async def finished(self) -> None:
        pass

    def take(self, request: Request, respond: Respond) -> None:
        """Keep a request."""
        self.requests.append(request)
        self._respond.append(respond)

    def refuse_all(self, refused: Refusal) -> None:
        """Refuse each request from its head."""
        self.body, self.refused_with = Body.UNWANTED, answer_from_refusal(refused).response

    async def answer(self, response: Response | None = None) -> None:
        """Answer the oldest request, and run the callbacks that follow."""
        self._respond.pop(0)(response or Response(200, JSON, b"[]"))
        await asyncio.sleep(0)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Peer:
    """A connection, as its client sees it."""

    def __init__(self, *, is_tls: bool = False) -> None:
        self.handler = FakeHandler()
        self.clock = Clock()
        self.connections = Connections(100, clock=self.clock)
        self.connections.tick("DATE")
        self.transport = FakeTransport()
        self.transport.is_tls = is_tls
        self.connection = HttpConnection(self.handler, self.connections)
        transport: Any = self.transport
        self.connection.connection_made(transport)

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    @property
    def statuses(self) -> list[int]:
        """The statuses of the responses so far."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.transport.written)]

    @property
    def reasons(self) -> list[str]:
        """The reasons in the last response."""
        return reasons(orjson.loads(self.transport.written.rpartition(b"\r\n\r\n")[2]))

    def pass_deadline(self) -> None:
        """Pass the deadline of the connection."""
        assert self.connection.deadline < math.inf
        self.clock.now = self.connection.deadline
        self.wait(1)

    def wait(self, seconds: float) -> None:
        """Let time pass, and the connection notice it."""
        self.clock.now += seconds
        self.connections.tick("DATE")
