"""The environment variables of all programs: one table of their names, defaults and meanings, and a check of names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, TypeVar

_PREFIX: Final = "USERFOLD_"

# What Kubernetes adds to each container for a Service whose name begins with `userfold`.
_KUBERNETES: Final = re.compile(
    r"USERFOLD(_[A-Z0-9_]+?)??_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|PORT)"
)
_KUBERNETES_PORT: Final = re.compile(r"(tcp|udp|sctp)://.*")

# The shares of two names that must be equal: a name above the first is taken for a mistake, one above the second might
# be one.
_NEAR: Final = 0.82
_SIMILAR: Final = 0.6

_LOG_LEVELS: Final = ("info", "warning", "error")

_Value = TypeVar("_Value", bound=StrEnum)


class InvalidSetting(Exception):
    """An environment variable has a value, or a name, that cannot be used. The message names the variable."""


class Switch(StrEnum):
    """What a variable may be that allows something."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Setting:
    """An environment variable.

    `default` is what an unset or empty variable means, `program` who reads it: `server`, `gateway`, `both` or
    `command line`. `meaning` is how its cell in docs/configuration.md begins. The value of a `secret` is never printed.
    """

    name: str
    default: str
    program: str
    meaning: str
    secret: bool = False


SETTINGS: Final = (
    Setting("USERFOLD_MONGODB_URI", "the embedded MongoDB", "server", "a connection string", secret=True),
    Setting("USERFOLD_DATABASE", "userfold", "server", "the name of the database"),
    Setting("USERFOLD_DATA_DIR", ".userfold/", "server", "where `make run` keeps the embedded MongoDB's data"),
    Setting("USERFOLD_GRPC_ADDRESS", "127.0.0.1:50051", "both", "where the server listens"),
    Setting("USERFOLD_GRPC_SOCKET", "none", "server", "the path of a Unix socket on which the server also listens"),
    Setting("USERFOLD_HTTP_ADDRESS", "127.0.0.1:8080", "gateway", "where the gateway listens"),
    Setting("USERFOLD_ADMIN_ADDRESS", "127.0.0.1:8081", "gateway", "where the gateway serves its admin listener"),
    Setting("USERFOLD_WORKERS", "1", "both", "processes of the program on its one address"),
    Setting("USERFOLD_RATE_LIMIT", "0", "server", "users that one application may update in a second"),
    Setting("USERFOLD_VISITOR_DAYS", "180", "server", "how many days a visitor is kept without updates"),
    Setting("USERFOLD_DRAIN_SECONDS", "0", "both", "how long a program still serves after SIGTERM"),
    Setting("USERFOLD_LOG_LEVEL", "info", "both", "the lowest level that is logged"),
    Setting("USERFOLD_LOG_FORMAT", "auto", "both", "the form of a log line"),
    Setting("USERFOLD_ACCESS_LOG", "0", "both", "the share of requests that have a"),
    Setting("USERFOLD_LOG_CLIENT_ADDRESS", "none", "both", "how much of a client's address the log shows"),
    Setting("USERFOLD_PATH_PREFIX", "none", "gateway", "a path before `/v1` that the gateway removes"),
    Setting("USERFOLD_TRUSTED_PROXIES", "none", "gateway", "addresses or networks whose `X-Forwarded-For` is believed"),
    Setting("USERFOLD_HTTP_CONNECTIONS", "4096", "gateway", "open connections of one process"),
    Setting("USERFOLD_REGION", "local", "gateway", "what `GET /health/probe` returns"),
    Setting("USERFOLD_SERVER_METRICS_ADDRESS", "none", "server", "where the server serves Prometheus metrics"),
    Setting("USERFOLD_GATEWAY_METRICS_ADDRESS", "none", "gateway", "where the gateway serves Prometheus metrics"),
    Setting(
        "USERFOLD_METRICS_TOKEN",
        "none",
        "gateway",
        "what Prometheus must send as a bearer token to the admin listener",
        secret=True,
    ),
    Setting("USERFOLD_CONSOLE_GRAVATAR", "off", "gateway", "whether the console shows the pictures of users"),
    Setting("USERFOLD_HTTP_TLS_CERTIFICATE", "none", "gateway", "the gateway's certificate"),
    Setting("USERFOLD_HTTP_TLS_KEY", "none", "gateway", "the key of the gateway's certificate"),
    Setting("USERFOLD_ADMIN_TLS_CERTIFICATE", "none", "gateway", "the certificate of the admin listener"),
    Setting("USERFOLD_ADMIN_TLS_KEY", "none", "gateway", "the key of that certificate"),
    Setting("USERFOLD_GRPC_TLS_CERTIFICATE", "none", "server", "the server's certificate"),
    Setting("USERFOLD_GRPC_TLS_KEY", "none", "server", "the key of the server's certificate"),
    Setting("USERFOLD_GRPC_TLS_CLIENT_CA", "none", "server", "authorities of the callers' certificates"),
    Setting("USERFOLD_GRPC_TLS_CA", "none", "gateway", "authorities of the server's certificate"),
    Setting(
        "USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE",
        "none",
        "gateway",
        "the certificate that the gateway, or the command line, shows the server",
    ),
    Setting("USERFOLD_GRPC_TLS_CLIENT_KEY", "none", "gateway", "the key of that certificate"),
    Setting(
        "USERFOLD_GRPC_TLS_SERVER_NAME", "the host of the address", "gateway", "the name in the server's certificate"
    ),
    Setting("USERFOLD_TOKEN", "none", "command line", "the management token of `userfold`", secret=True),
)
"""All variables, in the order of docs/configuration.md."""

