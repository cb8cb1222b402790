"""Hostile HTTP clients: other clients are served meanwhile, and the memory of the gateway stays bounded."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import httpx2
import orjson
import pytest

from gateway.http import limits
from tests.overload.test_grpc_attacks import megabytes
from tests.support.applications import Application
from tests.support.http1 import Connection, request_bytes
from tests.support.programs import Program
from tests.support.stack import Api, Stack, start_gateway
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

_CONNECTIONS = 64
_CLIENTS = 4 * _CONNECTIONS
_MAX_MEGABYTES = 100
_REPETITIONS = 2000  # of 64 KiB


class Client(Connection):
    """A hostile client's connection."""

    def send_all(self, data: bytes) -> bool:
        """Send, and return whether the connection is still open.

        Raises TimeoutError where the gateway neither reads on nor ends the connection.
        """
        try:
            self.send(data)
        except ConnectionError:
            return False
        return True

    def send_without_end(self, data: bytes) -> bool:
        """Send the same data thousands of times, or until the connection ends. Returns and raises as `send_all`."""
        return all(self.send_all(data) for _ in range(_REPETITIONS))

    def fill(self, data: bytes) -> None:
        """Send as much as fits into the buffers, although the gateway does not read."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while data:
                data = data[self.socket.send(data) :]

    def first_line(self) -> bytes:
        """The first line of what the gateway has sent."""
        self.socket.settimeout(60)
        return self.socket.recv(2**10).partition(b"\r\n")[0]

    def has_ended(self) -> bool:
        """Whether the end of the connection has arrived."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(2**20):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            pass
        return True


class Clients:
    """Opens connections, which stay open until the test ends."""

    def __init__(self, url: str, key: str) -> None:
        self.stack = ExitStack()
        self._url = url
        self._key = key

    def connect(self, count: int) -> list[Client]:
        return [self.stack.enter_context(Client(self._url)) for _ in range(count)]

    def count_ended(self, clients: list[Client], expected: int = 0) -> int:
        """The number of these connections that the gateway has ended, as soon as it is at least the expected one."""
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self._count_ended(clients) >= expected)
        return self._count_ended(clients)

    def _count_ended(self, clients: list[Client]) -> int:
        return sum(client.has_ended() for client in clients)

    def head(self, path: str = "/v1/users", **headers: object) -> bytes:
        """The head of a POST."""
        return request_bytes("POST", path, self._named(headers))

    def status(self, body: bytes, path: str = "/v1/users", **headers: str) -> int:
        """The status of the response to a POST."""
        sent = {name: str(value) for name, value in self._named(headers).items()}
        return httpx2.post(self._url + path, content=body, headers=sent, timeout=60).status_code

    def _named(self, headers: Mapping[str, object]) -> dict[str, object]:
        return {"X-Moesif-Application-Id": self._key} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> Iterator[Program]:
    gateway = start_gateway(stack.grpc, {"USERFOLD_HTTP_CONNECTIONS": str(_CONNECTIONS)})
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def max_megabytes() -> int:
    """By which the attack may increase the memory of the gateway."""
    return _MAX_MEGABYTES


@pytest.fixture
def clients(gateway: Program, application: Application, max_megabytes: int) -> Iterator[Clients]:
    """Clients of the gateway. At the end of the test, while they are still connected, another client is served, and the
    memory of the gateway has hardly increased."""
    clients = Clients(gateway.ready["http"], application.collector_key)
    assert clients.status(b'{"user_id": "u"}') == 201
    before = megabytes(gateway.process.pid)
    with clients.stack:
        yield clients
        assert clients.status(b'{"user_id": "u"}') == 201
        assert megabytes(gateway.process.pid) < before + max_megabytes


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /v1/users HT", b"POST /v1/users HTTP/1.1\r\nHost: x\r\nX-A", b"\r\n", b"\x16\x03\x01\x02\x00\x01"],
    ids=["nothing", "half a line", "half a head", "an empty line", "a hello of TLS"],
)
def test_idle_connections_beyond_the_limit_are_ended(clients: Clients, sent: bytes) -> None:
    hostile = clients.connect(_CLIENTS)
    for client in hostile:
        client.send_all(sent)
    assert clients.status(b'{"user_id": "u"}') == 201
    assert clients.count_ended(hostile, _CLIENTS - _CONNECTIONS) >= _CLIENTS - _CONNECTIONS


