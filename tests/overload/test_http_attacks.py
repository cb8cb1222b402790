"""Clients of the gateway that mean no good: others are served while all is still open, and memory stays bounded."""

import contextlib
import gzip
import socket
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

import httpx2
import orjson
import pytest

from gateway.http import limits
from tests.overload.test_grpc_attacks import megabytes
from tests.support.applications import Application
from tests.support.programs import Program
from tests.support.stack import Api, Stack, start_gateway
from tests.support.waiting import wait_until

_CONNECTIONS = 64
_CROWD = 4 * _CONNECTIONS
_MOST_MEGABYTES = 100
_ENDLESS = 2000  # times 64 KiB


class Client:
    """A connection on which anything may be sent."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._socket = socket.create_connection((host, int(port)), 60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, octets: bytes) -> bool:
        """Send. Whether the connection has not ended. Raises TimeoutError where the gateway neither takes it nor ends
        the connection."""
        self._socket.setblocking(True)
        self._socket.settimeout(60)
        try:
            self._socket.sendall(octets)
        except ConnectionError:
            return False
        return True

    def begins_with(self) -> bytes:
        """The first line of what comes."""
        self._socket.settimeout(60)
        return self._socket.recv(2**10).partition(b"\r\n")[0]

    def has_ended(self) -> bool:
        """Whether the gateway has ended the connection, as far as it is told by now."""
        self._socket.setblocking(False)
        try:
            while self._socket.recv(2**20):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            pass
        return True

    def fill(self, octets: bytes) -> None:
        """Send as much as goes without the gateway reading on."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while octets:
                octets = octets[self._socket.send(octets) :]

    def endure(self, octets: bytes) -> bool:
        """Whether the gateway takes this again and again. Raises TimeoutError as `send` does."""
        return all(self.send(octets) for _ in range(_ENDLESS))


class Clients:
    """Makes connections that are open until the test ends."""

    def __init__(self, url: str, key: str) -> None:
        self.stack = ExitStack()
        self._url = url
        self._key = key

    def __call__(self) -> Client:
        return self.stack.enter_context(Client(self._url))

    def ended(self, of: list[Client], expected: int = 0) -> int:
        """How many of these connections the gateway has ended, once they are as many as are expected."""
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self._ended(of) >= expected)
        return self._ended(of)

    def _ended(self, of: list[Client]) -> int:
        return sum(client.has_ended() for client in of)

    def head(self, path: str = "/v1/users", **headers: object) -> bytes:
        """The head of a POST."""
        told: dict[str, object] = {"Host": "x", "X-Moesif-Application-Id": self._key}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode()

    def status(self, body: bytes, path: str = "/v1/users", **headers: str) -> int:
        """That of the answer to a whole request."""
        told = {
            "X-Moesif-Application-Id": self._key,
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        return httpx2.post(self._url + path, content=body, headers=told, timeout=60).status_code


@pytest.fixture(scope="module")
def stack(unmeasured_stack: Stack) -> Stack:
    return unmeasured_stack


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> Iterator[Program]:
    gateway = start_gateway(stack.grpc, {"USERFOLD_HTTP_CONNECTIONS": str(_CONNECTIONS)}, measured=False)
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def most_megabytes() -> int:
    """How much memory the attack may add."""
    return _MOST_MEGABYTES


@pytest.fixture
def clients(gateway: Program, application: Application, most_megabytes: int) -> Iterator[Clients]:
    """Clients of the gateway. At the end of the test, before they leave, it serves another one, and has little more
    memory than before."""
    clients = Clients(gateway.ready["http"], application.collector_key)
    assert clients.status(b'{"user_id": "u"}') == 201
    before = megabytes(gateway.process.pid)
    with clients.stack:
        yield clients
        assert clients.status(b'{"user_id": "u"}') == 201
        assert megabytes(gateway.process.pid) < before + most_megabytes


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /v1/users HT", b"POST /v1/users HTTP/1.1\r\nHost: x\r\nX-A", b"\r\n", b"\x16\x03\x01\x02\x00\x01"],
    ids=["nothing", "half a line", "half a head", "an empty line", "a hello of TLS"],
)
def test_more_clients_than_there_is_room_for_that_do_nothing(clients: Clients, sent: bytes) -> None:
    crowd = [clients() for _ in range(_CROWD)]
    for client in crowd:
        client.send(sent)
    assert clients.status(b'{"user_id": "u"}') == 201
    assert clients.ended(crowd, _CROWD - _CONNECTIONS) >= _CROWD - _CONNECTIONS


