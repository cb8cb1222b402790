"""gRPC over TLS: real handshakes, with certificates that change while the server runs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2
from structlog.testing import capture_logs

from gateway.errors.rendering import Refusal
from gateway.upstream.channel import Channel
from runtime.certificates import NO_FILES, CertificateFiles, PemFile
from server.rpc.transport import OPTIONS, credentials
from tests.support.certificates import Authority, Pair


def files(pair: Pair | None, authority: Authority | None) -> CertificateFiles:
    """The files, as the settings name them."""
    return CertificateFiles(
        PemFile("CERTIFICATE", pair.certificate) if pair else None,
        PemFile("KEY", pair.key) if pair else None,
        PemFile("CA", authority.path) if authority else None,
    )


@dataclass
class TlsServer:
    """A server that responds with the name in the certificate of its client, and the files of both."""

    directory: Path
    authority: Authority
    clients: Authority
    address: str = ""

    def channel(self, client: Pair | None, authority: Authority | None = None, server_name: str = "") -> Channel:
        """A channel as the gateway opens it."""
        tls = files(client, authority or self.authority)
        return Channel(self.address, tls=tls, server_name=server_name or None)


async def response_of(channel: Channel | grpc.aio.Channel) -> str:
    """The common name in the certificate that the server saw, or the status code of a failed call."""
    call: Any = channel.unary_unary("/test/Who", request_serializer=None, response_deserializer=None)
    try:
        response: bytes = await call(b"", timeout=5)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    except Refusal as refused:
        return code_pb2.Code.Name(refused.status.code)  # type: ignore[arg-type]  # A code, as an int.
    return response.decode()


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    """A server that requires TLS, and a certificate of the client."""
    tls_server = TlsServer(tmp_path, Authority(tmp_path), Authority(tmp_path, "clients"))

    async def who(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return b",".join(context.auth_context()["x509_common_name"])

    server = grpc.aio.server(options=OPTIONS)
    handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    secured = credentials(files(tls_server.authority.issue(tmp_path, "server"), tls_server.clients))
    assert secured
    tls_server.address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', secured)}"
    await server.start()
    yield tls_server
    await server.stop(None)


def test_without_a_certificate_there_is_no_tls() -> None:
    assert credentials(NO_FILES) is None


async def test_both_sides_verify_the_certificate_of_the_other(tls_server: TlsServer) -> None:
    async with tls_server.channel(tls_server.clients.issue(tls_server.directory, "gateway")) as channel:
        assert await response_of(channel) == "gateway"


async def test_a_peer_without_a_valid_certificate_cannot_connect(tls_server: TlsServer) -> None:
    known = tls_server.clients.issue(tls_server.directory, "gateway")
    stranger = Authority(tls_server.directory, "stranger")
    for channel in (
        tls_server.channel(None),
        tls_server.channel(stranger.issue(tls_server.directory, "impostor")),
        tls_server.channel(known, authority=stranger),
        tls_server.channel(known, server_name="another.example"),
        Channel(tls_server.address),
    ):
        async with channel:
            assert await response_of(channel) == "UNAVAILABLE"


async def test_the_name_in_the_certificate_may_differ_from_the_address(tls_server: TlsServer) -> None:
    async with tls_server.channel(
        tls_server.clients.issue(tls_server.directory, "gateway"), server_name="localhost"
    ) as channel:
        assert await response_of(channel) == "gateway"


async def test_new_connections_use_new_certificates_and_old_connections_continue(tls_server: TlsServer) -> None:
    known = tls_server.clients.issue(tls_server.directory, "gateway")
    pem = files(known, tls_server.authority).read()
    fixed = grpc.ssl_channel_credentials(pem.authorities, pem.key, pem.certificate)
    async with grpc.aio.secure_channel(tls_server.address, fixed) as old:
        assert await response_of(old) == "gateway"
        # The old authorities are not trusted any more.
        authority = Authority(tls_server.directory)
        clients = Authority(tls_server.directory, "clients")
        authority.issue(tls_server.directory, "server")
        async with Channel(tls_server.address, tls=files(known, authority)) as stale:
            assert await response_of(stale) == "UNAVAILABLE"
        async with Channel(
            tls_server.address, tls=files(clients.issue(tls_server.directory, "other"), authority)
        ) as new:
            assert await response_of(new) == "other"
        assert await response_of(old) == "gateway"


async def test_the_gateway_presents_a_new_certificate_without_a_restart(tls_server: TlsServer) -> None:
    known = tls_server.clients.issue(tls_server.directory, "gateway")
    async with tls_server.channel(known) as channel:
        assert await response_of(channel) == "gateway"
        tls_server.clients.issue(tls_server.directory, "renamed")
        (tls_server.directory / "renamed.key").replace(known.key)
        with capture_logs() as logs:
            assert await response_of(channel) == "gateway"
            (tls_server.directory / "renamed.pem").replace(known.certificate)
            assert await response_of(channel) == "renamed"
        assert [event["event"] for event in logs] == ["certificates not reloaded", "certificates reloaded"]


async def test_the_server_keeps_its_certificate_where_the_new_one_is_broken(tls_server: TlsServer) -> None:
    known = tls_server.clients.issue(tls_server.directory, "gateway")
    (tls_server.directory / "server.key").write_bytes(b"nonsense")
    with capture_logs() as logs:
        async with tls_server.channel(known) as channel:
            assert await response_of(channel) == "gateway"
    assert [event["event"] for event in logs] == ["certificates not reloaded"]


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