def test_slow_bodies_beyond_the_limit_are_ended(clients: Clients) -> None:
    hostile = clients.connect(_CLIENTS)
    for client in hostile:
        client.send_all(clients.head(Content_Length=100_000) + b'{"user_id": "')
    assert clients.status(b'{"user_id": "u"}') == 201
    ended = clients.count_ended(hostile, _CLIENTS - _CONNECTIONS)
    # The connections get no response, and the latest ones keep their time limit.
    assert _CLIENTS - _CONNECTIONS <= ended < _CLIENTS


@pytest.mark.parametrize("max_megabytes", [limits.HELD_BYTES // 2**20 + _MAX_MEGABYTES])
def test_large_incomplete_bodies_are_ended(clients: Clients) -> None:
    part = b" " * 10 * 2**20
    head = clients.head("/v1/users/batch", Content_Length=len(part) + 1)
    hostile = clients.connect(_CONNECTIONS - 8)
    for client in hostile:
        client.send_all(head + part)
    assert clients.status(b'{"user_id": "u"}') == 201
    too_many = len(hostile) - limits.HELD_BYTES // len(part)
    assert too_many <= clients.count_ended(hostile, too_many) < len(hostile)


def test_clients_that_do_not_read_large_responses_stay_connected(
    clients: Clients, gateway: Program, application: Application
) -> None:
    api = Api(gateway.ready["http"], application)
    with api.client:
        api.stored({"metadata": {"text": "x" * 900_000}})
    token = f"Authorization: Bearer {application.management_token}"
    request = f"GET /v1/users/u HTTP/1.1\r\nHost: x\r\n{token}\r\n\r\n".encode()
    hostile = clients.connect(_CONNECTIONS // 2)
    for client in hostile:
        client.fill(request * 50)
    assert clients.status(b'{"user_id": "u"}') == 201
    assert {client.first_line() for client in hostile} == {b"HTTP/1.1 200 OK"}
    assert clients.count_ended(hostile) == 0


def test_compressed_bodies_are_inflated_up_to_the_limit(clients: Clients) -> None:
    bomb = gzip.compress(b" " * 200 * 2**20)
    for path in ("/v1/users", "/v1/users/batch"):
        assert clients.status(bomb, path, Content_Encoding="gzip") == 413
        assert clients.status(gzip.compress(bomb), path, Content_Encoding="gzip, gzip") == 415
        assert clients.status(zlib.compress(b" " * 2**24), path, Content_Encoding="deflate") == 415
        # Inflated once, the body is within the limit, and is not JSON.
        assert clients.status(gzip.compress(bomb), path, Content_Encoding="gzip") == 400
        assert clients.status(gzip.compress(b"") * 50_000, path, Content_Encoding="gzip") == 400


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"metadata":'], ids=["arrays", "objects", "both"])
def test_megabytes_of_opening_brackets_are_refused(clients: Clients, opening: bytes) -> None:
    assert clients.status(opening * (2**20 // len(opening))) == 400
    assert clients.status(opening * (10 * 2**20 // len(opening)), "/v1/users/batch") == 400


def test_a_batch_of_a_million_numbers_is_refused(clients: Clients) -> None:
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
        "requests without reading a response",
    ],
)
def test_a_request_without_end_is_cut_off(clients: Clients, start: bytes, more: bytes) -> None:
    (client,) = clients.connect(1)
    assert client.send_all(start)
    assert not client.send_without_end(more)
