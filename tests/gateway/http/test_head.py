"""The rules for the head of a request (RFC 9110 and 9112), and the responses to heads that break them."""

import asyncio
import math

import pytest
from structlog.testing import capture_logs

from gateway.http import limits
from gateway.http.handler import Exchange
from tests.gateway.fakes import FakeUserService
from tests.gateway.http.peer import HEAD, POST, Peer
from tests.gateway.messages import reasons
from tests.gateway.running import Gateway


@pytest.fixture
async def peer() -> Peer:
    return Peer()


def refused(peer: Peer) -> tuple[list[int], list[str], bool]:
    return peer.statuses, peer.reasons, peer.transport.closed


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Host: x\r\nHost: x\r\n",
        b"Host: x\r\nX-A: b\r\nHost: y\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: u@a\r\n",
        b"Host: a:b\r\n",
        b"Host: a:123456\r\n",
        b"Host: [::1\r\n",
        b"Host: a, b\r\n",
        b"Host: http://a\r\n",
    ],
)
async def test_http_11_needs_one_valid_host(peer: Peer, headers: bytes) -> None:
    peer.send(b"GET / HTTP/1.1\r\n" + headers + b"\r\n")
    assert refused(peer) == ([400], ["HOST_INVALID"], True)


@pytest.mark.parametrize(
    "host",
    [b"x", b"x:", b"x:8080", b"127.0.0.1:80", b"[2001:db8::1]:443", b"a_b.example", b"", b"EXAMPLE.com.", b"%C3"],
)
async def test_every_valid_host_is_served(peer: Peer, host: bytes) -> None:
    for _ in range(2):
        peer.send(b"GET / HTTP/1.1\r\nHost:" + host + b"\r\n\r\n")
        await peer.handler.answer()
    assert peer.statuses == [200, 200]


async def test_a_valid_host_does_not_make_the_next_one_valid(peer: Peer) -> None:
    peer.send(HEAD + b"\r\n")
    await peer.handler.answer()
    peer.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    assert peer.statuses == [200, 400]


async def test_http_10_may_lack_a_host_and_may_not_have_two(peer: Peer) -> None:
    peer.send(b"GET / HTTP/1.0\r\n\r\n")
    await peer.handler.answer()
    assert peer.statuses == [200]
    other = Peer()
    other.send(b"GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n")
    assert refused(other) == ([400], ["HOST_INVALID"], True)


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"1.2", b"3.0", b"1.10"])
@pytest.mark.parametrize("connection", [b"", b"Connection: keep-alive\r\n", b"Proxy-Connection: keep-alive\r\n"])
async def test_other_versions_are_refused(peer: Peer, version: bytes, connection: bytes) -> None:
    peer.send(b"GET / HTTP/" + version + b"\r\nHost: x\r\n" + connection + b"\r\n")
    assert refused(peer) == ([400], ["HTTP_MALFORMED"], True)


@pytest.mark.parametrize("line", [b"GET /\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
async def test_a_request_without_a_version_and_the_preface_of_http_2_are_refused(peer: Peer, line: bytes) -> None:
    peer.send(line)
    assert refused(peer) == ([400], ["HTTP_MALFORMED"], True)


@pytest.mark.parametrize(
    "target",
    [
        b"http://u:p@h/x",
        b"http://u@h/x",
        b"ftp://h/x",
        b"http:///x",
        b"http://h:99999/x",
        b"http://h/x#y",
        b"/x#y",
        b"/x?y#z",
        b"*",
        b"h:80",
    ],
)
async def test_an_invalid_target_is_refused(peer: Peer, target: bytes) -> None:
    peer.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert refused(peer) == ([400], ["HTTP_MALFORMED"], True)


async def test_an_absolute_target_may_name_another_host(peer: Peer) -> None:
    peer.send(b"GET HTTPS://other/v1/users/a%2Fb?x HTTP/1.1\r\nHost: x\r\n\r\n")
    (request,) = peer.handler.requests
    assert (request.path, request.query) == (b"/v1/users/a%2Fb", b"x")


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP_MALFORMED"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "HTTP_MALFORMED"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", 400, "HTTP_MALFORMED"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "UNSUPPORTED_TRANSFER_ENCODING",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
            "UNSUPPORTED_TRANSFER_ENCODING",
        ),
    ],
)
async def test_a_transfer_encoding_other_than_chunked_is_refused(
    peer: Peer, head: bytes, status: int, reason: str
) -> None:
    peer.send(head)
    assert refused(peer) == ([status], [reason], True)
    assert peer.handler.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        b"Content-Length: 1\r\nContent-Length: 1\r\n",
        b"Content-Length: 1, 1\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked;q=1\r\n",
        b"A: b\r\n c\r\n",
        b"A:\r\n\tb\r\n",
        b"A: b\rc\r\n",
        b"A: b\nB: c\r\n",
        b"A: b\0c\r\n",
        b"A\0: b\r\n",
        b": b\r\n",
        b"A\r\n",
    ],
)
async def test_ambiguous_fields_are_refused(peer: Peer, headers: bytes) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
    assert refused(peer) == ([400], ["HTTP_MALFORMED"], True)


