"""The gateway's metrics. No label ever holds anything that a caller chose."""

import functools
from typing import Final

from prometheus_client import Counter, Histogram

REQUESTS: Final = Histogram(
    "userfold_gateway_request_seconds", "Time from a request's arrival to its answer.", ["route", "status"]
)
REFUSALS: Final = Counter(
    "userfold_gateway_refusals", "Requests, and items of batches, that were refused.", ["route", "reason"]
)
CUT: Final = Counter(
    "userfold_gateway_connections_cut", "Connections that were cut off to make room for others.", ["reason"]
)
UNSTORED_CALLS: Final = Counter(
    "userfold_gateway_not_stored", "Calls that were accepted and not stored.", ["route", "application"]
)

TURNED_AWAY: Final = REFUSALS.labels("none", "OVERLOADED")
"""Requests for which there was no room: nothing was read of them but their heads."""


@functools.cache
def requests(route: str, http_status: int) -> Histogram:
    """The histogram of the requests of one route with one HTTP status."""
    return REQUESTS.labels(route, str(http_status))


@functools.lru_cache(maxsize=10_000)
def unstored_calls(route: str, application: str) -> Counter:
    """The counter of one route and one application, whose id the operator chose."""
    return UNSTORED_CALLS.labels(route, application)


def count_cut(reason: str) -> None:
    """Count a connection that was cut off."""
    CUT.labels(reason).inc()
