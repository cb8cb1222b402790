"""`userfold healthcheck`: whether a program on this machine is ready, as the exit status, for probes."""

import re
import ssl
import urllib.request
from enum import StrEnum
from http.client import HTTPException
from os import environ
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.error import URLError

import grpc
import typer
from cryptography import x509
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from userfold.v1.user_service_pb2 import DESCRIPTOR

from cli.failures import CommandFailed, ExitStatus
from gateway.endpoints.health import LIVE, READY
from gateway.settings import Settings as GatewaySettings
from gateway.settings import split_address
from runtime.certificates import CertificateFiles, CertificateUnusable

app = typer.Typer()

_READINESS: Final = DESCRIPTOR.services_by_name["UserService"].full_name
_HOST_AND_PORT: Final = re.compile(r"(\[.*\]|[^:/]+):\d+")
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # They are replaced here, not listened on.


class Program(StrEnum):
    """The programs that report their health."""

    SERVER = "server"
    GATEWAY = "gateway"


@app.command()
def healthcheck(
    program: Annotated[Program, typer.Argument(help="The program to ask.")] = Program.SERVER,
    live: Annotated[bool, typer.Option("--live", help="Only whether it runs, not whether it is ready.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, metavar="SECONDS", help="How long to wait.")] = 3.0,
) -> None:
    """Ask a program on this machine whether it is ready. The exit status is 0 if it is, else 3.

    It is called as it is configured: at USERFOLD_GRPC_ADDRESS or USERFOLD_HTTP_ADDRESS, and over TLS where it has a
    certificate, which is then the one to expect.
    """
    try:
        problem = _server(live, timeout) if program is Program.SERVER else _gateway(live, timeout)
    except CertificateUnusable as error:
        raise CommandFailed(str(error), ExitStatus.USAGE) from None
    if problem:
        raise CommandFailed(f"the {program} is not {'alive' if live else 'ready'}: {problem}", ExitStatus.UNAVAILABLE)
    print("alive" if live else "ready")


def _server(live: bool, timeout: float) -> str | None:
    """What is wrong with the server; None where nothing is."""
    settings = GatewaySettings.from_environment(environ)
    own = CertificateFiles.from_environment(
        environ,
        certificate="USERFOLD_GRPC_TLS_CERTIFICATE",
        key="USERFOLD_GRPC_TLS_KEY",
        authorities="USERFOLD_GRPC_TLS_CLIENT_CA",
    )
    address = settings.grpc_address
    if _HOST_AND_PORT.fullmatch(address):
        address = _loopback("USERFOLD_GRPC_ADDRESS", address)
    options: list[tuple[str, int | str]] = [("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]
    name, credentials = settings.grpc_server_name, None
    if own.certificate:
        pem, name = own.read(), _name_in(own.certificate.path)
        # A server that expects certificates of its callers accepts its own, if the same authority signed it.
        pair = (pem.key, pem.certificate) if own.authorities else (None, None)
        credentials = grpc.ssl_channel_credentials(pem.certificate, *pair)
    elif settings.grpc_tls.authorities:
        pem = settings.grpc_tls.read()
        credentials = grpc.ssl_channel_credentials(pem.authorities, pem.key, pem.certificate)
    if name:
        options.append(("grpc.ssl_target_name_override", name))
    channel = (
        grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address, options)
    )
    with channel:
        try:
            request = HealthCheckRequest(service="" if live else _READINESS)
            health: Any = HealthStub(channel)  # The stubs leave its methods out.
            status = health.Check(request, timeout=timeout).status
        except grpc.RpcError as error:
            return f"{error.code().name} at {address}"
    return None if status == HealthCheckResponse.SERVING else "it says that it does not serve"


def _gateway(live: bool, timeout: float) -> str | None:
    """What is wrong with the gateway; None where nothing is."""
    settings = GatewaySettings.from_environment(environ)
    address, context = _loopback("USERFOLD_HTTP_ADDRESS", settings.http_address), None
    if settings.http_tls.certificate:
        context = ssl.create_default_context(cafile=str(settings.http_tls.certificate.path))
        # The file holds the certificate itself, and perhaps not its authority. Its host is not the one that is called.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
    url = f"{'https' if context else 'http'}://{address}{settings.path_prefix}{LIVE if live else READY}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=timeout):
            return None
    except URLError as error:
        return f"{error.reason} at {address}"
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__} at {address}"


def _loopback(variable: str, address: str) -> str:
    """The address at which a program of this machine can be called."""
    host, port = split_address(variable, address)
    host = _ANY_HOST.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _name_in(path: Path) -> str:
    """A name that a certificate is for."""
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(next(iter(names)).value)
