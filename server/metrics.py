"""What the operator can count. No label ever holds anything that a caller made up."""

from typing import Final

from prometheus_client import Counter, Histogram

REQUESTS: Final = Histogram(
    "userfold_server_request_seconds", "Time from a request's arrival to its answer.", ["method", "code"]
)
REFUSALS: Final = Counter(
    "userfold_server_refusals", "Requests and updates that were answered with an error.", ["method", "reason"]
)
UPDATES: Final = Counter("userfold_server_updates", "Updates that are stored.")
SUPPRESSED: Final = Counter(
    "userfold_server_suppressed_updates", "Updates of erased users that were accepted and not stored."
)