def test_slow_bodies(clients: Clients) -> None:
    crowd = [clients() for _ in range(_CROWD)]
    for client in crowd:
        client.send(clients.head(Content_Length=100_000) + b'{"user_id": "')
    assert clients.status(b'{"user_id": "u"}') == 201
    ended = clients.ended(crowd, _CROWD - _CONNECTIONS)
    # Nobody is told anything, and the last to come have the time that they may have.
    assert _CROWD - _CONNECTIONS <= ended < _CROWD


@pytest.mark.parametrize("most_megabytes", [limits.HELD_BYTES // 2**20 + _MOST_MEGABYTES])
def test_large_bodies_that_do_not_end(clients: Clients) -> None:
    part = b" " * 10 * 2**20
    head = clients.head("/v1/users/batch", Content_Length=len(part) + 1)
    crowd = [clients() for _ in range(_CONNECTIONS - 8)]
    for client in crowd:
        client.send(head + part)
    assert clients.status(b'{"user_id": "u"}') == 201
    too_many = len(crowd) - limits.HELD_BYTES // len(part)
    assert too_many <= clients.ended(crowd, too_many) < len(crowd)


def test_slow_readers_of_large_answers(clients: Clients, gateway: Program, application: Application) -> None:
    api = Api(gateway.ready["http"], application)
    with api.client:
        api.stored({"metadata": {"text": "x" * 900_000}})
    token = f"Authorization: Bearer {application.management_token}"
    request = f"GET /v1/users/u HTTP/1.1\r\nHost: x\r\n{token}\r\n\r\n".encode()
    crowd = [clients() for _ in range(_CONNECTIONS // 2)]
    for client in crowd:
        client.fill(request * 50)
    assert clients.status(b'{"user_id": "u"}') == 201
    assert {client.begins_with() for client in crowd} == {b"HTTP/1.1 200 OK"}
    assert clients.ended(crowd) == 0


def test_bombs(clients: Clients) -> None:
    bomb = gzip.compress(b" " * 200 * 2**20)
    for path in ("/v1/users", "/v1/users/batch"):
        assert clients.status(bomb, path, Content_Encoding="gzip") == 413
        assert clients.status(gzip.compress(bomb), path, Content_Encoding="gzip, gzip") == 415
        assert clients.status(zlib.compress(b" " * 2**24), path, Content_Encoding="deflate") == 415
        # Inflated once, it is within the limit, and no JSON.
        assert clients.status(gzip.compress(bomb), path, Content_Encoding="gzip") == 400
        assert clients.status(gzip.compress(b"") * 50_000, path, Content_Encoding="gzip") == 400


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"metadata":'], ids=["arrays", "objects", "both"])
def test_a_megabyte_of_openings(clients: Clients, opening: bytes) -> None:
    assert clients.status(opening * (2**20 // len(opening))) == 400
    assert clients.status(opening * (10 * 2**20 // len(opening)), "/v1/users/batch") == 400


def test_a_batch_of_numbers_that_are_no_users(clients: Clients) -> None:
    assert clients.status(orjson.dumps([0] * 1_000_000), "/v1/users/batch") == 400


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"POST /", b"a" * 65_536),
        (b"POST /v1/users HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n" * 8192),
        (b"POST /v1/users HTTP/1.1\r\nHost: x\r\nX-A: ", b"b" * 65_536),
        (b"POST /v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"a" * 65_536),
        (b"POST /v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 65_536),
        (
            b"POST /v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            (b"1000\r\n" + b" " * 4096 + b"\r\n") * 16,
        ),
        (b"POST /v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 8192),
        (b"", b"\r\n" * 32_768),
        (b"", b"GET /v1/rules HTTP/1.1\r\nHost: x\r\n\r\n" * 2000),
    ],
    ids=[
        "a path",
        "headers",
        "a header",
        "a chunk's extension",
        "a chunk's size",
        "chunks",
        "trailers",
        "empty lines",
        "requests without reading an answer",
    ],
)
def test_what_does_not_end_is_ended(clients: Clients, start: bytes, more: bytes) -> None:
    client = clients()
    assert client.send(start)
    assert not client.endure(more)
