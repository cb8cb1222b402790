"""What is refused, told twice: to the caller as a Status, to the operator in log and metrics."""

import math
import time
import uuid
from collections import Counter

import structlog
from google.rpc.status_pb2 import Status

from processes import logs
from server import metrics
from server.errors import InvalidRequest, Overloaded, RateLimited, UserfoldError
from server.status import INTERNAL, answer_to, status_from_error

_log = structlog.get_logger("userfold.server")


def status_of_refusal(method: str, error: Exception, prefix: str = "") -> Status:
    """The Status of a call that is refused, or of one item among several, made visible to the operator.

    `prefix` is where the item stands in the request, such as `users[3].`.
    """
    return status_from_error(error, prefix, _recorded(method, error))


class _Load:
    """Tells of what is turned away once in a second: there may be thousands."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._told_at = -math.inf

    def told(self, reason: str) -> None:
        self._calls[reason] += 1
        if (now := time.monotonic()) >= self._told_at + 1:
            for each, calls in self._calls.items():
                _log.warning("refused", reason=each, calls=calls)
            self._calls.clear()
            self._told_at = now


_LOAD = _Load()


def _recorded(method: str, error: Exception) -> str:
    """Make a refusal visible to the operator. Answers the error_id to tell the caller, empty where there is none.

    Only the parts of a path that the contract names are logged: the keys in metadata are the caller's.
    """
    answer = answer_to(error)
    metrics.REFUSALS.labels(method, answer.reason).inc()
    if isinstance(error, Overloaded | RateLimited):
        _LOAD.told(answer.reason)
        return ""
    if answer is INTERNAL:
        error_id = uuid.uuid4().hex
        code = str(error) if isinstance(error, UserfoldError) else None
        places = logs.locations(error)
        _log.error("defect", method=method, error_id=error_id, type=type(error).__name__, detail=code, places=places)
        return error_id
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    fields = sorted({_contract_part(violation.field) for violation in violations})
    _log.warning("refused", method=method, reason=answer.reason, **({"fields": fields} if fields else {}))
    return ""


def _contract_part(path: str) -> str:
    return "metadata" if path.startswith("metadata") else path
