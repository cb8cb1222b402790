"""Refused calls and defects: the Status for the caller, with a log event and a metric for the operator."""

import asyncio
import math
import re
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import structlog
from google.rpc.status_pb2 import Status

from runtime import logs
from runtime.reporting.origin import Origin, fields_of
from runtime.tally import KINDS, SECONDS, Tally
from server import limits, metrics
from server.errors import InvalidRequest, UserfoldError
from server.rpc.call import RefusalSource
from server.rpc.error_status import INTERNAL, error_status, status_from_error

_log = structlog.get_logger("userfold.server")

_INDEX = re.compile(r"\[[0-9]+\]")
_OPERATION = re.compile(r"\Ametadata_operations(?:\[[0-9]+\](?:\.[a-z_]+)?)?")
_ITEM = re.compile(r"\Ausers\[[0-9]+\]\.")


def status_of_refusal(
    method: str, error: Exception, origin: Origin, prefix: str = "", refusals: RefusalSource | None = None
) -> Status:
    """The Status of a call, or of one item of its request, that is refused. It is logged and counted, and added to the
    refusals of its application, if that is known.

    `prefix` is the path of the item in the request, such as `users[3].`.
    """
    return status_from_error(error, prefix, _recorded(method, error, origin, refusals))


def record_warnings(method: str, warnings: Iterable[tuple[str, str]], refusals: RefusalSource) -> None:
    """Add warnings, pairs of the path of a field and a reason, to the refusals of an application."""
    for field, reason in warnings:
        refusals.add(reason, method, ((_contract_part(_ITEM.sub("", field)), reason),), is_warning=True)


class _Refusal(NamedTuple):
    """Refusals that are logged together. Nothing here is a value that a caller sent."""

    method: str
    reason: str
    fields: tuple[str, ...]
    application: str

    def report(self, calls: int, origins: Sequence[Origin]) -> None:
        fields = {"fields": self.fields} if self.fields else {}
        _log.warning("refused", method=self.method, reason=self.reason, calls=calls, **fields, **fields_of(origins))


class _Defect(NamedTuple):
    """Defects that are logged together: within a second, those of one place in the code share an id."""

    method: str
    type: str
    detail: str | None
    places: tuple[str, ...]
    error_id: str = ""

    def report(self, calls: int, origins: Sequence[Origin]) -> None:
        _log.error("defect", **self._asdict(), calls=calls, **fields_of(origins))


class _Reports:
    """Logs the first refusal or defect of a kind immediately, and the number of those that follow within a second."""

    def __init__(self) -> None:
        self._tally: Tally[_Refusal | _Defect, Origin] = Tally(
            lambda kind, calls, origins: kind.report(calls, origins), _report_further
        )
        self._ids: dict[_Defect, tuple[float, str]] = {}

    def flush(self) -> None:
        self._tally.flush()

    def refusal(self, refusal: _Refusal, origin: Origin) -> None:
        self._tally.add(refusal, 1, origin)

    def defect(self, defect: _Defect, origin: Origin) -> str:
        """Returns the error_id under which the defect is in the log."""
        created, error_id = self._ids.get(defect, (-math.inf, ""))
        if (now := time.monotonic()) - created >= SECONDS:
            error_id = uuid.uuid4().hex
            if len(self._ids) >= KINDS:
                self._ids.clear()
            self._ids[defect] = now, error_id
        self._tally.add(defect._replace(error_id=error_id), 1, origin)
        return error_id


def _report_further(calls: int) -> None:
    _log.warning("refusals of further kinds", calls=calls)


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


def _recorded(method: str, error: Exception, origin: Origin, refusals: RefusalSource | None) -> str:
    """Log and count a refusal. Returns the error_id for the caller; empty where there is none.

    Of the path of a field, only the parts that the contract defines are logged: keys in `metadata` are data of the
    caller.
    """
    status = error_status(error)
    metrics.refusals(method, status.reason).inc(1, origin.exemplar())
    violations = error.violations[: limits.REPORTED] if isinstance(error, InvalidRequest) else ()
    named = tuple(sorted({(_contract_part(violation.field), violation.reason) for violation in violations}))
    if refusals is not None:
        refusals.add(status.reason, method, named)
    if status is INTERNAL:
        detail = str(error) if isinstance(error, UserfoldError) else None
        return _reports().defect(_Defect(method, type(error).__name__, detail, tuple(logs.locations(error))), origin)
    fields = tuple(sorted({field for field, _ in named}))
    _reports().refusal(_Refusal(method, status.reason, fields, origin.application), origin)
    return ""


def _contract_part(path: str) -> str:
    if operation := _OPERATION.match(path):
        return _INDEX.sub("[]", operation[0])
    return "metadata" if path.startswith("metadata") else _INDEX.sub("[]", path)
