"""Clients that send and receive slowly, with a clock that the test sets."""

import itertools
import math
from typing import Any

import pytest

from gateway.errors.answer import NO_ROOM
from gateway.errors.rendering import refusal
from gateway.http import forwarded, limits, listener
from gateway.http.handler import Body
from gateway.http.messages import Response
from tests.gateway.http.peer import HEAD, POST, Peer

LARGE = Response(200, body=b"x" * (2**20 + 1))


@pytest.fixture
async def peer() -> Peer:
    return Peer()


def trickle(peer: Peer, sent: bytes, most: float) -> float:
    """Send a byte each second until there is a response. Returns how long it took."""
    begun = peer.clock.now
    for byte in sent:
        peer.send(bytes([byte]))
        peer.wait(1)
        if peer.transport.closed or peer.clock.now - begun > 2 * most:
            break
    return peer.clock.now - begun


@pytest.mark.parametrize("sent", [b"GET /" + b"a" * 1000, HEAD + b"A: " + b"b" * 1000, HEAD + b"A: b\r\n" * 100])
async def test_the_time_limit_of_a_head_holds_if_it_arrives_byte_by_byte(peer: Peer, sent: bytes) -> None:
    seconds = trickle(peer, sent, limits.HEAD_SECONDS)
    assert (peer.statuses, peer.reasons) == ([408], ["REQUEST_TOO_SLOW"])
    assert limits.HEAD_SECONDS <= seconds <= limits.HEAD_SECONDS + 2


@pytest.mark.parametrize("body", [Body.KEPT, Body.DISCARDED])
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"Content-Length: 1000\r\n\r\n", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: ", b"b"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    ],
    ids=["length", "chunks", "extension", "trailer", "trailers"],
)
async def test_the_time_limit_of_a_body_holds_if_it_arrives_byte_by_byte(
    peer: Peer, body: Body, head: bytes, piece: bytes
) -> None:
    peer.handler.body, peer.handler.body_limit = body, 2**20
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + head)
    seconds = trickle(peer, piece * 1000, limits.BODY_SECONDS)
    assert (peer.statuses, peer.reasons) == ([408], ["REQUEST_TOO_SLOW"])
    assert limits.BODY_SECONDS <= seconds <= limits.BODY_SECONDS + 2


async def test_the_time_limit_of_discarding_holds_if_a_body_arrives_byte_by_byte(peer: Peer) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    seconds = trickle(peer, b"x" * 1000, limits.DRAIN_SECONDS)
    assert (peer.statuses, peer.reasons) == ([413], ["BODY_TOO_LARGE"])
    assert limits.DRAIN_SECONDS <= seconds <= limits.DRAIN_SECONDS + 2


async def test_a_request_refused_from_its_head_is_answered_soon_if_its_body_never_arrives(peer: Peer) -> None:
    peer.handler.refuse_all(refusal("CREDENTIAL_UNKNOWN"))
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    seconds = trickle(peer, b"x" * 1000, limits.DRAIN_SECONDS)
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([401], ["CREDENTIAL_UNKNOWN"], True)
    assert limits.DRAIN_SECONDS <= seconds <= limits.DRAIN_SECONDS + 2


async def test_a_request_without_room_is_refused_soon_if_its_body_never_arrives(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer.handler, "turn_away", lambda respond: respond(NO_ROOM.response))
    peer.handler.is_full = True
    peer.send(POST[:-1])
    peer.wait(limits.DRAIN_SECONDS + 1)
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([429], ["OVERLOADED"], True)


async def test_a_connection_may_be_idle_for_a_while(peer: Peer) -> None:
    peer.wait(limits.IDLE_SECONDS - 1)
    assert not peer.transport.closed
    peer.send(POST)
    await peer.handler.answer()
    peer.wait(limits.IDLE_SECONDS - 1)
    assert not peer.transport.closed
    peer.wait(2)
    assert (peer.statuses, peer.transport.closed) == ([200], True)


