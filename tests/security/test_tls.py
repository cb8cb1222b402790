"""The programs over TLS: clients to the gateway, and the gateway to the server with client certificates."""

import contextlib
import http.client
import re
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import grpc
import httpx2
import orjson
import pytest
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.local.mongod import EmbeddedMongod
from tests.support.applications import Application
from tests.support.certificates import Authority
from tests.support.programs import Program, free_port
from tests.support.stack import DATABASE, start_gateway, start_server


class Stack:
    """A server that requires client certificates, and a gateway that has one and serves https."""

    def __init__(self, mongod: EmbeddedMongod, directory: Path, errors: IO[bytes]) -> None:
        self.authority = Authority(directory)
        self.clients = Authority(directory, "clients")
        self.server_pair = self.authority.issue(directory, "server")
        self.gateway_pair = self.authority.issue(directory, "gateway")
        client = self.clients.issue(directory, "client")
        self.metrics = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self.server = start_server(
            mongod.uri,
            variables={
                "USERFOLD_SERVER_METRICS_ADDRESS": self.metrics[0],
                "USERFOLD_GRPC_TLS_CERTIFICATE": str(self.server_pair.certificate),
                "USERFOLD_GRPC_TLS_KEY": str(self.server_pair.key),
                "USERFOLD_GRPC_TLS_CLIENT_CA": str(self.clients.path),
            },
            stderr=errors,
            measured=True,
        )
        self.gateway = start_gateway(
            self.server.ready["grpc"],
            {
                "USERFOLD_GATEWAY_METRICS_ADDRESS": self.metrics[1],
                "USERFOLD_HTTP_TLS_CERTIFICATE": str(self.gateway_pair.certificate),
                "USERFOLD_HTTP_TLS_KEY": str(self.gateway_pair.key),
                "USERFOLD_GRPC_TLS_CA": str(self.authority.path),
                "USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE": str(client.certificate),
                "USERFOLD_GRPC_TLS_CLIENT_KEY": str(client.key),
                "USERFOLD_GRPC_TLS_SERVER_NAME": "localhost",
            },
            stderr=errors,
            measured=True,
        )

    def connection(self) -> http.client.HTTPSConnection:
        trusted = ssl.create_default_context(cafile=self.authority.path)
        port = int(self.gateway.ready["http"].rpartition(":")[2])
        connection = http.client.HTTPSConnection("localhost", port, context=trusted, timeout=20)
        connection.connect()
        return connection

    def days_left(self) -> dict[str, int]:
        """The days until the certificates in use expire, rounded, by the variables of their files."""
        texts = [httpx2.get(f"http://{address}/metrics").text for address in self.metrics]
        found = re.findall(
            r"^userfold_\w+_certificate_expiry_timestamp_seconds{variable=.(\w+).} (\S+)$", "\n".join(texts), re.M
        )
        return {variable: round((float(end) - time.time()) / 86_400) for variable, end in found}


def serial_number(connection: http.client.HTTPSConnection) -> int:
    """The serial number of the certificate that the gateway presented."""
    assert isinstance(connection.sock, ssl.SSLSocket)
    return int(str((connection.sock.getpeercert() or {})["serialNumber"]), 16)


def status(connection: http.client.HTTPSConnection, application: Application) -> int:
    """The status of the response to an update."""
    headers = {"X-Moesif-Application-Id": application.collector_key}
    connection.request("POST", "/v1/users", b'{"user_id":"tls"}', headers)
    with connection.getresponse() as response:
        response.read()
        return response.status


def code_without_certificate(stack: Stack) -> grpc.StatusCode:
    """The code that a client without a certificate gets, although it trusts the server's."""
    trusted = grpc.ssl_channel_credentials(stack.authority.path.read_bytes())
    with grpc.secure_channel(stack.server.ready["grpc"], trusted) as channel:
        call: Any = UserServiceStub(channel).GetUser
        with pytest.raises(grpc.RpcError) as caught:
            call(pb.GetUserRequest(user_id="u"), timeout=10)
    error: Any = caught.value
    code: grpc.StatusCode = error.code()
    return code


@pytest.fixture
def errors() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file


@pytest.fixture
def stack(mongod: EmbeddedMongod, tmp_path: Path, errors: IO[bytes]) -> Iterator[Stack]:
    stack = Stack(mongod, tmp_path, errors)
    yield stack
    assert (stack.gateway.stop(), stack.server.stop()) == (0, 0)


def test_certificates_are_replaced_while_updates_are_served_over_tls(
    stack: Stack, application: Application, tmp_path: Path, errors: IO[bytes]
) -> None:
    assert stack.gateway.ready["http"].startswith("https://")
    variables = ("CERTIFICATE", "CLIENT_CA", "CA", "CLIENT_CERTIFICATE")
    first = {"USERFOLD_HTTP_TLS_CERTIFICATE": 1} | {f"USERFOLD_GRPC_TLS_{name}": 1 for name in variables}
    assert stack.days_left() == first
    with contextlib.closing(stack.connection()) as old:
        assert status(old, application) == 201
        # All files are replaced, also the authority of the server's clients.
        stack.clients = Authority(tmp_path, "clients")
        stack.clients.issue(tmp_path, "client")
        stack.authority.issue(tmp_path, "server")
        second = stack.authority.issue(tmp_path, "gateway", days=9)
        with contextlib.closing(stack.connection()) as new:
            assert (serial_number(new), serial_number(old)) == (second.serial_number, stack.gateway_pair.serial_number)
            assert (status(new, application), status(old, application)) == (201, 201)
    assert stack.days_left() == first | {"USERFOLD_HTTP_TLS_CERTIFICATE": 9}
    assert code_without_certificate(stack) is grpc.StatusCode.UNAVAILABLE
    errors.seek(0)
    events = {orjson.loads(line)["event"] for line in errors if line.startswith(b"{")}
    assert "certificates reloaded" in events
    assert "defect" not in events


@pytest.mark.parametrize(
    ("program", "certificate", "key"),
    [
        ("server", "USERFOLD_GRPC_TLS_CERTIFICATE", "USERFOLD_GRPC_TLS_KEY"),
        ("gateway", "USERFOLD_HTTP_TLS_CERTIFICATE", "USERFOLD_HTTP_TLS_KEY"),
        ("gateway", "USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE", "USERFOLD_GRPC_TLS_CLIENT_KEY"),
    ],
)
def test_a_key_of_another_certificate_is_reported_in_one_line_that_names_the_variable(
    program: str, certificate: str, key: str, mongod: EmbeddedMongod, tmp_path: Path, errors: IO[bytes]
) -> None:
    authority = Authority(tmp_path)
    pairs = [authority.issue(tmp_path, name) for name in ("one", "two")]
    environment = {certificate: str(pairs[0].certificate), key: str(pairs[1].key)}
    if program == "gateway":
        environment["USERFOLD_GRPC_TLS_CA"] = str(authority.path)
    environment |= {"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_DATABASE": DATABASE}
    environment |= {"USERFOLD_GRPC_ADDRESS": "127.0.0.1:0", "USERFOLD_HTTP_ADDRESS": "127.0.0.1:0"}
    assert Program(program, environment, stderr=errors).stop() == 1
    errors.seek(0)
    (line,) = errors.read().decode().splitlines()
    assert line.startswith(f"userfold-{program}: {key}: {pairs[1].key} is not the key of the certificate in ")
