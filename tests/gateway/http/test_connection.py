"""One connection: framing, the order of responses, and limits on size and time."""

import asyncio
import math
import re
import socket
import weakref

import orjson
import pytest

from gateway.errors.answer import NO_ROOM
from gateway.errors.rendering import refusal
from gateway.http import limits
from gateway.http.handler import Body, Respond
from gateway.http.messages import Response
from gateway.routing.admission import Gate
from tests.gateway.fakes import FakeUserService
from tests.gateway.http.peer import HEAD, JSON, POST, Peer
from tests.gateway.messages import reasons
from tests.gateway.running import Gateway


@pytest.fixture
async def peer() -> Peer:
    return Peer()


async def test_a_request_is_handled_when_it_is_complete(peer: Peer) -> None:
    peer.send(
        b"POST //a%2Fb?x=1&y HTTP/1.1\r\nHost: x\r\nX-One: a\r\nx-one: b\r\nContent-Encoding: identity\r\ncontent-enc"
    )
    peer.send(b"oding: gzip\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\nContent-Length: 4\r\n\r\nab")
    assert peer.handler.requests == []
    peer.send(b"cd")
    (request,) = peer.handler.requests
    assert (request.method, request.path, request.query, request.body) == ("POST", b"//a%2Fb", b"x=1&y", b"abcd")
    assert (request.client, request.headers[b"x-one"]) == ("192.0.2.1", b"a")
    assert (request.headers[b"content-encoding"], request.headers[b"x-forwarded-for"]) == (b"identity,gzip", b"1,2")


async def test_a_request_that_arrives_byte_by_byte_is_the_same(peer: Peer) -> None:
    for byte in POST:
        peer.send(bytes([byte]))
    (request,) = peer.handler.requests
    assert (request.path, request.body) == (b"/v1/users", b'{"user_id":"1"}')


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [(b"http://h:1/p/q?r", b"/p/q", b"r"), (b"http://h", b"/", b""), (b"*", b"*", b""), (b"/?", b"/", b"")],
)
async def test_every_form_of_a_target_is_a_path(peer: Peer, target: bytes, path: bytes, query: bytes) -> None:
    peer.send(b"OPTIONS %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
    (request,) = peer.handler.requests
    assert (request.path, request.query) == (path, query)


async def test_a_response_has_a_date_a_length_and_no_body_for_head(peer: Peer) -> None:
    peer.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\n\r\n")
    await peer.handler.answer(Response(200, {**JSON, "allow": "GET"}, b'{"a":1}'))
    assert peer.transport.written == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nallow: GET\r\ncontent-length: 7\r\n"
        b"access-control-expose-headers: x-request-id, traceparent, allow\r\naccess-control-allow-origin: *\r\n"
        b"x-request-id: 1\r\ndate: DATE\r\n\r\n"
    )


async def test_pipelined_requests_are_answered_in_order(peer: Peer) -> None:
    peer.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(3)))
    assert ([each.path for each in peer.handler.requests], peer.transport.reading) == ([b"/0"], False)
    for number in range(3):
        assert len(peer.handler.requests) == number + 1
        await peer.handler.answer()
    assert (peer.statuses, peer.transport.reading, peer.transport.closed) == ([200] * 3, True, False)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
