"""Which connections are cut off when there are too many, or they hold too much."""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvloop
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.http import limits
from gateway.http.connection import HttpConnection
from gateway.http.connection_pool import Connections
from gateway.http.handshake import Handshake
from gateway.http.limits import HELD_BYTES
from gateway.http.listener import connection_limit
from tests.gateway.fakes import FakeUserService
from tests.gateway.http.peer import POST, Clock, FakeHandler, FakeTransport
from tests.gateway.running import Backend, Gateway, running_gateway
from tests.support.waiting import until

LIMIT = 64

# With a credential: without one, a request is refused from its head.
KNOWN = POST.replace(b"\r\n", b"\r\nX-Moesif-Application-Id: key\r\n", 1)


class FakeConnection:
    """Keeps whether it was cut off. It has waited for its client since `since`."""

    def __init__(self, connections: Connections, since: float, held: int = 0, *, is_sending: bool = False) -> None:
        self.since = since
        self.deadline = since + 75
        self.held = 0
        self.is_sending = is_sending
        self.receives_at: float | None = None
        self.is_cut = False
        self.error: Exception | None = None
        connections.open.add(self)
        connections.hold(self, held)

    def note_progress(self) -> None:
        self.since = self.receives_at or self.since

    def expire(self) -> None:
        self.deadline = math.inf
        if self.error:
            raise self.error

    def stop(self) -> None: ...

    def abort(self) -> None:
        self.is_cut = True


async def test_the_connections_that_have_waited_longest_for_their_clients_make_room() -> None:
    """Whatever they wait for, and however long they may still wait."""
    connections = Connections(limit=LIMIT)
    opened = [FakeConnection(connections, since) for since in range(LIMIT)]
    opened[0].deadline = math.inf
    opened[1].receives_at = 1000.0
    opened[2].deadline = 10_000.0
    assert connections.make_room()
    assert [each for each in opened if each.is_cut] == opened[2:4]
    assert len(connections.open) == LIMIT - 2


async def test_there_is_no_room_where_all_clients_wait_for_us() -> None:
    connections = Connections(limit=2)
    opened = [FakeConnection(connections, math.inf) for _ in range(2)]
    assert not connections.make_room()
    assert not any(each.is_cut for each in opened)
    connections.remove(opened[0])
    assert connections.make_room()


async def test_held_bytes_have_a_limit() -> None:
    connections = Connections(limit=9, held_limit=100)
    busy = FakeConnection(connections, math.inf, 40)
    first, second, empty = (FakeConnection(connections, *each) for each in ((5.0, 30), (9.0, 30), (1.0, 0)))
    connections.hold(second, 1)
    assert [each.is_cut for each in (busy, first, second, empty)] == [False, True, False, False]
    connections.hold(second, 29)
    connections.hold(busy, -40)
    connections.hold(empty, 39)
    assert [each.is_cut for each in (second, empty)] == [False, False]


async def test_a_response_is_not_cut_off_while_its_client_receives_it() -> None:
    clock = Clock()
    connections = Connections(limit=9, held_limit=100, clock=clock)
    taking = [FakeConnection(connections, clock.now - age, 40, is_sending=True) for age in (90.0, 80.0)]
    for each in taking:
        each.receives_at = clock.now
    body = FakeConnection(connections, clock.now, 21)
    assert [each.is_cut for each in (*taking, body)] == [False, False, True]
    # Nor does a further response cut one off: it is not begun where there is no room for it.
    assert not connections.has_room(21)
    last = FakeConnection(connections, clock.now, 21, is_sending=True)
    assert not any(each.is_cut for each in (*taking, last))
    # But a response whose client has stopped receiving is cut off.
    clock.now += limits.SLOW_SECONDS
    taking[0].receives_at = last.receives_at = clock.now
    assert connections.has_room(21)
    assert [each.is_cut for each in (*taking, last)] == [False, True, False]


async def test_a_connection_that_fails_to_expire_is_logged_once_and_stops_no_other() -> None:
    clock = Clock()
    connections = Connections(limit=9, clock=clock)
    opened = [FakeConnection(connections, number) for number in range(5)]
    opened[1].error = opened[3].error = RuntimeError("john@acmeinc.com")
    with capture_logs() as logs:
        connections.tick("DATE")
    assert [each.deadline for each in opened] == [math.inf] * 5
    assert [each.is_cut for each in opened] == [False, True, False, True, False]
    assert [(each["event"], each["connections"]) for each in logs] == [("defect", 2)]
    assert "john" not in str(logs)


async def test_a_body_is_held_until_it_is_answered_and_a_response_until_it_is_received() -> None:
    connections, handler, transport = Connections(9), FakeHandler(), FakeTransport()
    connections.tick("DATE")
    connection = HttpConnection(handler, connections)
    made: Any = transport
    connection.connection_made(made)
    connection.data_received(POST[:-5])
    assert connection.held == 10
    connection.data_received(POST[-5:] + POST[:-1])
    assert connection.held == 29
    await handler.answer()
    assert connection.held == 14
    connection.data_received(POST[-1:])
    await handler.answer()
    assert connection.held == 0
    for pending in (1000, 500):
        transport.pending = pending
        connection.pause_writing()
        assert connection.held == pending
    connection.resume_writing()
    assert connection.held == 0
    connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\nx")
    assert connection.held == 0
    connection.data_received(POST[:-5])
    connection.connection_lost(None)
    assert connection.held == 0


