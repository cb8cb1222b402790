"""Limits of the admin listener, and how it stops."""

import asyncio
import signal
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from userfold.v1 import user_service_pb2 as pb

from gateway.admin import forwarding, listener
from gateway.http import content_encoding, limits
from runtime.certificates import CertificateFiles
from tests.gateway.admin.conftest import Admin, running_admin
from tests.gateway.fakes import FakeUserService
from tests.gateway.running import KEY, Backend
from tests.support.certificates import Authority
from tests.support.http1 import AsyncConnection, Response, host_and_port, request_bytes
from tests.support.waiting import later, until

POST = request_bytes("POST", "/v1/users", {**KEY, "Content-Length": 15}, b'{"user_id":"1"}')


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What is received until the connection ends."""
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:
        return b""


async def refusal_of(admin: Admin, request: bytes) -> tuple[int, str]:
    """The status and the reason of the response to a request."""
    connection = await AsyncConnection.open(admin.url)
    response: Response = await connection.exchange(request)
    connection.close()
    return response.status, response.json["details"][0]["reason"]


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n"])
async def test_a_head_that_does_not_end_is_cut_off(admin: Admin, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(*host_and_port(admin.url))
    writer.write(sent)
    await until(lambda: admin.connections == 1)
    await later(limits.HEAD_SECONDS - 1)
    assert admin.connections == 1
    await later(2)
    assert await everything(reader) == b""
    assert admin.connections == 0
    writer.close()


async def test_the_next_head_on_a_connection_has_the_same_time(admin: Admin) -> None:
    reader, writer = await asyncio.open_connection(*host_and_port(admin.url))
    writer.write(request_bytes("GET", "/healthz", {}))
    await reader.readuntil(b'{"status":"alive"}')
    writer.write(b"G")
    await until(lambda: admin.connections == 1)
    await later(limits.HEAD_SECONDS + 1)
    assert await everything(reader) == b""
    writer.close()


async def test_a_request_may_take_longer_than_its_head(admin: Admin, service: FakeUserService) -> None:
    service.may_answer.clear()
    reading = asyncio.create_task(admin.client.get("/v1/users/1"))
    await service.arrived.wait()
    await later(limits.HEAD_SECONDS + 1)
    service.may_answer.set()
    assert (await reading).status_code == 200


async def test_a_body_that_does_not_end_is_refused(admin: Admin, service: FakeUserService) -> None:
    reader, writer = await asyncio.open_connection(*host_and_port(admin.url))
    writer.write(POST[:-1])
    await until(lambda: bool(admin.listener._server.server_state.tasks))
    await later(limits.BODY_SECONDS + 1)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert service.requests == []


async def test_a_client_that_does_not_receive_is_cut_off(admin: Admin, service: FakeUserService) -> None:
    service.reply = pb.GetUserResponse()
    service.reply.user.metadata["text"] = "x" * 7_000_000
    with socket.create_connection(host_and_port(admin.url)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(request_bytes("GET", "/v1/users/1", KEY))

        def waits() -> bool:
            return any(each._sending for each in admin.listener._server.server_state.connections)  # type: ignore[union-attr]

        await until(waits)
        await later(limits.TAKE_SECONDS + 1)
        await until(lambda: admin.connections == 0)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Length": content_encoding.OBJECT_BYTES + 1}, b""),
        ({"Transfer-Encoding": "chunked"}, b"100001\r\n" + b" " * 0x100001 + b"\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_that_is_too_large_is_refused(admin: Admin, headers: dict[str, object], body: bytes) -> None:
    request = request_bytes("POST", "/v1/users", {**KEY, **headers}, body)
    assert await refusal_of(admin, request) == (413, "BODY_TOO_LARGE")


async def test_all_bodies_together_are_bounded(
    admin: Admin, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "HELD_BYTES", 20)
    service.may_answer.clear()
    first = asyncio.create_task(admin.client.post("/v1/users", content=b'{"user_id":"1"}'))
    await service.arrived.wait()
    assert await refusal_of(admin, POST) == (429, "OVERLOADED")
    service.may_answer.set()
    assert (await first).status_code == 201
    assert (await admin.client.post("/v1/users", content=b'{"user_id":"1"}')).status_code == 201


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"NONSENSE\r\n\r\n", "HTTP_MALFORMED"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * limits.HEAD_BYTES, "HTTP_MALFORMED"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", "HOST_INVALID"),
    ],
)
async def test_what_is_no_request_is_refused_in_the_form_of_all_errors(admin: Admin, sent: bytes, reason: str) -> None:
    assert await refusal_of(admin, sent) == (400, reason)


async def test_a_connection_beyond_the_limit_is_closed(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "CONNECTIONS", 2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(host_and_port(admin.url)))
        await until(lambda: admin.connections == 2)
        reader, writer = await asyncio.open_connection(*host_and_port(admin.url))
        assert await everything(reader) == b""
        writer.close()
    await until(lambda: admin.connections == 0)
    assert (await admin.client.get("/healthz")).status_code == 200


async def test_a_call_ends_when_its_client_has_gone(admin: Admin, service: FakeUserService) -> None:
    service.may_answer.clear()
    _, writer = await asyncio.open_connection(*host_and_port(admin.url))
    writer.write(request_bytes("GET", "/v1/users/1", KEY))
    await service.arrived.wait()
    writer.transport.abort()
    # Long before the deadline of the call.
    async with asyncio.timeout(15):
        await until(lambda: not admin.listener._server.server_state.tasks)
    service.may_answer.set()


async def test_it_leaves_signals_to_the_gateway(backend: Backend) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with running_admin(backend.address) as admin:
        assert (await admin.client.get("/healthz")).status_code == 200
        assert signal.getsignal(signal.SIGTERM) is before


async def test_requests_in_flight_end_before_it_stops(backend: Backend, service: FakeUserService) -> None:
    async with running_admin(backend.address, drain_seconds=0.2) as admin:
        service.may_answer.clear()
        idle = await AsyncConnection.open(admin.url)
        in_flight = asyncio.create_task(admin.client.get("/v1/users/1"))
        await service.arrived.wait()
        admin.listener.stop()
        # It still serves, so that load balancers notice.
        assert (await idle.exchange(request_bytes("GET", "/healthz", {}))).status == 200

        def refuses() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(host_and_port(admin.url)) != 0

        await until(refuses)
        assert not admin.serving.done()
        service.may_answer.set()
        assert (await in_flight).status_code == 200
        await asyncio.wait_for(admin.serving, 20)
        idle.close()


async def test_with_a_certificate_it_speaks_tls_alone_and_reads_new_files(backend: Backend, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = authority.issue(tmp_path, "admin")
    files = CertificateFiles.from_environment(
        {"C": str(first.certificate), "K": str(first.key)}, certificate="C", key="K"
    )
    trusted = ssl.create_default_context(cafile=authority.path)
    async with running_admin(backend.address, tls=files) as admin:
        assert admin.url.startswith("https://")
        numbers = []
        for _ in range(2):
            _, writer = await asyncio.open_connection(*host_and_port(admin.url), ssl=trusted)
            certificate = writer.get_extra_info("ssl_object").getpeercert()
            numbers.append(int(certificate["serialNumber"], 16))
            writer.close()
            second = authority.issue(tmp_path, "admin")
        assert numbers[0] == first.serial_number != numbers[1] != second.serial_number
        async with httpx2.AsyncClient(trust_env=False, verify=trusted) as client:
            assert (await client.get(f"{admin.url}/healthz")).status_code == 200
            with pytest.raises(httpx2.TransportError):
                await client.get(f"{admin.url.replace('https', 'http')}/healthz")


async def test_a_handshake_that_does_not_end_is_cut_off(backend: Backend, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue(tmp_path, "admin")
    files = CertificateFiles.from_environment(
        {"C": str(pair.certificate), "K": str(pair.key)}, certificate="C", key="K"
    )
    async with running_admin(backend.address, tls=files) as admin:
        reader, writer = await asyncio.open_connection(*host_and_port(admin.url))
        await until(lambda: len(admin.listener._beginning) == 1)
        await later(limits.HANDSHAKE_SECONDS + 1)
        assert await everything(reader) == b""
        await until(lambda: not admin.listener._beginning)
        writer.close()
