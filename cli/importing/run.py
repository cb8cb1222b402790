"""An import from its first row to its last: sent, settled, and written down so that it can be continued."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
from userfold.internal.v1.credential_service_pb2 import CheckCredentialRequest
from userfold.internal.v1.credential_service_pb2_grpc import CredentialServiceStub
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from cli.connection import CALL_SECONDS, Target
from cli.importing.batches import Pulled, batches_of
from cli.importing.plan import Options, Plan, plan_of
from cli.importing.refused import RefusedFile
from cli.importing.rows import Refusal, Row
from cli.importing.sender import Sender, Settled
from cli.importing.source import Source, opened, readable
from cli.importing.state import Counts, Position, State, identity
from cli.importing.updates import checker
from cli.progress import Reporter
from cli.refusals import failure_of
from server.rpc.call import CLIENT_ADDRESS, CONTRACT, CONTRACT_VERSION

_SAVE_SECONDS: Final = 1.0
_SHOWN: Final = 20

_NO_CLIENT: Final = ((CLIENT_ADDRESS, "none"), (CONTRACT, str(CONTRACT_VERSION)))
"""This machine is no user's device: no update has an observed address."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What an import did. `counts` are those of all its runs, and `users` the rows of this one, in `seconds`.

    `refusals` are the first rows that a dry run refuses.
    """

    counts: Counts
    users: int
    seconds: float
    is_complete: bool
    is_continued: bool
    warnings: dict[tuple[str, str], int]
    refused_path: str | None = None
    state_path: str | None = None
    refusals: tuple[tuple[int, Refusal], ...] = ()


def check(options: Options, report: Callable[[Source], Reporter]) -> Summary:
    """Read a whole file, and check each row as a server does, except for what stored profiles decide."""
    counts = Counts()
    shown: list[tuple[int, Refusal]] = []
    examine = checker(time.time_ns)
    with opened(options.name) as source, report(source) as reporter:
        plan = plan_of(options, source)
        for row in _rows(plan):
            refusal = _checked(plan, row, examine)
            if refusal is None:
                counts = replace(counts, imported=counts.imported + 1)
            else:
                counts = replace(counts, refused=counts.refused + 1)
                if len(shown) < _SHOWN:
                    shown.append((row.number, refusal))
            reporter.advance(source.position, counts.rows, _remark(counts))
        seconds = reporter.seconds
    return Summary(counts, counts.rows, seconds, True, False, dict(plan.updates.warnings), refusals=tuple(shown))


def _checked(plan: Plan, row: Row, examine: Callable[[Any], Any]) -> Refusal | None:
    updates = plan.updates.updates(row)
    if isinstance(updates, Refusal):
        return updates
    for update in updates:
        found = examine(update)
        if isinstance(found, Refusal):
            return found
        for warning in found:
            plan.updates.count_warning(warning.field, warning.reason)
    return None


def _rows(plan: Plan) -> Iterator[Row]:
    with readable():
        yield from plan.reader


async def import_file(
    options: Options, target: Target, patience: float, report: Callable[[Source], Reporter]
) -> Summary:
    """Import a file, or continue an import. Ctrl-C ends it after what was sent is acknowledged.

    Raises CommandFailed. What was settled until then is in the state.
    """
    with opened(options.name) as source, report(source) as reporter:
        application_id = await _application_of(target)
        plan = plan_of(options, source)
        return await _Import(options, plan, source, reporter, application_id).run(target, patience)


class _Import:
    """One run."""

    def __init__(self, options: Options, plan: Plan, source: Source, reporter: Reporter, application_id: str) -> None:
        self._plan = plan
        self._source = source
        self._reporter = reporter
        self._state = State(options.state_path, identity(application_id, plan.meaning))
        self._state_path = options.state_path
        saved = self._state.position()
        self._is_continued = saved is not None
        self._position = saved or Position()
        self._start = self._position.counts
        self._refused = RefusedFile(
            plan.refused_path, plan.encode_refused, plan.refused_header, self._position.refused_bytes
        )
        if not self._is_continued:
            self._refused.require_none()
        self._saved = time.monotonic()

    async def run(self, target: Target, patience: float) -> Summary:
        plan = self._plan
        pulled = Pulled(
            batches_of(self._remaining_rows(), plan.reader, lambda: self._source.position, plan.updates.updates)
        )
        sender = Sender(
            pulled.next,
            lambda: _stub(target),
            self._settle,
            lambda why: self._reporter.say(f"waiting for the server: {why}"),
            address=target.address,
            metadata=(*target.metadata, *_NO_CLIENT),
            patience=patience,
        )
        try:
            with _stopped_by_signals(sender.stop):
                await sender.run()
        finally:
            self._save()
            self._refused.close()
        if sender.is_complete:
            self._state.remove()
        return Summary(
            counts=self._position.counts,
            users=self._position.counts.rows - self._start.rows,
            seconds=self._reporter.seconds,
            is_complete=sender.is_complete,
            is_continued=self._is_continued,
            warnings=dict(plan.updates.warnings),
            refused_path=str(self._refused.path) if self._position.counts.refused else None,
            state_path=str(self._state_path) if self._state_path else None,
        )

    def _remaining_rows(self) -> Iterator[Row]:
        """The rows behind the position. Raises CommandFailed where those before it have changed."""
        start = self._position
        is_behind = start.row == 0
        for row in _rows(self._plan):
            if is_behind:
                yield row
            elif row.number >= start.row:
                is_behind = True
                if row.number > start.row or self._plan.reader.digest.hexdigest() != start.digest:
                    raise self._state.changed()
        if not is_behind:
            raise self._state.changed()

    def _settle(self, settled: Settled) -> None:
        batch, refusals = settled.batch, settled.refusals
        for place in sorted(refusals):
            self._refused.add(batch.rows[place], refusals[place])
        counts = self._position.counts
        refused, suppressed = len(refusals), settled.suppressed
        counts = Counts(
            imported=counts.imported + len(batch.rows) - refused - suppressed,
            suppressed=counts.suppressed + suppressed,
            refused=counts.refused + refused,
        )
        self._position = Position(batch.last_row, batch.digest, self._refused.size, counts)
        self._reporter.advance(batch.position, counts.rows - self._start.rows, _remark(counts))
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        # In this order: the state counts on the refused rows.
        self._refused.flush()
        if self._position.row:
            self._state.save(self._position)
        self._saved = time.monotonic()


def _remark(counts: Counts) -> str:
    return f", refused {counts.refused:,}" if counts.refused else ""


@asynccontextmanager
async def _stub(target: Target) -> AsyncIterator[UserServiceStub]:
    # A channel of its own for each stream: that of a lost server would wait before it connects again.
    async with target.aio_channel() as channel:
        yield UserServiceStub(channel)


async def _application_of(target: Target) -> str:
    """The application of the credential. Raises CommandFailed, without waiting, where no server answers."""
    async with target.aio_channel() as channel:
        stub = CredentialServiceStub(channel)
        try:
            response = await stub.CheckCredential(
                CheckCredentialRequest(), metadata=target.metadata, timeout=CALL_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise failure_of(error, target.address) from None
    return str(response.application_id)


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT or SIGTERM. The next SIGINT raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Signals arrive in the main thread alone.
        return
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def handle() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
        stop()

    for number in numbers:
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