NAMES: Final = frozenset(setting.name for setting in SETTINGS)


def log_level(text: str) -> str:
    """The value of USERFOLD_LOG_LEVEL. Raises InvalidSetting."""
    # Not `debug`: at that level libraries log values, as the driver does with the commands that it sends.
    if text not in _LOG_LEVELS:
        raise InvalidSetting(f"USERFOLD_LOG_LEVEL must be one of {', '.join(_LOG_LEVELS)}")
    return text


def one_of(values: type[_Value], name: str, text: str) -> _Value:
    """The value of the variable `name`, which is one of an enumeration. Raises InvalidSetting."""
    try:
        return values(text)
    except ValueError:
        raise InvalidSetting(f"{name} must be one of {', '.join(values)}") from None


def share(name: str, text: str) -> float:
    """The value of the variable `name`, a number from 0 to 1. Raises InvalidSetting."""
    if not re.fullmatch(r"[01](\.[0-9]{1,9})?", text) or float(text) > 1:
        raise InvalidSetting(f"{name} must be a number from 0 to 1")
    return float(text)


def unknown_variables(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """The variables that are set and begin with `USERFOLD_`, but belong to no program; each with similar known names.

    Variables that Kubernetes adds for Services are left out. Raises InvalidSetting for a name that is nearly a known
    one: a setting that a typing error leaves without effect could lose data, or open what should be closed.
    """
    unknown: dict[str, list[str]] = {}
    for name, value in environment.items():
        if not name.startswith(_PREFIX) or not value or name in NAMES or _is_of_kubernetes(name, value):
            continue
        if near := _similar(name, _NEAR):
            raise InvalidSetting(f"{name} is no setting of Userfold: did you mean {' or '.join(near)}?")
        unknown[name] = _similar(name, _SIMILAR)
    return unknown


def warnings_of(environment: Mapping[str, str]) -> list[str]:
    """A line about each unknown variable. Raises InvalidSetting, as `unknown_variables` does."""
    return [
        f"{name} is no setting of Userfold, and has no effect"
        + (f" (there is {' and '.join(similar)})" if similar else "")
        for name, similar in unknown_variables(environment).items()
    ]


def without_unknown(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without unknown variables, for a program that need not warn of them again."""
    unknown = unknown_variables(environment)
    return {name: value for name, value in environment.items() if name not in unknown}


def _is_of_kubernetes(name: str, value: str) -> bool:
    match = _KUBERNETES.fullmatch(name)
    # `USERFOLD_PORT=8080` is somebody's mistake.
    return match is not None and (match[2] != "PORT" or _KUBERNETES_PORT.fullmatch(value) is not None)


def _similar(name: str, share: float) -> list[str]:
    """The most similar known names, at most two, of which at least that share is equal after the prefix."""
    name = name.removeprefix(_PREFIX)
    found = get_close_matches(name, [setting.name.removeprefix(_PREFIX) for setting in SETTINGS], 3, share)
    # The most similar first, but before them those that an abbreviation stands for.
    return [_PREFIX + each for each in sorted(found, key=lambda known: not known.startswith(name))][:2]
