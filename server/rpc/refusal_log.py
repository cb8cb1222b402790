"""Refused calls and defects: the Status for the caller, with a log event and a metric for the operator."""

import asyncio
import math
import re
import time
import uuid
from typing import NamedTuple
from weakref import WeakKeyDictionary

import structlog
from google.rpc.status_pb2 import Status

from runtime import logs
from runtime.tally import KINDS, SECONDS, Tally
from server import limits, metrics
from server.errors import InvalidRequest, UserfoldError
from server.rpc.error_status import INTERNAL, error_status, status_from_error

_log = structlog.get_logger("userfold.server")

_INDEX = re.compile(r"\[[0-9]+\]")


def status_of_refusal(method: str, error: Exception, prefix: str = "") -> Status:
    """The Status of a call, or of one item of its request, that is refused. It is logged and counted.

    `prefix` is the path of the item in the request, such as `users[3].`.
    """
    return status_from_error(error, prefix, _recorded(method, error))


class _Refusal(NamedTuple):
    """Refusals that are logged together. Nothing here is a value that a caller sent."""

    method: str
    reason: str
    fields: tuple[str, ...]

    def report(self, calls: int) -> None:
        fields = {"fields": self.fields} if self.fields else {}
        _log.warning("refused", method=self.method, reason=self.reason, calls=calls, **fields)


class _Defect(NamedTuple):
    """Defects that are logged together: within a second, those of one place in the code share an id."""

    method: str
    type: str
    detail: str | None
    places: tuple[str, ...]
    error_id: str = ""

    def report(self, calls: int) -> None:
        _log.error("defect", **self._asdict(), calls=calls)


class _Reports:
    """Logs the first refusal or defect of a kind immediately, and the number of those that follow within a second."""

    def __init__(self) -> None:
        self._tally: Tally[_Refusal | _Defect] = Tally(lambda kind, calls: kind.report(calls))
        self._ids: dict[_Defect, tuple[float, str]] = {}

    def flush(self) -> None:
        self._tally.flush()

    def refusal(self, refusal: _Refusal) -> None:
        self._tally.add(refusal)

    def defect(self, defect: _Defect) -> str:
        """Returns the error_id under which the defect is in the log."""
        created, error_id = self._ids.get(defect, (-math.inf, ""))
        if (now := time.monotonic()) - created >= SECONDS:
            error_id = uuid.uuid4().hex
            if len(self._ids) >= KINDS:
                self._ids.clear()
            self._ids[defect] = now, error_id
        self._tally.add(defect._replace(error_id=error_id))
        return error_id


# One for each event loop, because its timer belongs to the loop.
_REPORTS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Reports] = WeakKeyDictionary()


def _reports() -> _Reports:
    loop = asyncio.get_running_loop()
    reports = _REPORTS.get(loop)
    if reports is None:
        reports = _REPORTS[loop] = _Reports()
    return reports


def flush_reports() -> None:
    """Log what is counted so far. To be called before the program ends."""
    _reports().flush()


def _recorded(method: str, error: Exception) -> str:
    """Log and count a refusal. Returns the error_id for the caller; empty where there is none.

    Of the path of a field, only the parts that the contract defines are logged: keys in `metadata` are data of the
    caller.
    """
    status = error_status(error)
    metrics.REFUSALS.labels(method, status.reason).inc()
    if status is INTERNAL:
        detail = str(error) if isinstance(error, UserfoldError) else None
        return _reports().defect(_Defect(method, type(error).__name__, detail, tuple(logs.locations(error))))
    violations = error.violations[: limits.REPORTED] if isinstance(error, InvalidRequest) else ()
    fields = tuple(sorted({_contract_part(violation.field) for violation in violations}))
    _reports().refusal(_Refusal(method, status.reason, fields))
    return ""


def _contract_part(path: str) -> str:
    return "metadata" if path.startswith("metadata") else _INDEX.sub("[]", path)
