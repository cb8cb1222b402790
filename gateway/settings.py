"""The operator's settings, from the environment."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.certificates import NO_FILES, CertificateFiles
from runtime.logs import Format
from runtime.reporting.origin import Addresses
from runtime.reporting.request_log import NO_REQUESTS, RequestLog
from runtime.settings import InvalidSetting, Switch, log_level, one_of, share

__all__ = ["InvalidSetting", "Settings", "split_address"]

_WORKERS_LIMIT = 64
_CONNECTIONS_LIMIT = 100_000
_OFF = "off"
_GRAVATAR = "USERFOLD_CONSOLE_GRAVATAR"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_SEGMENTS = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class Settings:
    """The gateway's settings.

    Addresses are `HOST:PORT`; the gateway listens on any free port where it is 0. `grpc_address` is any gRPC target.
    `path_prefix` is empty, or begins with `/` and does not end with one. `trusted_proxies` are addresses and networks
    whose `X-Forwarded-For` is trusted. `rpc_seconds` is the deadline of a call that writes: two client libraries give
    up after 10 s. A call that reads has `read_seconds`: a report may take MongoDB 20 s. `workers` is the number of
    processes, 1 to 64, and the number of servers that the gateway expects behind the gRPC address. `http_connections`
    is the limit of open connections of each process, 1 to 100,000. Log events below `log_level` are dropped.
    `request_log` says which requests are logged, and how much of the addresses of clients.

    The admin listener is at `admin_address`, if there is one, and speaks https only with a certificate in `admin_tls`.
    It serves metrics only where there is a `metrics_token`, which requests must send. Its console
    shows pictures of users with `gravatar`: browsers load them from there.

    With a certificate in `http_tls`, the gateway speaks https only. With authorities in `grpc_tls`, it calls the server
    over TLS, expects `grpc_server_name`, or the host of the address, in the server's certificate, and presents its own
    certificate, if it has one.
    """

    http_address: str = "127.0.0.1:8080"
    grpc_address: str = "127.0.0.1:50051"
    admin_address: str | None = "127.0.0.1:8081"
    path_prefix: str = ""
    trusted_proxies: tuple[str, ...] = ()
    region: str = "local"
    metrics_address: str | None = None
    metrics_token: str | None = field(default=None, repr=False)
    gravatar: bool = False
    rpc_seconds: float = 9.0
    read_seconds: float = 25.0
    workers: int = 1
    http_connections: int = 4096
    drain_seconds: float = 0.0
    http_tls: CertificateFiles = NO_FILES
    admin_tls: CertificateFiles = NO_FILES
    grpc_tls: CertificateFiles = NO_FILES
    grpc_server_name: str | None = None
    log_level: str = "info"
    log_format: Format = Format.AUTO
    request_log: RequestLog = NO_REQUESTS

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings in `environment`. An empty variable means that it is not set.

        Raises InvalidSetting, or CertificateUnusable where a certificate is incomplete.
        """
        settings = cls(
            http_address=environment.get("USERFOLD_HTTP_ADDRESS") or cls().http_address,
            grpc_address=environment.get("USERFOLD_GRPC_ADDRESS") or cls().grpc_address,
            admin_address=_admin_address(environment.get("USERFOLD_ADMIN_ADDRESS") or cls().admin_address),
            path_prefix=_prefix(environment.get("USERFOLD_PATH_PREFIX", "")),
            trusted_proxies=_networks(environment.get("USERFOLD_TRUSTED_PROXIES", "")),
            region=environment.get("USERFOLD_REGION") or cls().region,
            metrics_address=environment.get("USERFOLD_GATEWAY_METRICS_ADDRESS") or None,
            metrics_token=_token("USERFOLD_METRICS_TOKEN", environment.get("USERFOLD_METRICS_TOKEN") or None),
            gravatar=one_of(Switch, _GRAVATAR, environment.get(_GRAVATAR) or Switch.OFF) is Switch.ON,
            workers=_number(environment, "USERFOLD_WORKERS", cls().workers, _WORKERS_LIMIT),
            http_connections=_number(
                environment, "USERFOLD_HTTP_CONNECTIONS", cls().http_connections, _CONNECTIONS_LIMIT
            ),
            drain_seconds=_seconds("USERFOLD_DRAIN_SECONDS", environment.get("USERFOLD_DRAIN_SECONDS") or "0", 60),
            http_tls=CertificateFiles.from_environment(
                environment, certificate="USERFOLD_HTTP_TLS_CERTIFICATE", key="USERFOLD_HTTP_TLS_KEY"
            ),
            admin_tls=CertificateFiles.from_environment(
                environment, certificate="USERFOLD_ADMIN_TLS_CERTIFICATE", key="USERFOLD_ADMIN_TLS_KEY"
            ),
            grpc_tls=CertificateFiles.from_environment(
                environment,
                certificate="USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE",
                key="USERFOLD_GRPC_TLS_CLIENT_KEY",
                authorities="USERFOLD_GRPC_TLS_CA",
            ),
            grpc_server_name=environment.get("USERFOLD_GRPC_TLS_SERVER_NAME") or None,
            log_level=log_level(environment.get("USERFOLD_LOG_LEVEL") or cls().log_level),
            log_format=one_of(Format, "USERFOLD_LOG_FORMAT", environment.get("USERFOLD_LOG_FORMAT") or "auto"),
            request_log=RequestLog(
                share("USERFOLD_ACCESS_LOG", environment.get("USERFOLD_ACCESS_LOG") or "0"),
                one_of(
                    Addresses,
                    "USERFOLD_LOG_CLIENT_ADDRESS",
                    environment.get("USERFOLD_LOG_CLIENT_ADDRESS") or "none",
                ),
            ),
        )
        split_address("USERFOLD_HTTP_ADDRESS", settings.http_address)
        if ":" not in settings.grpc_address:
            raise InvalidSetting("USERFOLD_GRPC_ADDRESS must be HOST:PORT, such as 127.0.0.1:50051, or unix:PATH")
        if settings.metrics_address:
            split_address("USERFOLD_GATEWAY_METRICS_ADDRESS", settings.metrics_address)
        if (settings.grpc_tls.certificate or settings.grpc_server_name) and not settings.grpc_tls.authorities:
            raise InvalidSetting(
                "USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE and USERFOLD_GRPC_TLS_SERVER_NAME mean nothing without"
                " USERFOLD_GRPC_TLS_CA"
            )
        return settings


