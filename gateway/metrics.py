"""The gateway's metrics, which docs/metrics.md describes. No label holds anything that a client chose."""

import functools
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import Counter, Gauge

from runtime.metrics import durations
from runtime.metrics.applications import ApplicationLabels, shared_directory
from runtime.metrics.durations import ManyHistogram
from runtime.metrics.exposition import exposition
from runtime.metrics.requests import RequestMetrics

__all__ = ["exposition"]

REQUESTS: Final = Counter(
    "userfold_gateway_requests", "HTTP requests that were answered.", ["method", "route", "code", "application"]
)
DURATIONS: Final = ManyHistogram(
    "userfold_gateway_request_seconds",
    "Time from the arrival of a whole request to its response.",
    ["method", "route", "code"],
    buckets=durations.REQUEST_BUCKETS,
)
REFUSALS: Final = Counter(
    "userfold_gateway_refusals", "Requests, and items of batches, that were refused or failed.", ["route", "reason"]
)
WARNINGS: Final = Counter(
    "userfold_gateway_warnings", "Warnings in responses to requests that were accepted.", ["route", "reason"]
)
UNSTORED_CALLS: Final = Counter(
    "userfold_gateway_not_stored", "Calls that were accepted and not stored.", ["route", "application"]
)
GROUP_ITEMS: Final = ManyHistogram(
    "userfold_gateway_group_items",
    "Updates of single users that were sent to the server together.",
    buckets=durations.GROUP_BUCKETS,
)
GROUP_WAIT: Final = ManyHistogram(
    "userfold_gateway_group_wait_seconds",
    "Time that the first update of a group waited until the group was sent.",
    buckets=durations.DATABASE_BUCKETS,
)
QUEUED_UPDATES: Final = Gauge(
    "userfold_gateway_queued_updates", "Updates of single users that wait for their group.", multiprocess_mode="livesum"
)
QUEUED_BYTES: Final = Gauge(
    "userfold_gateway_queued_update_bytes",
    "Bytes of the bodies of the updates that wait for their group.",
    multiprocess_mode="livesum",
)
IN_FLIGHT: Final = Gauge(
    "userfold_gateway_requests_in_flight",
    "Admitted requests that have no response yet: update (of one user), batch (of updates), or read.",
    ["kind"],
    multiprocess_mode="livesum",
)
CONNECTIONS: Final = Gauge(
    "userfold_gateway_open_connections", "Open connections of HTTP clients.", multiprocess_mode="livesum"
)
CONNECTION_LIMIT: Final = Gauge(
    "userfold_gateway_open_connections_limit",
    "Connections of HTTP clients that may be open at the same time.",
    multiprocess_mode="livesum",
)
HELD_BYTES: Final = Gauge(
    "userfold_gateway_held_bytes",
    "Bytes of requests that are being received and of responses that are being sent.",
    multiprocess_mode="livesum",
)
CUT: Final = Counter(
    "userfold_gateway_connections_cut", "Connections that were cut off to make room for others.", ["reason"]
)
READY: Final = Gauge(
    "userfold_gateway_ready",
    "Whether the readiness check says that requests can be served, 1 or 0; of workers, the number of those that can.",
    multiprocess_mode="livesum",
)
LATENESS: Final = ManyHistogram(
    "userfold_gateway_event_loop_lateness_seconds",
    "How much too late the event loop woke up, measured once a second.",
    buckets=durations.REQUEST_BUCKETS,
)
CERTIFICATE_ENDS: Final = Gauge(
    "userfold_gateway_certificate_expiry_timestamp_seconds",
    "When the first certificate in the file of this variable, as it is in use, expires, as a Unix time.",
    ["variable"],
    multiprocess_mode="livemin",
)
BUILD_INFO: Final = Gauge(
    "userfold_gateway_build_info",
    "Always 1. The labels are the versions of Userfold and of Python.",
    ["version", "python"],
    multiprocess_mode="livemax",
)

APPLICATIONS: Final = ApplicationLabels(shared_directory())
"""The applications that have a label of their own."""

NO_ROUTE: Final = "none"
"""The route, in logs and metrics, of a request that has none."""

NO_METHOD: Final = "none"
"""The method of a request whose head was not read, or is not HTTP."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def request_metrics() -> RequestMetrics:
    """What counts requests. Its labels are a method, a route and an HTTP status."""
    return RequestMetrics(REQUESTS, DURATIONS, APPLICATIONS)


def method_label(method: str) -> str:
    """The label of a method, which a client chose."""
    return method if method in _METHODS else "other"


@functools.cache
def refusals(route: str, reason: str) -> Counter:
    """The counter of one route and one reason, of which the code has few."""
    return REFUSALS.labels(route, reason)


@functools.cache
def warnings(route: str, reason: str) -> Counter:
    """The counter of one route and one reason, of which the code has few."""
    return WARNINGS.labels(route, reason)


def count_unstored(route: str, application_id: str) -> None:
    """Count a call that was accepted and not stored."""
    UNSTORED_CALLS.labels(route, APPLICATIONS.label(application_id)).inc()


def count_cut(reason: str) -> None:
    """Count a connection that was cut off."""
    CUT.labels(reason).inc()


def note_connections(connections: int, limit: int, held_bytes: int) -> None:
    """Set the gauges of connections."""
    CONNECTIONS.set(connections)
    CONNECTION_LIMIT.set(limit)
    HELD_BYTES.set(held_bytes)


def note_certificates(ends: Mapping[str, float]) -> None:
    """Set when the certificates in use expire, by the variables that name their files."""
    for variable, end in ends.items():
        CERTIFICATE_ENDS.labels(variable).set(end)


def note_build() -> None:
    """Set the build info."""
    BUILD_INFO.labels(version("userfold"), platform.python_version()).set(1)