async def test_a_partial_request_has_its_whole_time_after_earlier_requests_are_answered(
    peer: Peer,
) -> None:
    """Reading is paused while they are answered."""
    peer.send(POST + POST + POST[:-1])
    assert not peer.transport.reading
    for _ in range(2):
        peer.wait(limits.BODY_SECONDS)
        await peer.handler.answer()
    peer.wait(limits.BODY_SECONDS - 1)
    assert (peer.statuses, peer.transport.reading) == ([200, 200], True)
    peer.wait(2)
    assert (peer.statuses, peer.reasons) == ([200, 200, 408], ["REQUEST_TOO_SLOW"])


def take(peer: Peer, left: int) -> None:
    """Let the client have so many bytes left to receive."""
    peer.transport.pending = left


async def test_a_response_that_is_received_slowly_and_steadily_is_not_cut_off(peer: Peer) -> None:
    left = 100 * limits.TAKE_BYTES
    take(peer, left)
    peer.connection.pause_writing()
    while left > limits.TAKE_BYTES:
        left -= limits.TAKE_BYTES
        take(peer, left)
        peer.wait(limits.TAKE_SECONDS + 1)
        assert not peer.transport.aborted
        assert peer.connection.held == left
    peer.connection.resume_writing()
    assert peer.connection.deadline == peer.clock.now + limits.IDLE_SECONDS


@pytest.mark.parametrize("taken", [0, 1, limits.TAKE_BYTES - 1])
async def test_a_response_that_is_received_byte_by_byte_is_cut_off(peer: Peer, taken: int) -> None:
    take(peer, 100 * limits.TAKE_BYTES)
    peer.connection.pause_writing()
    peer.wait(limits.TAKE_SECONDS - 1)
    assert not peer.transport.aborted
    take(peer, 100 * limits.TAKE_BYTES - taken)
    peer.wait(2)
    assert peer.transport.aborted