async def test_a_connection_that_must_close_does_and_sends_connection_close(peer: Peer, head: bytes) -> None:
    peer.send(head + b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    await peer.handler.answer()
    assert b"\r\nconnection: close\r\n" in peer.transport.written
    assert (len(peer.handler.requests), peer.transport.closed) == (1, True)


async def test_a_client_that_ends_its_side_is_still_answered(peer: Peer) -> None:
    peer.send(POST)
    assert peer.connection.eof_received() is True
    await peer.handler.answer()
    assert (peer.statuses, peer.transport.closed) == ([200], True)


async def test_a_client_that_ends_its_side_without_a_request_in_flight_is_disconnected(peer: Peer) -> None:
    peer.send(POST[:20])
    assert peer.connection.eof_received() is False


async def test_a_client_that_disconnects_abandons_its_request(peer: Peer) -> None:
    peer.send(POST + POST)
    peer.transport.is_closed = True
    peer.connection.connection_lost(None)
    assert (peer.handler.abandoned, peer.connections.open) == ([b"/v1/users"], set())
    await peer.handler.answer()
    assert (len(peer.handler.requests), peer.transport.written) == (1, b"")


async def test_a_malformed_request_is_answered_after_the_requests_in_flight(peer: Peer) -> None:
    peer.send(POST + b"NONSENSE\r\n\r\n")
    peer.send(b"more")
    await peer.handler.answer()
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([200, 400], ["HTTP_MALFORMED"], True)


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_an_ambiguous_head_is_refused(peer: Peer, head: bytes) -> None:
    peer.send(head)
    assert (peer.statuses, peer.handler.requests, peer.transport.closed) == ([400], [], True)


async def test_an_offer_to_upgrade_is_declined_with_body_and_next_request_intact(peer: Peer) -> None:
    offer = b"POST /first HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\n"
    peer.send(offer + b"body" + b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
    await peer.handler.answer()
    assert [(each.path, each.body) for each in peer.handler.requests] == [(b"/first", b"body"), (b"/second", b"")]


@pytest.mark.parametrize("piece", [1000, 1_000_000])
async def test_a_head_that_never_ends_is_refused(peer: Peer, piece: int) -> None:
    peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    for _ in range(4 * limits.HEAD_BYTES // piece + 2):
        peer.send(b"a" * piece)
    assert (peer.statuses, peer.transport.closed) == ([431], True)


@pytest.mark.parametrize("name", [b"a", b"a%d"])
async def test_a_head_with_too_many_headers_is_refused(peer: Peer, name: bytes) -> None:
    headers = [(name % number if b"%" in name else name) + b": b\r\n" for number in range(limits.HEADERS)]
    peer.send(HEAD + b"".join(headers[1:]) + b"\r\n")
    await peer.handler.answer()
    assert peer.statuses == [200]
    peer.transport.written = b""
    peer.send(HEAD + b"".join(headers) + b"\r\n")
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([431], ["HEAD_TOO_LARGE"], True)


async def test_headers_that_are_too_large_are_refused(peer: Peer) -> None:
    peer.send(HEAD + b"".join(b"%d: %b\r\n" % (n, b"x" * 2000) for n in range(40)) + b"\r\n")
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([431], ["HEAD_TOO_LARGE"], True)


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-One: head\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"4;", b"a=b;" * 250),
        (b'4;a="', b"x" * 1000),
        (b"0\r\nA: ", b"x" * 1000),
        (b"0\r\n", b"a: b\r\n"),
    ],
    ids=["extensions of a chunk", "one extension", "one header behind the body", "headers behind the body"],
)
async def test_endless_chunk_extensions_and_trailers_are_refused(peer: Peer, first: bytes, more: bytes) -> None:
    peer.send(CHUNKED + first)
    for _ in range(limits.HEAD_BYTES // 1000 + 1 if len(more) == 1000 else limits.HEADERS - 1):
        assert peer.statuses == []
        peer.send(more)
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([431], ["HEAD_TOO_LARGE"], True)


async def test_a_trailer_is_not_a_header(peer: Peer) -> None:
    peer.send(CHUNKED + b"1;a=b\r\nx\r\n0\r\nX-One: trailer\r\nX-Two: trailer\r\n\r\n")
    (request,) = peer.handler.requests
    assert (request.body, request.headers[b"x-one"]) == (b"x", b"head")
    assert b"x-two" not in request.headers


async def test_a_head_that_arrives_with_a_long_body_is_not_too_large(peer: Peer) -> None:
    peer.handler.body_limit = 10**6
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n")
    peer.send(b"\r\n" + b"x" * 200_000 + b"GET / HT")
    peer.send(b"TP/1.1\r\nHost: x\r\n\r\n")
    await peer.handler.answer()
    await peer.handler.answer()
    assert peer.statuses == [200, 200]


async def test_too_many_pipelined_requests_are_refused(peer: Peer) -> None:
    peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
    for _ in range(limits.PIPELINED):
        await peer.handler.answer()
    assert peer.statuses == [200] * limits.PIPELINED + [429]
    assert (peer.reasons, peer.transport.closed, peer.handler.requests[limits.PIPELINED :]) == (
        ["OVERLOADED"],
        True,
        [],
    )


async def test_a_refusal_behind_a_slow_request_waits_for_its_response(peer: Peer) -> None:
    peer.send(POST + b"NONSENSE\r\n\r\n")
    assert peer.connection.deadline == math.inf


async def test_a_head_after_a_long_body_is_not_too_large(peer: Peer) -> None:
    """Bytes that arrive together with the head are not counted."""
    peer.handler.body_limit = 10**6
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000 + b"GET / HT")
    peer.send(b"TP/1.1\r\nHost: x\r\n\r\n")
    await peer.handler.answer()
    await peer.handler.answer()
    assert peer.statuses == [200, 200]