def cut(reason: str) -> float:
    """How many connections were cut off for this reason."""
    return REGISTRY.get_sample_value("userfold_gateway_connections_cut_total", {"reason": reason}) or 0.0


@pytest.fixture
async def narrow(backend: Backend, service: FakeUserService) -> AsyncIterator[Gateway]:
    """A gateway with few connections."""
    async with running_gateway(backend.address, http_connections=LIMIT) as gateway:
        yield gateway


class Crowd:
    """Many open connections, and which of them have ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def join(self, count: int, sent: bytes, has_arrived: Callable[[], bool]) -> None:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(sent)
            self.opened.append((reader, writer))
        await until(has_arrived)

    @property
    def ended(self) -> list[bool]:
        return [reader.at_eof() or reader.exception() is not None for reader, _ in self.opened]

    async def leave(self) -> None:
        for _, writer in self.opened:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def crowd(narrow: Gateway) -> AsyncIterator[Crowd]:
    crowd = Crowd(int(narrow.url.rpartition(":")[2]))
    yield crowd
    await crowd.leave()


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /v1/users HTTP/1.1\r\nHost", KNOWN[:-1]],
    ids=["nothing", "half a head", "half a body"],
)
async def test_many_idle_connections_do_not_keep_others_out(narrow: Gateway, crowd: Crowd, sent: bytes) -> None:
    before = cut("too many connections")
    await crowd.join(3 * LIMIT, sent, lambda: cut("too many connections") - before >= 2 * LIMIT)
    answer = await narrow.post("/v1/users", {"user_id": "u"})
    assert answer.status_code == 201
    # The oldest connections are cut off first.
    assert crowd.ended == sorted(crowd.ended, reverse=True)
    assert 2 * LIMIT < crowd.ended.count(True) == cut("too many connections") - before < 3 * LIMIT


async def test_where_all_connections_have_requests_in_flight_further_ones_are_refused(
    narrow: Gateway, crowd: Crowd, service: FakeUserService
) -> None:
    opened = narrow.listener._connections.open
    service.may_answer.clear()
    await crowd.join(LIMIT, KNOWN, lambda: sum(each.deadline == math.inf for each in opened) == LIMIT)
    answer = await narrow.post("/v1/users", {"user_id": "u"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["details"][0]["reason"] == "TOO_MANY_CONNECTIONS"
    assert not any(crowd.ended)
    service.may_answer.set()
    assert {(await reader.readline()) for reader, _ in crowd.opened} == {b"HTTP/1.1 201 Created\r\n"}


async def test_a_process_without_file_descriptors_accepts_later(
    narrow: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: Iterator[OSError] = iter([OSError(24, "Too many open files"), ConnectionAbortedError()])
    acceptor = narrow.listener._acceptor
    listening: Any = acceptor._listening

    class Exhausted:
        """A socket that fails to accept."""

        def accept(self) -> Any:
            for failure in failures:
                raise failure
            return listening.accept()

        def fileno(self) -> int:
            number: int = listening.fileno()
            return number

        def close(self) -> None:
            listening.close()

    monkeypatch.setattr(acceptor, "_listening", Exhausted())
    assert (await narrow.client.get("/v1/rules")).status_code == 200
    assert list(failures) == []


async def test_bodies_that_never_end_do_not_fill_the_memory(
    backend: Backend, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HELD_BYTES", 1_000_000)
    assert HELD_BYTES > 1_000_000
    async with running_gateway(backend.address) as gateway:
        crowd = Crowd(int(gateway.url.rpartition(":")[2]))
        before = cut("too many bytes")
        head = b"POST /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 200000\r\n\r\n"
        await crowd.join(30, head + b"x" * 100_000, lambda: cut("too many bytes") - before >= 20)
        answer = await gateway.post("/v1/users", {"user_id": "u", "metadata": {"text": "x" * 500_000}})
        assert answer.status_code == 201
        assert cut("too many bytes") - before == crowd.ended.count(True) >= 20
        await crowd.leave()


def test_there_is_room_where_many_connections_are_being_refused() -> None:
    connections = Connections(limit=LIMIT, clock=Clock())
    for since in range(2 * LIMIT):
        FakeConnection(connections, since)
    assert connections.make_room()


@pytest.mark.parametrize("turns", range(5))
def test_a_connection_that_is_cut_off_in_its_handshake_is_not_counted(turns: int) -> None:
    """With the program's event loop, which does not report the end of a connection whose handshake was cancelled."""

    async def cut() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        connections = Connections(limit=1)
        beginning = Handshake(FakeHandler(), connections, ours, None)
        for _ in range(turns):
            await asyncio.sleep(0)
        if beginning in connections.open:
            connections.remove(beginning)
            beginning.abort()
        theirs.close()
        await until(lambda: not connections.open and ours.fileno() < 0)

    with ThreadPoolExecutor(1) as thread:  # It has no event loop yet.
        thread.submit(uvloop.run, cut()).result()


def test_there_are_no_more_connections_than_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    limited: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.setrlimit", lambda which, pair: limited.append(pair))
    for files, wanted, most, raised in (
        ((1024, 1_000_000), 4096, 4096, [(4352, 1_000_000)]),
        ((1024, 2000), 4096, 1744, [(2000, 2000)]),
        ((1_000_000, 1_000_000), 4096, 4096, []),
        ((-1, -1), 4096, 4096, []),
    ):
        limited.clear()
        monkeypatch.setattr("resource.getrlimit", lambda _, files=files: files)
        assert (connection_limit(wanted), limited) == (most, raised)
