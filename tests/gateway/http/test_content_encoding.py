"""Bodies as clients send them: compressed, chunked, too large, incomplete."""

import asyncio
import gzip
import tracemalloc
import zlib

import orjson
import pytest

from gateway.http import content_encoding
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import reasons
from tests.gateway.running import Gateway
from tests.support.waiting import until

USER = b'{"user_id":"1"}'


def zipped(content: bytes) -> bytes:
    # Without a timestamp, which would be part of the name of the test.
    return gzip.compress(content, mtime=0)


GZIP = zipped(USER)
POST = b"POST /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\n"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (USER, "identity"),
        (USER, ""),
        (GZIP, "gzip"),
        (GZIP, "X-GZip"),
        (GZIP, "identity, GZIP"),
        (zipped(USER[:5]) + zipped(USER[5:]), "gzip"),
        (zipped(b"") + GZIP + b"\0" * 100, "gzip"),
    ],
)
async def test_a_body_is_read_in_each_encoding(
    gateway: Gateway, service: FakeUserService, content: bytes, encoding: str
) -> None:
    answer = await gateway.post("/v1/users", content, **{"Content-Encoding": encoding, "Content-Type": "text/plain"})
    assert answer.status_code == 201
    assert service.request.user.user_id == "1"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
async def test_an_unsupported_encoding_is_415(gateway: Gateway, service: FakeUserService, encoding: str) -> None:
    answer = await gateway.post("/v1/users", USER, **{"Content-Encoding": encoding})
    assert (answer.status_code, reasons(answer.json())) == (415, ["UNSUPPORTED_CONTENT_ENCODING"])
    assert service.requests == []


@pytest.mark.parametrize(
    "content",
    [
        GZIP[:-1],
        GZIP[:5],
        GZIP + GZIP[:12],
        USER,
        GZIP[:-8] + b"\0" * 8,
        GZIP + b"garbage",
        zlib.compress(USER),
        zipped(b"") * 1001,
    ],
)
async def test_an_incomplete_gzip_stream_is_400(gateway: Gateway, service: FakeUserService, content: bytes) -> None:
    answer = await gateway.post("/v1/users", content, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, reasons(answer.json())) == (400, ["BODY_NOT_GZIP"])
    assert service.requests == []


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/users", content_encoding.OBJECT_BYTES), ("/v1/users/batch", content_encoding.ARRAY_BYTES)]
)
async def test_a_body_at_the_limit_is_read_and_one_byte_more_is_413(
    gateway: Gateway, service: FakeUserService, path: str, limit: int
) -> None:
    fits = USER.ljust(limit) if limit == content_encoding.OBJECT_BYTES else (b"[" + USER + b"]").ljust(limit)
    assert (await gateway.post(path, fits)).status_code == 201
    assert (await gateway.post(path, zipped(fits), **{"Content-Encoding": "gzip"})).status_code == 201
    for content, encoding in ((fits + b" ", "identity"), (zipped(fits + b" "), "gzip")):
        answer = await gateway.post(path, content, **{"Content-Encoding": encoding})
        assert (answer.status_code, reasons(answer.json())) == (413, ["BODY_TOO_LARGE"])
        assert f"{limit:,} bytes" in answer.json()["message"]
    assert len(service.requests) == 2


def chunked(content: bytes, size: int) -> bytes:
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_chunked_body_is_read(gateway: Gateway, service: FakeUserService, size: int) -> None:
    head = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n"
    answer = await gateway.raw(head + b"Content-Encoding: gzip\r\n\r\n" + chunked(GZIP, size))
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
    assert service.request.user.user_id == "1"


@pytest.mark.parametrize("length", [b"Content-Length: 30000000", b"Transfer-Encoding: chunked"])
async def test_a_client_that_is_still_sending_too_much_receives_the_413(
    gateway: Gateway, service: FakeUserService, length: bytes
) -> None:
    content = b"x" * 30_000_000
    sent = chunked(content, 100_000) if b"chunked" in length else content
    answer = await gateway.raw(POST + b"" + length + b"\r\n\r\n" + sent)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head.lower()
    assert reasons(orjson.loads(content)) == ["BODY_TOO_LARGE"]
    assert service.requests == []


async def test_a_bomb_is_refused(gateway: Gateway, service: FakeUserService) -> None:
    bomb = zipped(b"\0" * 200_000_000)
    answer = await gateway.post("/v1/users", bomb, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, reasons(answer.json())) == (413, ["BODY_TOO_LARGE"])


def test_a_bomb_costs_no_more_memory_than_the_limit() -> None:
    bomb = zipped(b"\0" * 200_000_000)
    inflater = content_encoding.Inflater(content_encoding.OBJECT_BYTES)
    tracemalloc.start()
    try:
        with pytest.raises(content_encoding.BodyTooLarge):
            inflater.inflate(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * content_encoding.OBJECT_BYTES


async def test_expect_100_continue_is_answered_with_100(gateway: Gateway, service: FakeUserService) -> None:
    head = POST + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n"
    answer = await gateway.raw(head + USER)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n")


async def test_expect_100_continue_with_a_body_that_is_too_large_is_refused_before_it_is_sent(gateway: Gateway) -> None:
    head = POST + b"Expect: 100-continue\r\nContent-Length: 99000000\r\n\r\n"
    assert (await gateway.raw(head)).startswith(b"HTTP/1.1 413 ")


async def test_an_incomplete_body_is_not_sent_to_the_server(gateway: Gateway, service: FakeUserService) -> None:
    port = int(gateway.url.rpartition(":")[2])
    opened = gateway.listener._connections.open
    before = {*opened}
    for length in (50, 5_000_000):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: bool(opened - before))
        writer.write(POST + b"Content-Length: %d\r\n\r\n{" % length)
        writer.close()
        await writer.wait_closed()
        await until(lambda: opened <= before)
    assert (await gateway.post("/v1/users", {"user_id": "1"})).status_code == 201
    assert len(service.requests) == 1