async def test_discarding_a_body_has_a_limit(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAIN_BYTES", 1000)
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(5):
        peer.send(b"64\r\n" + b"x" * 100 + b"\r\n")
    assert peer.statuses == []
    for _ in range(10):
        peer.send(b"64\r\n" + b"x" * 100 + b"\r\n")
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([413], ["BODY_TOO_LARGE"], True)


async def test_discarding_a_body_has_a_time_limit(peer: Peer) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
    assert peer.statuses == []
    peer.pass_deadline()
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([413], ["BODY_TOO_LARGE"], True)


@pytest.mark.parametrize(
    "head", [b"Content-Length: 9\r\n\r\n123456789", b"Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n"]
)
async def test_a_discarded_body_is_not_held_and_the_connection_stays_open(peer: Peer, head: bytes) -> None:
    peer.handler.body, peer.handler.body_limit = Body.DISCARDED, 9
    for _ in range(2):
        peer.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + head)
        assert (peer.handler.requests[-1].body, peer.connection.held) == (b"", 0)
        await peer.handler.answer()
    assert peer.statuses == [200, 200]


@pytest.mark.parametrize(
    "head", [b"Content-Length: 9\r\n\r\n123456789", b"Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n"]
)
async def test_a_discarded_body_has_a_limit(peer: Peer, head: bytes) -> None:
    peer.handler.body, peer.handler.body_limit = Body.DISCARDED, 8
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + head)
    assert (peer.statuses, peer.reasons) == ([413], ["BODY_TOO_LARGE"])


async def test_a_request_refused_from_its_head_is_answered_after_its_body_and_the_connection_stays_open(
    peer: Peer,
) -> None:
    peer.handler.refuse_all(refusal("CREDENTIAL_UNKNOWN"))
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12")
    assert peer.statuses == []
    peer.send(b"34")
    assert (peer.statuses, peer.transport.closed, peer.handler.requests) == ([401], False, [])
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert (peer.statuses, peer.transport.closed) == ([401, 401], True)


@pytest.mark.parametrize("sent", [b"GE", HEAD, POST[:-1]])
async def test_a_request_that_does_not_end_in_time_is_refused(peer: Peer, sent: bytes) -> None:
    peer.send(sent)
    peer.pass_deadline()
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([408], ["REQUEST_TOO_SLOW"], True)


async def test_a_byte_now_and_then_does_not_extend_the_time_limit_of_a_head(peer: Peer) -> None:
    peer.send(b"G")
    deadline = peer.connection.deadline
    peer.wait(1)
    peer.send(b"ET / HTTP/1.1\r\nHost: x\r\nA: b")
    assert peer.connection.deadline == deadline


async def test_an_idle_connection_is_closed_without_a_response(peer: Peer) -> None:
    peer.pass_deadline()
    assert (peer.transport.written, peer.transport.closed) == (b"", True)


async def test_a_request_in_flight_has_no_deadline(peer: Peer) -> None:
    peer.send(POST)
    assert peer.connection.deadline == math.inf
    await peer.handler.answer()
    assert peer.connection.deadline < math.inf


async def test_a_client_that_receives_nothing_is_not_read_from_and_finally_cut_off(peer: Peer) -> None:
    peer.send(POST)
    peer.connection.pause_writing()
    await peer.handler.answer()
    assert not peer.transport.reading
    peer.send(POST)
    assert len(peer.handler.requests) == 1
    peer.connection.resume_writing()
    assert len(peer.handler.requests) == 2
    await peer.handler.answer()
    assert (peer.statuses, peer.transport.reading) == ([200, 200], True)
    peer.transport.pending = 1000
    peer.connection.pause_writing()
    peer.pass_deadline()
    assert peer.transport.aborted


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"])
async def test_a_client_that_does_not_receive_the_last_response_is_cut_off(peer: Peer, head: bytes) -> None:
    """The transport stays open, however long, until the client has received everything."""
    peer.send(head)
    await peer.handler.answer()
    while not peer.transport.aborted:
        peer.pass_deadline()
    assert peer.statuses == [200]


async def test_stopping_closes_idle_connections_and_lets_requests_in_flight_end(peer: Peer) -> None:
    peer.send(POST)
    peer.connections.stop()
    assert peer.transport.reading
    await peer.handler.answer()
    assert b"connection: close" in peer.transport.written
    peer.connection.connection_lost(None)
    await peer.connections.closed(0)
    assert (peer.transport.closed, peer.transport.aborted) == (True, False)
    idle = Peer()
    idle.connections.stop()
    idle.pass_deadline()
    assert idle.transport.closed