@pytest.mark.parametrize(
    "body",
    [
        b"1\r\nxx\r\n",
        b"1 \r\nx\r\n",
        b"0x1\r\nx\r\n",
        b"1\nx\n",
        b"1;a\nb\r\nx\r\n",
        b"fffffffffffffffff\r\n",
        b"1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n",
        b"1\r\nx\r\n0\r\nA: b\r\n c\r\n\r\n",
    ],
)
async def test_ambiguous_chunks_are_refused(peer: Peer, body: bytes) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert refused(peer) == ([400], ["HTTP_MALFORMED"], True)


async def test_blanks_and_tabs_around_a_value_are_removed(peer: Peer) -> None:
    peer.send(
        b"GET / HTTP/1.1\r\nHost: x \t\r\nX-Moesif-Application-Id:\t key \t \r\nForwarded: a \r\nForwarded:\tb\t\r\n"
    )
    peer.send(b"A: \t\r\n\r\n")
    (request,) = peer.handler.requests
    assert request.headers == {
        b"host": b"x",
        b"x-moesif-application-id": b"key",
        b"forwarded": b"a\nb",
        b"a": b"",
    }


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("value", [b"100-continue", b" 100-Continue \t", b"other, 100-continue"])
async def test_a_client_that_expects_100_continue_receives_it(peer: Peer, value: bytes) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect:" + value + b"\r\n\r\n")
    assert peer.transport.written == CONTINUE


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_unknown_expectation_and_any_of_http_10_is_ignored(peer: Peer, version: bytes) -> None:
    expect = b"100-continue" if version == b"1.0" else b"x100-continue"
    peer.send(b"POST / HTTP/" + version + b"\r\nHost: x\r\nContent-Length: 4\r\nExpect: " + expect + b"\r\n\r\n")
    assert peer.transport.written == b""
    peer.send(b"body")
    await peer.handler.answer()
    assert peer.statuses == [200]