async def test_the_rest_of_a_response_must_be_received_as_a_whole(peer: Peer) -> None:
    take(peer, limits.TAKE_BYTES // 2)
    peer.connection.pause_writing()
    take(peer, 1)
    peer.wait(limits.TAKE_SECONDS + 1)
    assert peer.transport.aborted


async def test_the_deadline_of_a_response_does_not_apply_to_the_next(peer: Peer) -> None:
    peer.send(POST + POST)
    take(peer, 1000)
    peer.connection.pause_writing()
    await peer.handler.answer()
    assert peer.connection.deadline == peer.clock.now + limits.TAKE_SECONDS
    take(peer, 0)
    peer.connection.resume_writing()
    assert (len(peer.handler.requests), peer.connection.deadline) == (2, math.inf)
    peer.wait(limits.TAKE_SECONDS + limits.BODY_SECONDS)
    await peer.handler.answer()
    assert (peer.statuses, peer.transport.closed) == ([200, 200], False)


class Taking:
    """The pieces written to a peer whose client receives one at a time, when the test says so."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.pieces: list[bytes] = []
        transport: Any = peer.transport
        transport.write = self._write

    def _write(self, data: bytes) -> None:
        self.pieces.append(bytes(data))
        take(self._peer, len(data))
        self._peer.connection.pause_writing()

    def take(self) -> None:
        """Receive all that was written."""
        take(self._peer, 0)
        self._peer.connection.resume_writing()


async def test_a_long_response_is_written_in_pieces_as_its_client_receives_them(peer: Peer) -> None:
    taking = Taking(peer)
    peer.send(POST)
    await peer.handler.answer(LARGE)
    # The connection holds all that is left, written or not.
    held = [peer.connection.held]
    while not peer.transport.reading:
        taking.take()
        held.append(peer.connection.held)
    assert b"".join(taking.pieces).endswith(b"\r\n\r\n" + LARGE.body)
    assert max(len(piece) for piece in taking.pieces) <= 2**18
    assert [before - after for before, after in itertools.pairwise(held)] == [len(piece) for piece in taking.pieces]
    assert held[-1] == 0


async def test_a_client_that_ends_its_side_receives_all_of_a_long_response(peer: Peer) -> None:
    taking = Taking(peer)
    peer.send(POST)
    await peer.handler.answer(LARGE)
    assert peer.connection.eof_received() is True
    while not peer.transport.closed:
        taking.take()
    assert len(b"".join(taking.pieces)) > 2**20
    assert not peer.transport.aborted


async def test_a_large_read_without_room_is_refused(peer: Peer) -> None:
    peer.connections._held_limit = 2**19
    for is_read in (True, False):
        peer.send(POST)
        await peer.handler.answer(Response(200 if is_read else 201, body=LARGE.body))
    assert peer.statuses == [429, 201]
    assert peer.connection.held == 0


async def test_data_after_the_last_response_is_discarded_for_a_while(peer: Peer) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
    await peer.handler.answer()
    assert (peer.transport.has_ended, peer.transport.is_closed, peer.transport.reading) == (True, False, True)
    peer.wait(limits.LINGER_SECONDS - 1)
    peer.send(b"more")
    assert not peer.transport.is_closed
    peer.wait(2)
    assert (peer.transport.is_closed, peer.transport.aborted, len(peer.handler.requests)) == (True, False, 1)
    peer.wait(limits.TAKE_SECONDS + 1)
    assert peer.transport.aborted


async def test_a_client_that_ends_its_side_too_closes_the_connection(peer: Peer) -> None:
    peer.send(b"GET / HTTP/1.1\r\n\r\n")
    assert peer.statuses == [400]
    assert peer.connection.eof_received() is False


async def test_discarding_data_after_the_last_response_has_a_limit(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAIN_BYTES", 1000)
    monkeypatch.setattr(limits, "PIECE_BYTES", 99)
    peer.send(b"GET / HTTP/1.1\r\n\r\n")
    for _ in range(10):
        peer.send(b"x")
        assert not peer.transport.aborted
    peer.send(b"x")
    assert peer.transport.aborted


@pytest.mark.parametrize("is_whole", [True, False])
async def test_over_tls_a_connection_closes_immediately_if_no_data_is_pending(is_whole: bool) -> None:
    """TLS has no half-closed connections, so a client that waits for the end would wait in vain."""
    peer = Peer(is_tls=True)
    if is_whole:
        peer.send(b"GET / HTTP/1.0\r\n\r\n")
        await peer.handler.answer()
    else:
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
    assert peer.transport.is_closed is is_whole
    peer.wait(limits.LINGER_SECONDS + 1)
    assert peer.transport.is_closed


async def test_when_stopping_a_request_sent_before_is_still_answered(peer: Peer) -> None:
    peer.connections.stop()
    peer.wait(limits.QUIET_SECONDS / 2)
    peer.send(POST[:10])
    peer.wait(limits.QUIET_SECONDS * 2)
    peer.send(POST[10:])
    await peer.handler.answer()
    assert (peer.statuses, peer.transport.has_ended) == ([200], True)
    assert b"connection: close" in peer.transport.written


async def test_when_stopping_an_idle_connection_closes(peer: Peer) -> None:
    peer.connections.stop()
    peer.send(b"\r\n")
    peer.wait(limits.QUIET_SECONDS / 2)
    assert not peer.transport.closed
    peer.wait(limits.QUIET_SECONDS)
    assert (peer.transport.written, peer.transport.closed) == (b"", True)


async def test_a_connection_that_begins_while_stopping_may_be_idle_as_long() -> None:
    peer = Peer()
    peer.connections.stop()
    peer.connection.connection_made(peer.transport)  # type: ignore[arg-type]  # A fake.
    assert peer.connection.deadline == peer.clock.now + limits.QUIET_SECONDS


def test_the_limits_are_those_that_are_documented() -> None:
    """docs/security.md gives their values. The other tests check what the limits do."""
    assert {name: value for name, value in vars(limits).items() if name.isupper()} == {
        "HELD_BYTES": 256 * 2**20,
        "HANDSHAKE_SECONDS": 10,
        "IDLE_SECONDS": 75,
        "HEAD_SECONDS": 20,
        "BODY_SECONDS": 60,
        "TAKE_SECONDS": 20,
        "TAKE_BYTES": 128 * 2**10,
        "SLOW_SECONDS": 5,
        "LARGE_BYTES": 2**20,
        "LINGER_SECONDS": 2,
        "QUIET_SECONDS": 1,
        "HEAD_BYTES": 64 * 2**10,
        "DRAIN_BYTES": 64 * 2**20,
        "DRAIN_SECONDS": 5,
        "PIECE_BYTES": 128,
        "HEADERS": 100,
        "PIPELINED": 100,
    }
    assert (listener.STOP_SECONDS, listener._TICK_SECONDS, forwarded.HOPS) == (26, 1, 32)