async def test_stopping_cuts_off_requests_that_do_not_end_in_time(peer: Peer) -> None:
    peer.send(POST)
    peer.connections.stop()
    await peer.connections.closed(0)
    assert peer.transport.aborted


async def test_expect_is_answered_once_and_after_earlier_responses(peer: Peer) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    peer.send(head)
    assert peer.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"body" + head)
    assert peer.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert peer.handler.requests[0].body == b"body"


async def test_an_idle_connection_does_not_keep_its_last_request(peer: Peer) -> None:
    peer.send(POST)
    assert peer.connection._answering
    exchange = weakref.ref(peer.connection._answering[0])
    assert exchange()
    await peer.handler.answer()
    assert exchange() is None
    assert (bytes(peer.connection._body), peer.connection._headers) == (b"", {})


async def test_a_response_is_one_write(peer: Peer) -> None:
    peer.send(POST)
    await peer.handler.answer(Response(200, {"allow": "GET"}, orjson.dumps({"a": "b" * 1000})))
    assert (peer.transport.writes, peer.statuses) == (1, [200])
    assert peer.transport.written.endswith(b'"}')


async def test_a_write_is_sent_immediately(gateway: Gateway) -> None:
    """Accepted connections inherit the option."""
    listening = gateway.listener._listening
    assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_a_discarded_body_counts_its_pieces(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAIN_BYTES", 1000)
    monkeypatch.setattr(limits, "PIECE_BYTES", 99)
    peer.handler.is_full = True
    peer.send(b"POST /v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.send(b"1\r\nx\r\n" * 10)
    assert peer.statuses == []
    peer.send(b"1\r\nx\r\n")
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([413], ["BODY_TOO_LARGE"], True)


async def test_a_request_without_room_is_refused_in_order_and_its_body_discarded(peer: Peer) -> None:
    peer.send(POST)
    peer.handler.is_full = True
    peer.send(POST[:-5])
    peer.handler.is_full = False
    peer.send(POST[-5:] + POST)
    assert peer.statuses == []
    await peer.handler.answer()
    await asyncio.sleep(0)
    assert peer.statuses == [200, 429]
    await peer.handler.answer()
    assert (peer.statuses, peer.transport.closed) == ([200, 429, 200], False)
    assert [request.body for request in peer.handler.requests] == [b'{"user_id":"1"}'] * 2


async def test_a_request_without_room_that_expects_continue_is_refused(peer: Peer) -> None:
    peer.handler.is_full = True
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert (peer.statuses, peer.reasons, peer.transport.closed) == ([429], ["OVERLOADED"], True)


async def test_a_request_that_is_refused_later_for_lack_of_room_may_be_cut_off_until_then(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[Respond] = []
    monkeypatch.setattr(peer.handler, "turn_away", later.append)
    peer.handler.is_full = True
    peer.send(POST)
    assert peer.statuses == []
    assert peer.connection.deadline < math.inf
    peer.connection.abort()
    for respond in later:
        respond(NO_ROOM.response)
    assert peer.statuses == []


async def test_head_without_room_is_answered_without_a_body(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only requests with a verified key are refused for lack of room.
    assert (await gateway.client.get("/v1/users/1")).status_code == 200
    monkeypatch.setattr(Gate, "has_room", lambda *_: False)
    request = b" /v1/users/1 HTTP/1.1\r\nHost: x\r\nX-Moesif-Application-Id: key\r\n"
    received = await gateway.raw(b"HEAD" + request + b"\r\n" + b"GET" + request + b"Connection: close\r\n\r\n")
    first, second, body = received.split(b"\r\n\r\n")
    assert [head[:13] for head in (first, second)] == [b"HTTP/1.1 429 "] * 2
    assert [re.findall(rb"content-length: (\d+)", head) for head in (first, second)] == [[b"%d" % len(body)]] * 2
    assert reasons(orjson.loads(body)) == ["OVERLOADED"]


async def test_the_time_limit_of_a_head_behind_a_request_without_room_stays(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer.handler, "turn_away", lambda _: None)
    peer.handler.is_full = True
    peer.send(POST + b"POST / HT")
    assert peer.connection.deadline == peer.clock.now + limits.HEAD_SECONDS
