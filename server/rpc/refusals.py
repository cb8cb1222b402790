"""What is refused, told twice: to the caller as a Status, to the operator in log and metrics."""

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
from server.rpc.error_status import INTERNAL, answer_to, status_from_error

_log = structlog.get_logger("userfold.server")

_INDEX = re.compile(r"\[[0-9]+\]")


def status_of_refusal(method: str, error: Exception, prefix: str = "") -> Status:
    """The Status of a call that is refused, or of one item among several, made visible to the operator.

    `prefix` is where the item stands in the request, such as `users[3].`.
    """
    return status_from_error(error, prefix, _recorded(method, error))


class _Refusal(NamedTuple):
    """What refusals have in common that are reported together: no value of a caller's."""

    method: str
    reason: str
    fields: tuple[str, ...]

    def report(self, calls: int) -> None:
        fields = {"fields": self.fields} if self.fields else {}
        _log.warning("refused", method=self.method, reason=self.reason, calls=calls, **fields)


class _Defect(NamedTuple):
    """The same of defects: those of one place have one id within a second."""

    method: str
    type: str
    detail: str | None
    places: tuple[str, ...]
    error_id: str = ""

    def report(self, calls: int) -> None:
        _log.error("defect", **self._asdict(), calls=calls)


class _Reports:
    """Reports refusals and defects in the log: the first of a kind at once, further ones of its second as a number."""

    def __init__(self) -> None:
        self._tally: Tally[_Refusal | _Defect] = Tally(lambda kind, calls: kind.report(calls))
        self._ids: dict[_Defect, tuple[float, str]] = {}

    def flush(self) -> None:
        self._tally.flush()

    def refusal(self, refusal: _Refusal) -> None:
        self._tally.add(refusal)

    def defect(self, defect: _Defect) -> str:
        """Answers the error_id by which the defect is found in the log."""
        made_at, error_id = self._ids.get(defect, (-math.inf, ""))
        if (now := time.monotonic()) - made_at >= SECONDS:
            error_id = uuid.uuid4().hex
            if len(self._ids) >= KINDS:
                self._ids.clear()
            self._ids[defect] = now, error_id
        self._tally.add(defect._replace(error_id=error_id))
        return error_id


# One for each event loop, to which its timer belongs.
_REPORTS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Reports] = WeakKeyDictionary()


def _reports() -> _Reports:
    loop = asyncio.get_running_loop()
    reports = _REPORTS.get(loop)
    if reports is None:
        reports = _REPORTS[loop] = _Reports()
    return reports


def flush_reports() -> None:
    """Report what is counted now: the program ends."""
    _reports().flush()


def _recorded(method: str, error: Exception) -> str:
    """Make a refusal visible to the operator. Answers the error_id to tell the caller, empty where there is none.

    Only the parts of a path that the contract names are logged: the keys in metadata are the caller's.
    """
    answer = answer_to(error)
    metrics.REFUSALS.labels(method, answer.reason).inc()
    if answer is INTERNAL:
        detail = str(error) if isinstance(error, UserfoldError) else None
        return _reports().defect(_Defect(method, type(error).__name__, detail, tuple(logs.locations(error))))
    violations = error.violations[: limits.REPORTED] if isinstance(error, InvalidRequest) else ()
    fields = tuple(sorted({_contract_part(violation.field) for violation in violations}))
    _reports().refusal(_Refusal(method, answer.reason, fields))
    return ""


def _contract_part(path: str) -> str:
    return "metadata" if path.startswith("metadata") else _INDEX.sub("[]", path)
