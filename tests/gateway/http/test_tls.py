"""HTTP over TLS: real handshakes, with certificates that are replaced in between."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from gateway.http.tls import server_context
from gateway.settings import Settings
from runtime.certificates import NO_FILES
from tests.gateway.fakes import FakeUserService
from tests.gateway.running import Backend, Gateway, running_gateway
from tests.support.certificates import Authority
from tests.support.waiting import turns, until

REQUEST = b"GET /v1/rules HTTP/1.1\r\nHost: x\r\n\r\n"


class Client:
    """A connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def tls(self) -> ssl.SSLObject:
        found: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return found

    @property
    def serial_number(self) -> int:
        """The serial number of the gateway's certificate."""
        return int(str((self.tls.getpeercert() or {})["serialNumber"]), 16)

    async def status(self) -> bytes:
        """Send a request, and return the status line of the response."""
        self._writer.write(REQUEST)
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n[]"), 10)
        return head.partition(b"\r\n")[0]


@dataclass
class Place:
    """A gateway that speaks https only, and the files of its certificate."""

    directory: Path
    authority: Authority
    gateway: Gateway

    @property
    def port(self) -> int:
        return int(self.gateway.url.rpartition(":")[2])

    @contextlib.asynccontextmanager
    async def client(self, trusted: ssl.SSLContext) -> AsyncIterator[Client]:
        """A client that trusts these authorities."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=trusted)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def settings_of(directory: Path) -> Settings:
    return Settings.from_environment(
        {
            "USERFOLD_HTTP_TLS_CERTIFICATE": str(directory / "gateway.pem"),
            "USERFOLD_HTTP_TLS_KEY": str(directory / "gateway.key"),
        }
    )


@pytest.fixture
async def place(tmp_path: Path, backend: Backend) -> AsyncIterator[Place]:
    authority = Authority(tmp_path)
    authority.issue(tmp_path, "gateway")
    trusted = ssl.create_default_context(cafile=authority.path)
    tls = settings_of(tmp_path).http_tls
    async with running_gateway(backend.address, verify=trusted, http_tls=tls) as gateway:
        yield Place(tmp_path, authority, gateway)


async def test_it_answers_over_tls_only(place: Place, service: FakeUserService) -> None:
    assert place.gateway.url.startswith("https://127.0.0.1:")
    # More than one packet, in both directions.
    answer = await place.gateway.post("/v1/users", {"user_id": "u", "metadata": {"text": "x" * 500_000}})
    assert (answer.status_code, answer.json()) == (201, {})
    assert len(service.request.user.metadata_json) > 500_000
    async with httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx2.TransportError):
            await client.get(place.gateway.url.replace("https", "http"))


async def test_a_client_that_does_not_trust_its_authority_does_not_connect(place: Place) -> None:
    other = ssl.create_default_context(cafile=Authority(place.directory, "other").path)
    with pytest.raises(ssl.SSLCertVerificationError):
        async with place.client(other):
            pass
    answer = await place.gateway.client.get("/v1/rules")
    assert answer.status_code == 200


async def test_the_handshake_selects_http11_and_a_secure_version(place: Place) -> None:
    trusted = ssl.create_default_context(cafile=place.authority.path)
    trusted.set_alpn_protocols(["h2", "http/1.1"])
    async with place.client(trusted) as client:
        assert (client.tls.selected_alpn_protocol(), client.tls.version()) == ("http/1.1", "TLSv1.3")
    context = server_context(settings_of(place.directory).http_tls)
    assert context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert server_context(NO_FILES) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("names_the_host", [True, False])
async def test_a_new_certificate_is_used_by_new_connections_and_old_connections_stay_open(
    place: Place, version: ssl.TLSVersion, names_the_host: bool
) -> None:
    trusted = ssl.create_default_context(cafile=place.authority.path)
    trusted.maximum_version = version
    trusted.check_hostname = names_the_host
    first = place.authority.issue(place.directory, "gateway")
    async with place.client(trusted) as old:
        assert old.serial_number == first.serial_number
        second = place.authority.issue(place.directory, "gateway")
        async with place.client(trusted) as new:
            assert new.serial_number == second.serial_number
            assert await new.status() == await old.status() == b"HTTP/1.1 200 OK"
        assert old.serial_number == first.serial_number


async def test_an_unusable_certificate_does_not_replace_the_previous_one(place: Place) -> None:
    trusted = ssl.create_default_context(cafile=place.authority.path)
    first = place.authority.issue(place.directory, "gateway")
    async with place.client(trusted):
        pass
    (place.directory / "gateway.pem").write_bytes(b"nonsense")
    with capture_logs() as logs:
        for _ in range(2):
            async with place.client(trusted) as client:
                assert client.serial_number == first.serial_number
    assert [each["event"] for each in logs] == ["certificates not reloaded"]


async def test_a_client_that_does_not_finish_its_handshake_is_disconnected_in_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = place.gateway.listener._connections
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(b"\x16\x03\x01")
    await until(lambda: bool(connections.open))
    now = time.monotonic()
    for seconds, is_open in ((5, True), (15, False)):
        monkeypatch.setattr(connections, "clock", lambda seconds=seconds: now + seconds)
        connections.tick("")
        await turns()
        assert bool(connections.open) == is_open
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_a_client_that_ends_its_side_closes_the_connection(place: Place, service: FakeUserService) -> None:
    service.may_answer.clear()
    trusted = ssl.create_default_context(cafile=place.authority.path)
    async with place.client(trusted) as client:
        client._writer.write(
            b"POST /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 15\r\n\r\n" + b'{"user_id":"1"}'
        )
        await service.arrived.wait()
    service.may_answer.set()
    assert service.request.user.user_id == "1"
