"""What the operator sets, from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass

_LOG_LEVELS = ("info", "warning", "error")
_MOST_WORKERS = 64


class InvalidSetting(Exception):
    """An environment variable has a value that cannot be used. The text names it, and is for the operator."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's settings.

    `mongodb_uri` is None for the embedded MongoDB, whose data is below `data_dir`. Addresses are `HOST:PORT`, with port
    0 for any free one. `workers` processes serve, 1 to 64. Less than `log_level` is
    not logged.
    """

    mongodb_uri: str | None
    database: str
    data_dir: str
    grpc_address: str
    metrics_address: str | None
    workers: int
    log_level: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings in `environment`; an empty variable is as if it were not set. Raises InvalidSetting."""
        settings = cls(
            mongodb_uri=environment.get("USERFOLD_MONGODB_URI") or None,
            database=environment.get("USERFOLD_DATABASE") or "userfold",
            data_dir=environment.get("USERFOLD_DATA_DIR") or ".userfold/",
            grpc_address=environment.get("USERFOLD_GRPC_ADDRESS") or "127.0.0.1:50051",
            metrics_address=environment.get("USERFOLD_SERVER_METRICS_ADDRESS") or None,
            workers=_workers(environment.get("USERFOLD_WORKERS") or "1"),
            log_level=_log_level(environment.get("USERFOLD_LOG_LEVEL") or "info"),
        )
        split_address("USERFOLD_GRPC_ADDRESS", settings.grpc_address)
        if settings.metrics_address:
            split_address("USERFOLD_SERVER_METRICS_ADDRESS", settings.metrics_address)
        return settings


def split_address(name: str, address: str) -> tuple[str, int]:
    """The host and port of an address. Raises InvalidSetting, which names the variable `name`."""
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidSetting(f"{name} must be HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051")
    return host.strip("[]"), int(port)


def _log_level(text: str) -> str:
    # There is no `debug`: what libraries say there, such as the driver of the commands it sends, holds values.
    if text not in _LOG_LEVELS:
        raise InvalidSetting(f"USERFOLD_LOG_LEVEL must be one of {', '.join(_LOG_LEVELS)}")
    return text


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:3]) <= _MOST_WORKERS and len(text) < 4):
        raise InvalidSetting(f"USERFOLD_WORKERS must be a number of processes from 1 to {_MOST_WORKERS}")
    return int(text)
