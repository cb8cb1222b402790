"""What a listener does when it stops: with open connections, and with those in its backlog."""

import asyncio
import contextlib
import errno
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.http import limits, listener
from gateway.http.handler import Respond
from gateway.http.listener import Listener, bind
from gateway.http.messages import Request, Response
from gateway.http.tls import server_context
from gateway.settings import Settings
from runtime.certificates import CertificateFiles
from tests.gateway.http.peer import POST, FakeHandler
from tests.support.certificates import Authority
from tests.support.waiting import later, until

CROWD = 400


class Answering(FakeHandler):
    """Answers each request immediately."""

    def take(self, request: Request, respond: Respond) -> None:
        self.requests.append(request)
        respond(Response(201, body=b"{}"))


class Place:
    """A listener on a free port."""

    def __init__(
        self, handler: FakeHandler | None = None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.handler = handler or Answering()
        self.ready = asyncio.Event()
        listening = bind(host, 0)
        self.address: tuple[str, int] = listening.getsockname()[:2]
        self.listener = Listener(self.handler, listening, lambda _: self.ready.set(), tls, 4096)
        self.serving = asyncio.create_task(self.listener.run_until_stopped())

    def connect(self, sent: bytes = b"") -> socket.socket:
        """Connect and send, before the event loop runs again."""
        client = socket.create_connection(self.address, 20)
        client.sendall(sent)
        return client


@contextlib.asynccontextmanager
async def place(*args: Any, **options: Any) -> AsyncIterator[Place]:
    place = Place(*args, **options)
    await place.ready.wait()
    try:
        yield place
    finally:
        place.listener.stop()
        await place.serving


def everything(client: socket.socket) -> bytes:
    """All bytes until the other side ends. Raises ConnectionResetError where the connection is cut off."""
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """The event loop of the tests, and that of the program."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


def in_loop(runner: asyncio.Runner, test: Callable[[], Any]) -> None:
    """Run a test in an event loop of its own, in another thread than that of the session."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: runner.run(test())).result()


def test_requests_sent_before_it_stops_are_answered_on_new_connections_too(runner: asyncio.Runner) -> None:
    async def stop_among_many() -> None:
        async with place() as running:
            # These have had a response already.
            old = [running.connect(POST) for _ in range(CROWD // 4)]
            for client in old:
                assert (await asyncio.to_thread(client.recv, 65536)).startswith(b"HTTP/1.1 201 ")
            # Before the event loop runs again, there are requests on those, and on new connections.
            for client in old:
                client.sendall(POST)
            new = [running.connect(POST) for _ in range(CROWD)]
            running.listener.stop()
            answers = await asyncio.to_thread(lambda: [everything(each) for each in (*old, *new)])
            assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 201 Created"}
            await running.serving
            assert len(running.handler.requests) == 2 * len(old) + len(new)
            with pytest.raises(ConnectionRefusedError):
                running.connect()

    in_loop(runner, stop_among_many)


def test_no_client_connects_between_the_last_accept_and_the_end(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a client that the kernel connects would send a request and be cut off."""
    late = socket.socket()
    late.setblocking(False)

    async def stop() -> None:
        async with place() as running:
            accept = running.listener._acceptor._accept_some

            def accept_and_connect() -> int | None:
                accepted = accept()
                if accepted == 0:
                    late.connect_ex(running.address)
                return accepted

            monkeypatch.setattr(running.listener._acceptor, "_accept_some", accept_and_connect)
            running.listener.stop()
            await running.serving
            await asyncio.to_thread(select.select, [], [late], [], 20)
            assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED

    with late:
        in_loop(runner, stop)


def test_a_client_that_is_still_sending_receives_the_last_response(runner: asyncio.Runner) -> None:
    """If a socket is closed with unread data, the kernel resets the connection, and the client loses the response."""

    async def send_on() -> None:
        async with place() as running:
            client = running.connect(POST.replace(b"Host: x", b"Host: x\r\nConnection: close"))
            while not running.handler.requests:  # noqa: ASYNC110 - There is no event to wait for.
                await asyncio.sleep(0.001)
            for _ in range(20):
                client.sendall(b"x" * 10_000)
                await asyncio.sleep(0.001)
            assert (await asyncio.to_thread(everything, client)).startswith(b"HTTP/1.1 201 ")

    in_loop(runner, send_on)


def test_a_handshake_in_progress_when_it_stops_becomes_a_connection(runner: asyncio.Runner, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue(tmp_path, "gateway")
    files = _files(tmp_path)
    trusted = ssl.create_default_context(cafile=authority.path)

    def request(client: socket.socket) -> bytes:
        with trusted.wrap_socket(client, server_hostname="localhost") as agreed:
            agreed.sendall(POST)
            return b"".join(iter(lambda: agreed.recv(65536), b""))

    async def agree() -> None:
        async with place(tls=server_context(files)) as running:
            clients = [running.connect() for _ in range(20)]
            running.listener.stop()
            answers = await asyncio.to_thread(lambda: [request(client) for client in clients])
            assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 201 Created"}

    in_loop(runner, agree)


def _files(directory: Path) -> CertificateFiles:
    return Settings.from_environment(
        {
            "USERFOLD_HTTP_TLS_CERTIFICATE": str(directory / "gateway.pem"),
            "USERFOLD_HTTP_TLS_KEY": str(directory / "gateway.key"),
        }
    ).http_tls


class Unfinished(FakeHandler):
    """Has a request that never ends."""

    async def finished(self) -> None:
        await asyncio.Event().wait()


def test_it_stops_in_time_whatever_does_not_end(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is not answered, and work for clients that have gone, have the same deadline."""
    monkeypatch.setattr(listener, "STOP_SECONDS", 0.5)
    deadlines: list[float] = []
    at = asyncio.timeout_at

    def timeout_at(when: float) -> asyncio.Timeout:
        deadlines.append(when)
        return at(when)

    monkeypatch.setattr(asyncio, "timeout_at", timeout_at)

    async def wait() -> None:
        async with place(Unfinished()) as running:
            client = running.connect(POST)
            while not running.handler.requests:  # noqa: ASYNC110 - There is no event to wait for.
                await asyncio.sleep(0.001)
            running.listener.stop()
            begun = asyncio.get_running_loop().time()
            await running.serving
            assert len(set(deadlines)) == 1
            assert deadlines[0] - begun == pytest.approx(0.5, abs=0.4)
            client.close()

    in_loop(runner, wait)


def test_a_process_without_file_descriptors_still_accepts_the_backlog_when_it_stops(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stop() -> None:
        async with place() as running:
            failures = iter([OSError(24, "Too many open files"), ConnectionAbortedError()])
            real = running.listener._listening

            class Exhausted:
                """A socket that fails to accept."""

                def accept(self) -> Any:
                    for failure in failures:
                        raise failure
                    return real.accept()

                def fileno(self) -> int:
                    return real.fileno()

                def setsockopt(self, *args: Any) -> None:
                    real.setsockopt(*args)

                def close(self) -> None:
                    real.close()

            clients = [running.connect(POST) for _ in range(3)]
            monkeypatch.setattr(running.listener, "_listening", Exhausted())
            running.listener.stop()
            answers = await asyncio.to_thread(lambda: [everything(client) for client in clients])
            assert all(answer.startswith(b"HTTP/1.1 201 ") for answer in answers)

    in_loop(runner, stop)


def test_the_unspecified_address_includes_ipv4(runner: asyncio.Runner) -> None:
    async def connect() -> None:
        async with place(host="::") as running:
            port = running.address[1]
            for host, seen in (("127.0.0.1", "::ffff:127.0.0.1"), ("::1", "::1")):
                client = await asyncio.to_thread(socket.create_connection, (host, port), 20)
                client.sendall(POST.replace(b"Host: x", b"Host: x\r\nConnection: close"))
                assert (await asyncio.to_thread(everything, client)).startswith(b"HTTP/1.1 201 ")
                assert running.handler.requests[-1].client == seen

    in_loop(runner, connect)


async def test_time_limits_are_checked_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async with place() as running:
        connections = running.listener._connections
        client = running.connect()
        await until(lambda: bool(connections.open))
        await later(1.1)
        assert connections.open
        now = connections.clock()
        monkeypatch.setattr(connections, "clock", lambda: now + limits.IDLE_SECONDS)
        await later(1.1)
        await until(lambda: not connections.open)
        assert await asyncio.to_thread(everything, client) == b""


async def test_requests_in_flight_have_26_s_and_time_limits_are_checked_more_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with place(Unfinished()) as running:
        client = running.connect(POST)
        await until(lambda: bool(running.handler.requests))
        connections = running.listener._connections
        running.listener.stop()
        await later(1.1)
        seconds: list[str] = []
        monkeypatch.setattr(connections, "tick", seconds.append)
        for _ in range(9):
            await later(0.11)
        assert len(seconds) >= 8
        await later(23)
        assert connections.open
        assert not running.serving.done()
        await later(2)
        await until(running.serving.done)
        assert connections.open == set()
        client.close()
