"""The settings of the server, from environment variables."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runtime.certificates import NO_FILES, CertificateFiles
from runtime.logs import Format
from runtime.reporting.origin import Addresses
from runtime.reporting.request_log import NO_REQUESTS, RequestLog
from runtime.settings import InvalidSetting, log_level, one_of, share

__all__ = ["SOCKET_BYTES", "InvalidSetting", "Settings", "split_address"]

_MAX_WORKERS: Final = 64
_MAX_DAYS: Final = 36_500

SOCKET_BYTES: Final = 100
"""The limit of the path of a Unix socket. Linux allows 107, other systems 103."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the server.

    Without a `mongodb_uri`, the server starts an embedded MongoDB with its data in `data_dir`. Addresses are
    `HOST:PORT`; port 0 is any free port. `grpc_socket` is the path of a Unix socket on which the server also listens.
    `workers`, 1 to 64, is the number of processes that serve. With a certificate in `tls`, gRPC requires TLS; with
    authorities, clients need a certificate that one of them signed.

    `rate_limit` is in items per second for each application; 0: no limit. Visitors without updates for `visitor_days`
    are deleted; 0: never. For `drain_seconds` after the signal to stop, the server reports that it is not ready, and
    still serves. Events below `log_level` are not logged.
    `request_log` says which requests are, and how much of the addresses of clients.
    """

    mongodb_uri: str | None
    database: str
    data_dir: str
    grpc_address: str
    metrics_address: str | None
    workers: int
    tls: CertificateFiles = NO_FILES
    rate_limit: float = 0.0
    visitor_days: int = 180
    drain_seconds: float = 0.0
    log_level: str = "info"
    log_format: Format = Format.AUTO
    request_log: RequestLog = NO_REQUESTS
    grpc_socket: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings in `environment`. An empty variable counts as one that is not set.

        Raises InvalidSetting, or CertificateUnusable where only some of the files are set.
        """
        settings = cls(
            mongodb_uri=environment.get("USERFOLD_MONGODB_URI") or None,
            database=environment.get("USERFOLD_DATABASE") or "userfold",
            data_dir=environment.get("USERFOLD_DATA_DIR") or ".userfold/",
            grpc_address=environment.get("USERFOLD_GRPC_ADDRESS") or "127.0.0.1:50051",
            metrics_address=environment.get("USERFOLD_SERVER_METRICS_ADDRESS") or None,
            workers=_workers(environment.get("USERFOLD_WORKERS") or "1"),
            rate_limit=_number("USERFOLD_RATE_LIMIT", environment.get("USERFOLD_RATE_LIMIT") or "0", 1_000_000),
            visitor_days=_days(environment.get("USERFOLD_VISITOR_DAYS") or "180"),
            drain_seconds=_number("USERFOLD_DRAIN_SECONDS", environment.get("USERFOLD_DRAIN_SECONDS") or "0", 60),
            log_level=log_level(environment.get("USERFOLD_LOG_LEVEL") or "info"),
            log_format=one_of(Format, "USERFOLD_LOG_FORMAT", environment.get("USERFOLD_LOG_FORMAT") or "auto"),
            request_log=RequestLog(
                share("USERFOLD_ACCESS_LOG", environment.get("USERFOLD_ACCESS_LOG") or "0"),
                one_of(
                    Addresses,
                    "USERFOLD_LOG_CLIENT_ADDRESS",
                    environment.get("USERFOLD_LOG_CLIENT_ADDRESS") or "none",
                ),
            ),
            grpc_socket=environment.get("USERFOLD_GRPC_SOCKET") or None,
            tls=CertificateFiles.from_environment(
                environment,
                certificate="USERFOLD_GRPC_TLS_CERTIFICATE",
                key="USERFOLD_GRPC_TLS_KEY",
                authorities="USERFOLD_GRPC_TLS_CLIENT_CA",
            ),
        )
        split_address("USERFOLD_GRPC_ADDRESS", settings.grpc_address)
        if settings.metrics_address:
            split_address("USERFOLD_SERVER_METRICS_ADDRESS", settings.metrics_address)
        if settings.grpc_socket and len(os.fsencode(settings.grpc_socket)) > SOCKET_BYTES:
            raise InvalidSetting(f"USERFOLD_GRPC_SOCKET must be a path of at most {SOCKET_BYTES} bytes")
        if settings.grpc_socket and settings.workers > 1:
            raise InvalidSetting("USERFOLD_GRPC_SOCKET needs USERFOLD_WORKERS=1: processes cannot share a Unix socket")
        if settings.tls.authorities and not settings.tls.certificate:
            raise InvalidSetting("USERFOLD_GRPC_TLS_CLIENT_CA has no effect without USERFOLD_GRPC_TLS_CERTIFICATE")
        return settings


def split_address(name: str, address: str) -> tuple[str, int]:
    """The host and port of an address. Raises InvalidSetting with the name of the variable, `name`."""
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidSetting(f"{name} must be HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051")
    return host.strip("[]"), int(port)


def _number(name: str, text: str, maximum: int) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text) or float(text) > maximum:
        raise InvalidSetting(f"{name} must be a number from 0 to {maximum:,}")
    return float(text)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_DAYS)) and int(text) <= _MAX_DAYS):
        raise InvalidSetting(f"USERFOLD_VISITOR_DAYS must be a number of days from 0 to {_MAX_DAYS:,}")
    return int(text)


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:3]) <= _MAX_WORKERS and len(text) < 4):
        raise InvalidSetting(f"USERFOLD_WORKERS must be a number of processes from 1 to {_MAX_WORKERS}")
    return int(text)