def split_address(name: str, address: str) -> tuple[str, int]:
    """The host and port of an address. Raises InvalidSetting, which names the variable `name`."""
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not host or (":" in host) != bracketed or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise InvalidSetting(f"{name} must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    return host, int(port)


def _admin_address(address: str | None) -> str | None:
    if address is None or address == _OFF:
        return None
    split_address("USERFOLD_ADMIN_ADDRESS", address)
    return address


def _token(name: str, token: str | None) -> str | None:
    if token is not None and not _TOKEN.fullmatch(token):
        raise InvalidSetting(
            f"{name} must have 16 to 512 letters, digits and ._~+/=-, such as `openssl rand -hex 32` prints"
        )
    return token


def _prefix(text: str) -> str:
    prefix = re.sub("/+", "/", f"/{text}").rstrip("/")
    if not _SEGMENTS.fullmatch(prefix):
        raise InvalidSetting("USERFOLD_PATH_PREFIX must be a path of letters, digits and ._~-, such as /userfold")
    return prefix


def _networks(text: str) -> tuple[str, ...]:
    networks = tuple(each.strip() for each in text.split(",") if each.strip())
    try:
        for each in networks:
            ipaddress.ip_network(each)
    except ValueError:
        raise InvalidSetting(
            "USERFOLD_TRUSTED_PROXIES must be addresses or networks, such as 10.0.0.5,192.168.0.0/16"
        ) from None
    return networks


def _seconds(name: str, text: str, limit: int) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text) or float(text) > limit:
        raise InvalidSetting(f"{name} must be a number of seconds from 0 to {limit:,}")
    return float(text)


def _number(environment: Mapping[str, str], name: str, default: int, limit: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(limit)) and 1 <= int(text) <= limit):
        raise InvalidSetting(f"{name} must be a number from 1 to {limit}")
    return int(text)
