"""Writes that wait for their group, and the call that submitted them."""

import asyncio
import time
from collections.abc import Callable, Sequence

from runtime.reporting.traces import PARENT
from server.errors import UserfoldError, WriteOutcomeUnknown
from server.model import PlannedUpdate, ProfileWrite
from server.users.ports import Outcome


class QueuedWrite:
    """One write of a submission."""

    __slots__ = ("index", "size", "submission", "write")

    def __init__(self, submission: "Submission", index: int, write: ProfileWrite) -> None:
        self.submission = submission
        self.index = index
        self.write = write
        self.size = write.size


class UnplannedWrite(QueuedWrite):
    """An update that is planned when its group is made. It has no `write` until it is `planned`."""

    __slots__ = ("plan", "planned")

    def __init__(self, submission: "Submission", size: int, plan: Callable[[], PlannedUpdate]) -> None:
        self.submission = submission
        self.index = 0
        self.size = size
        self.plan = plan
        self.planned: PlannedUpdate | None = None


class Submission:
    """The writes of one call, which was `submitted` at this time of the monotonic clock. `done` is set when all have
    their outcomes, whatever groups they were in. `traceparent` is the span of the call, where traces are written."""

    __slots__ = ("_outcomes", "_pending", "application_id", "done", "submitted", "traceparent")

    def __init__(self, application_id: str, writes: int) -> None:
        self.submitted = time.monotonic()
        self.traceparent = PARENT.get()
        self.application_id = application_id
        self._outcomes: list[Outcome] = [WriteOutcomeUnknown()] * writes
        self._pending = writes
        self.done: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, outcome: "Outcome | Exception") -> None:
        """Set the outcome of one write. A defect of the store fails the whole submission."""
        if isinstance(outcome, Exception) and not isinstance(outcome, UserfoldError):
            self.fail(outcome)
            return
        self._outcomes[index] = outcome
        self._pending -= 1
        if not self._pending and not self.done.done():
            self.done.set_result(self._outcomes)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
