"""The metrics of the server, which docs/metrics.md describes. No label holds a value that a client sent."""

import functools
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import Counter, Gauge

from runtime.metrics import durations
from runtime.metrics.applications import ApplicationLabels, shared_directory
from runtime.metrics.durations import ManyHistogram
from runtime.metrics.requests import RequestMetrics

REQUESTS: Final = Counter(
    "userfold_server_requests", "Requests that were answered, as clients sent them.", ["method", "code", "application"]
)
DURATIONS: Final = ManyHistogram(
    "userfold_server_request_seconds",
    "Time from the arrival of a request to its response; of a stream, from its begin to its end.",
    ["method", "code"],
    buckets=durations.REQUEST_BUCKETS,
)
REFUSALS: Final = Counter(
    "userfold_server_refusals", "Requests, and items of batches, that were refused or failed.", ["method", "reason"]
)
WARNINGS: Final = Counter(
    "userfold_server_warnings", "Warnings in responses to updates that were accepted.", ["method", "reason"]
)
UPDATES: Final = Counter("userfold_server_updates", "Updates that were stored.")
SUPPRESSED: Final = Counter(
    "userfold_server_suppressed_updates", "Updates of erased users that were accepted and not stored."
)
EXPIRED_VISITORS: Final = Counter(
    "userfold_server_expired_visitors", "Visitors that were deleted, because they had no update for a period."
)
GROUP_ITEMS: Final = ManyHistogram(
    "userfold_server_group_items",
    "Writes, or look-ups of session tokens, that were sent to MongoDB together.",
    ["kind"],
    buckets=durations.GROUP_BUCKETS,
)
GROUP_WAIT: Final = ManyHistogram(
    "userfold_server_group_wait_seconds",
    "Time that the first write, or look-up, of a group waited until the group was sent.",
    ["kind"],
    buckets=durations.DATABASE_BUCKETS,
)
PENDING_UPDATES: Final = Gauge(
    "userfold_server_pending_updates",
    "Updates that wait for their group (queued), or whose group has been sent to MongoDB (in_flight).",
    ["state"],
    multiprocess_mode="livesum",
)
PENDING_BYTES: Final = Gauge(
    "userfold_server_pending_update_bytes",
    "Bytes of the updates that are queued or in flight.",
    multiprocess_mode="livesum",
)
CALLS: Final = Gauge(
    "userfold_server_calls_in_flight",
    "Calls, and requests of gateways' streams, that have no response yet.",
    multiprocess_mode="livesum",
)
CALL_BYTES: Final = Gauge(
    "userfold_server_call_bytes_in_flight", "Bytes of the requests of these calls.", multiprocess_mode="livesum"
)
STREAMS: Final = Gauge(
    "userfold_server_open_streams",
    "Open streams: of clients (updates), or of gateways (batches).",
    ["kind"],
    multiprocess_mode="livesum",
)
COMMANDS: Final = ManyHistogram(
    "userfold_server_mongodb_command_seconds",
    "Time from sending a command to MongoDB to its response.",
    ["command", "outcome"],
    buckets=durations.DATABASE_BUCKETS,
)
MONGODB_CONNECTIONS: Final = Gauge(
    "userfold_server_mongodb_connections",
    "Connections to MongoDB in the driver's pools, by their state: idle or in_use.",
    ["state"],
    multiprocess_mode="livesum",
)
CHECKOUT_WAIT: Final = ManyHistogram(
    "userfold_server_mongodb_connection_wait_seconds",
    "Time that an operation waited for a connection of a pool.",
    buckets=durations.DATABASE_BUCKETS,
)
CHECKOUT_FAILURES: Final = Counter(
    "userfold_server_mongodb_connection_failures",
    "Operations that got no connection to MongoDB, by the reason: timeout, poolClosed or connectionError.",
    ["reason"],
)
POOLS_CLEARED: Final = Counter(
    "userfold_server_mongodb_pools_cleared", "Pools whose connections were all closed, because a member failed."
)
READY: Final = Gauge(
    "userfold_server_ready",
    "Whether the readiness check says that requests can be served, 1 or 0; of workers, the number of those that can.",
    multiprocess_mode="livesum",
)
SCHEMA_VERSION: Final = Gauge(
    "userfold_server_schema_version", "The version of the stored data.", multiprocess_mode="livemax"
)
SCHEMA_SUPPORTED: Final = Gauge(
    "userfold_server_schema_version_supported",
    "The version of the stored data to which this program migrates.",
    multiprocess_mode="livemax",
)
LATENESS: Final = ManyHistogram(
    "userfold_server_event_loop_lateness_seconds",
    "How much too late the event loop woke up, measured once a second.",
    buckets=durations.REQUEST_BUCKETS,
)
CERTIFICATE_ENDS: Final = Gauge(
    "userfold_server_certificate_expiry_timestamp_seconds",
    "When the first certificate in the file of this variable, as it is in use, expires, as a Unix time.",
    ["variable"],
    multiprocess_mode="livemin",
)
BUILD_INFO: Final = Gauge(
    "userfold_server_build_info",
    "Always 1. The labels are the versions of Userfold and of Python.",
    ["version", "python"],
    multiprocess_mode="livemax",
)

APPLICATIONS: Final = ApplicationLabels(shared_directory())
"""The applications that have a label of their own."""

WRITES: Final = "writes"
LOOKUPS: Final = "lookups"
"""The kinds of groups."""


def request_metrics() -> RequestMetrics:
    """What counts requests. Its labels are a method and the name of a status code."""
    return RequestMetrics(REQUESTS, DURATIONS, APPLICATIONS)


@functools.cache
def refusals(method: str, reason: str) -> Counter:
    """The counter of one method and one reason, of which the code has few."""
    return REFUSALS.labels(method, reason)


@functools.cache
def warnings(method: str, reason: str) -> Counter:
    """The counter of one method and one reason, of which the code has few."""
    return WARNINGS.labels(method, reason)


def note_certificates(ends: Mapping[str, float]) -> None:
    """Set when the certificates in use expire, by the variables that name their files."""
    for variable, end in ends.items():
        CERTIFICATE_ENDS.labels(variable).set(end)


def note_build() -> None:
    """Set the build info."""
    BUILD_INFO.labels(version("userfold"), platform.python_version()).set(1)
