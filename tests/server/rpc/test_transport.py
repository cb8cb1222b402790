"""gRPC over TLS: real handshakes, with certificates that are exchanged meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from gateway.upstream.channel import Channel
from runtime.certificates import NO_FILES, CertificateFiles, PemFile
from server.rpc.transport import OPTIONS, credentials
from tests.support.certificates import Authority, Pair


def files(pair: Pair | None, authority: Authority | None) -> CertificateFiles:
    """Files as the settings name them."""
    return CertificateFiles(
        PemFile("CERTIFICATE", pair.certificate) if pair else None,
        PemFile("KEY", pair.key) if pair else None,
        PemFile("CA", authority.path) if authority else None,
    )


@dataclass
class Place:
    """A server that answers with the serial number of its caller's certificate, and the files it works with."""

    directory: Path
    authority: Authority
    clients: Authority
    address: str = ""

    def channel(self, client: Pair | None, authority: Authority | None = None, server_name: str = "") -> Channel:
        """A channel as the gateway has it."""
        tls = files(client, authority or self.authority)
        return Channel(self.address, tls=tls, server_name=server_name or None)


async def asked(channel: Channel | grpc.aio.Channel) -> str:
    """The common name of the certificate that the server saw; the code of a failure."""
    call: Any = channel.unary_unary("/test/Who", request_serializer=None, response_deserializer=None)
    try:
        answer: bytes = await call(b"", timeout=5)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return answer.decode()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A server that takes TLS with certificates of its callers alone."""
    place = Place(tmp_path, Authority(tmp_path), Authority(tmp_path, "clients"))

    async def who(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return b",".join(context.auth_context()["x509_common_name"])

    server = grpc.aio.server(options=OPTIONS)
    handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    secured = credentials(files(place.authority.issue(tmp_path, "server"), place.clients))
    assert secured
    place.address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', secured)}"
    await server.start()
    yield place
    await server.stop(None)


def test_without_a_certificate_there_is_no_tls() -> None:
    assert credentials(NO_FILES) is None


async def test_both_sides_know_each_other_by_their_certificates(place: Place) -> None:
    async with place.channel(place.clients.issue(place.directory, "gateway")) as channel:
        assert await asked(channel) == "gateway"


async def test_whoever_cannot_show_who_it_is_gets_nowhere(place: Place) -> None:
    known = place.clients.issue(place.directory, "gateway")
    stranger = Authority(place.directory, "stranger")
    for channel in (
        place.channel(None),
        place.channel(stranger.issue(place.directory, "impostor")),
        place.channel(known, authority=stranger),
        place.channel(known, server_name="another.example"),
        Channel(place.address),
    ):
        async with channel:
            assert await asked(channel) == "UNAVAILABLE"


async def test_the_name_in_the_certificate_may_be_another_than_the_address(place: Place) -> None:
    async with place.channel(place.clients.issue(place.directory, "gateway"), server_name="localhost") as channel:
        assert await asked(channel) == "gateway"


async def test_new_certificates_are_seen_by_new_connections_and_old_connections_live_on(place: Place) -> None:
    known = place.clients.issue(place.directory, "gateway")
    pem = files(known, place.authority).read()
    fixed = grpc.ssl_channel_credentials(pem.authorities, pem.key, pem.certificate)
    async with grpc.aio.secure_channel(place.address, fixed) as old:
        assert await asked(old) == "gateway"
        # Nothing of the old authorities is left.
        authority = Authority(place.directory)
        clients = Authority(place.directory, "clients")
        authority.issue(place.directory, "server")
        async with Channel(place.address, tls=files(known, authority)) as stale:
            assert await asked(stale) == "UNAVAILABLE"
        async with Channel(place.address, tls=files(clients.issue(place.directory, "other"), authority)) as new:
            assert await asked(new) == "other"
        assert await asked(old) == "gateway"


async def test_the_gateway_shows_a_new_certificate_without_being_started_anew(place: Place) -> None:
    known = place.clients.issue(place.directory, "gateway")
    async with place.channel(known) as channel:
        assert await asked(channel) == "gateway"
        place.clients.issue(place.directory, "renamed")
        (place.directory / "renamed.key").replace(known.key)
        with capture_logs() as logs:
            assert await asked(channel) == "gateway"
            (place.directory / "renamed.pem").replace(known.certificate)
            assert await asked(channel) == "renamed"
        assert [each["event"] for each in logs] == ["certificates not reloaded", "certificates reloaded"]


async def test_a_broken_certificate_of_the_server_keeps_the_one_before(place: Place) -> None:
    known = place.clients.issue(place.directory, "gateway")
    (place.directory / "server.key").write_bytes(b"nonsense")
    with capture_logs() as logs:
        async with place.channel(known) as channel:
            assert await asked(channel) == "gateway"
    assert [each["event"] for each in logs] == ["certificates not reloaded"]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_server_on_all_addresses_serves_ipv4_too(host: str) -> None:
    server = grpc.aio.server(options=OPTIONS)
    port = server.add_insecure_port("[::]:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        call: Any = channel.unary_unary("/none/None", bytes, bytes)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(b"", timeout=20)
        assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await server.stop(None)
