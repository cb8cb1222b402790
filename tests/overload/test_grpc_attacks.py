"""Hostile gRPC clients: other clients are served meanwhile, and the memory of the server stays bounded."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.local.mongod import EmbeddedMongod
from tests.support.applications import Application, register
from tests.support.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    call_fields,
    field,
    frame,
)
from tests.support.programs import Program
from tests.support.stack import start_server

_GET_USER = "/userfold.v1.UserService/GetUser"
_KEY = "grpc-attacks"
# A call with an unknown credential ends before its message is read.
_CALL = call_fields(_GET_USER, {"x-moesif-application-id": _KEY})
_MAX_MEGABYTES = 150
"""By which an attack may increase the memory of the server. Each attack sends far more than this."""


@pytest.fixture(scope="module")
def server(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> Iterator[Program]:
    register(database, _KEY)
    server = start_server(mongod.uri)
    yield server
    assert server.stop() == 0


@pytest.fixture
def serves(server: Program, application: Application) -> Iterator[Callable[[], None]]:
    """Sends the update of another client. Also runs before and after the test, which may add little memory."""
    metadata = (("x-moesif-application-id", application.collector_key),)
    with grpc.insecure_channel(server.ready["grpc"]) as channel:
        users: Any = UserServiceStub(channel)

        def update() -> None:
            users.UpdateUser(pb.UpdateUserRequest(user=UserUpdate(user_id="u")), metadata=metadata, timeout=60)

        update()
        before = megabytes(server.process.pid)
        yield update
        update()
    assert megabytes(server.process.pid) < before + _MAX_MEGABYTES


@pytest.fixture
def peers(server: Program, serves: Callable[[], None]) -> Iterator["Peers"]:
    peers = Peers(server.ready["grpc"])
    with peers.stack:
        yield peers
        # All connections are still open.
        serves()


class Peers:
    """Opens connections, which stay open until the test ends."""

    def __init__(self, address: str) -> None:
        self.stack = ExitStack()
        self._address = address

    def __call__(self) -> Peer:
        return self.stack.enter_context(Peer(self._address))


def megabytes(process: int) -> int:
    """The resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def call_headers(stream: int, headers: bytes = _CALL) -> bytes:
    """The headers of a call without its message."""
    return frame(HEADERS, END_HEADERS, stream, headers)


def headers_of_first_call(peer: Peer) -> bytes:
    """The only header block that the server sends for the first call, encoded."""
    received = peer.frames_until(RST_STREAM, GOAWAY)
    (headers,) = (each.payload for each in received if (each.kind, each.stream) == (HEADERS, 1))
    return headers


def test_streams_beyond_the_limit_are_refused(peers: Peers) -> None:
    peer = peers()
    peer.send(b"".join(call_headers(2 * number + 1) for number in range(300)))
    refused = [received.stream for received in peer.frames_until(RST_STREAM) if received.kind == RST_STREAM]
    assert refused == [501]
    for _ in range(4):
        peers().send(b"".join(call_headers(2 * number + 1) for number in range(5000)))


@pytest.mark.parametrize("credential", [None, "made-up"])
def test_calls_without_a_known_credential_end_before_their_message_is_read(
    peers: Peers, credential: str | None
) -> None:
    for number in range(20):
        peer = peers()
        name = {"x-moesif-application-id": f"{credential}-{number}"} if credential else {}
        # The message begins and does not end.
        peer.send(call_headers(1, call_fields(_GET_USER, name)) + frame(DATA, 0, 1, b"\0" + (2**24).to_bytes(4)))
        headers = headers_of_first_call(peer)
        assert b"grpc-status\x0216" in headers


def test_calls_that_are_reset_immediately_leave_no_memory(peers: Peers) -> None:
    for _ in range(2):
        peer = peers()
        for number in range(10_000):
            stream = 2 * number + 1
            peer.send(call_headers(stream) + frame(RST_STREAM, 0, stream, (8).to_bytes(4)))


def test_a_flood_of_pings_ends_the_connection(peers: Peers) -> None:
    peer = peers()
    for _ in range(10_000):
        peer.send(frame(PING, 0, 0, bytes(8)))
    last = peer.frames_until(GOAWAY)[-1]
    assert (last.kind, last.payload[8:]) == (GOAWAY, b"too_many_pings")


def test_a_flood_of_settings_does_not_fill_the_memory(peers: Peers) -> None:
    peer = peers()
    for _ in range(50_000):
        if not peer.send(frame(SETTINGS, 0, 0)):
            break


def test_headers_that_do_not_end_are_refused(peers: Peers) -> None:
    peer = peers()
    peer.send(frame(HEADERS, 0, 1, _CALL))
    more = frame(CONTINUATION, 0, 1, field("x", "y" * 16_000))
    for _ in range(20_000):  # 320 MB
        if not peer.send(more):
            break
    assert b"grpc-status\x018" in headers_of_first_call(peer)


def test_a_message_is_refused_by_the_size_in_its_prefix(peers: Peers) -> None:
    peer = peers()
    peer.send(call_headers(1) + frame(DATA, 0, 1, b"\0" + (2**31 - 1).to_bytes(4)))
    assert b"grpc-status\x018" in headers_of_first_call(peer)


@pytest.mark.usefixtures("serves")
def test_too_much_metadata_is_refused(server: Program) -> None:
    with grpc.insecure_channel(server.ready["grpc"]) as channel:
        users: Any = UserServiceStub(channel)
        for metadata in ([("x", "y" * 17_000)], [(f"x{number}", "") for number in range(1000)]):
            with pytest.raises(grpc.RpcError) as caught:
                users.GetUser(pb.GetUserRequest(user_id="u"), metadata=metadata, timeout=20)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_invalid_bytes_end_the_connection(peers: Peers) -> None:
    peer = peers()
    peer.send(bytes(range(256)) * 64)
    assert {received.kind for received in peer.frames()} <= {SETTINGS, WINDOW_UPDATE, GOAWAY}