async def test_expect_behind_other_requests_is_answered_after_them(peer: Peer) -> None:
    peer.send(POST + POST + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    await peer.handler.answer()
    assert CONTINUE not in peer.transport.written
    await peer.handler.answer()
    assert peer.transport.written.endswith(CONTINUE)
    peer.send(b"body")
    await peer.handler.answer()
    assert (peer.statuses, peer.transport.written.count(CONTINUE)) == ([200, 200, 100, 200], 1)


@pytest.mark.parametrize(
    "headers",
    [
        b"Connection: close\r\nConnection: upgrade\r\n",
        b"Connection: upgrade\r\nConnection: close\r\n",
        b"Connection: upgrade, close\r\n",
    ],
)
async def test_close_together_with_upgrade_closes(peer: Peer, headers: bytes) -> None:
    peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nForwarded: a\r\nForwarded: b\r\nUpgrade: h2c\r\n" + headers + b"\r\n")
    (request,) = peer.handler.requests
    assert request.headers[b"forwarded"] == b"a\nb"
    await peer.handler.answer()
    assert (peer.statuses, peer.transport.closed) == ([200], True)
    assert b"\r\nconnection: close\r\n" in peer.transport.written


@pytest.mark.parametrize("upgrade", [b"", b"Connection: upgrade\r\nUpgrade: h2c\r\n"])
@pytest.mark.parametrize("name", [b"X-Moesif-Application-Id", b"Authorization"])
async def test_a_repeated_credential_is_refused_and_the_connection_stays_open(
    peer: Peer, name: bytes, upgrade: bytes
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\n" + upgrade + 2 * (name + b": key\r\n") + b"Content-Length: 4\r\n"
    peer.send(head + b"\r\nbo")
    assert peer.statuses == []
    peer.send(b"dy" + POST)
    await asyncio.sleep(0)
    await peer.handler.answer()
    assert (peer.statuses, [each.path for each in peer.handler.requests]) == ([401, 200], [b"/v1/users"])
    assert b"CREDENTIAL_AMBIGUOUS" in peer.transport.written
    peer.send(head + b"Expect: 100-continue\r\n\r\n")
    assert (peer.statuses, peer.transport.closed) == ([401, 200, 401], True)


async def test_a_refusal_from_the_head_has_no_body_for_head(peer: Peer) -> None:
    peer.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n")
    assert (peer.statuses, peer.handler.requests) == ([401], [])
    assert peer.transport.written.endswith(b"\r\n\r\n")
    peer.send(b"HEAD / HTTP/1.1\r\n\r\n")
    assert (peer.statuses, peer.transport.written[-4:]) == ([401, 400], b"\r\n\r\n")


async def test_empty_lines_after_a_body_start_no_timer_and_have_a_limit(peer: Peer) -> None:
    peer.send(POST + b"\r\n")
    assert peer.connection.deadline == math.inf
    peer.send(b"\r\n")
    assert peer.connection.deadline == math.inf
    await peer.handler.answer()
    idle_until = peer.connection.deadline
    assert idle_until == peer.clock.now + limits.IDLE_SECONDS
    peer.wait(1)
    peer.send(b"\r\n")
    assert peer.connection.deadline == idle_until
    peer.send(POST)
    await peer.handler.answer()
    assert peer.statuses == [200, 200]
    peer.send(b"\r\n" * (limits.HEAD_BYTES // 2))
    assert peer.statuses == [200, 200]
    peer.send(b"\r")
    assert refused(peer) == ([200, 200, 431], ["HEAD_TOO_LARGE"], True)


async def test_a_defect_is_not_blamed_on_the_client(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Exchange:
        raise RuntimeError("john@acmeinc.com")

    monkeypatch.setattr(peer.handler, "begin", fail)
    with capture_logs() as logs:
        peer.send(POST)
    assert refused(peer) == ([500], ["INTERNAL"], True)
    assert [each["event"] for each in logs] == ["defect"]
    assert "john" not in str(logs)
    assert str(logs[0]["error_id"]).encode() in peer.transport.written


@pytest.mark.parametrize("path", ["/readyz", "/readyz/"])
async def test_readiness_is_answered_to_get_and_head_only(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.get(path)
    # The fake server has no health service.
    assert (answer.status_code, answer.json()) == (503, {"status": "the server does not answer"})
    answer = await gateway.client.head(path)
    assert (answer.status_code, answer.content) == (503, b"")
    for method in ("POST", "PUT", "DELETE"):
        answer = await gateway.client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert reasons(answer.json()) == ["METHOD_NOT_ALLOWED"]


async def test_pages_may_read_the_headers_of_an_error(gateway: Gateway, service: FakeUserService) -> None:
    answer = await gateway.post("/v1/users", b"", **{"Content-Encoding": "br"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip")
    assert answer.headers["access-control-expose-headers"] == "x-request-id, traceparent, accept-encoding"
    answer = await gateway.client.get("/readyz")
    assert "retry-after" in answer.headers["access-control-expose-headers"]
    answer = await gateway.client.delete("/v1/rules")
    assert answer.headers["access-control-expose-headers"] == "x-request-id, traceparent, allow"
