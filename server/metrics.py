"""The metrics of the server. No label holds a value that a client sent."""

from typing import Final

from prometheus_client import Counter, Histogram

REQUESTS: Final = Histogram(
    "userfold_server_request_seconds", "Time from the arrival of a request to its response.", ["method", "code"]
)
REFUSALS: Final = Counter(
    "userfold_server_refusals", "Requests and updates that were refused or failed.", ["method", "reason"]
)
UPDATES: Final = Counter("userfold_server_updates", "Updates that were stored.")
SUPPRESSED: Final = Counter(
    "userfold_server_suppressed_updates", "Updates of erased users that were accepted and not stored."
)
