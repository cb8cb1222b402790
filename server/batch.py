"""Several updates at once: each planned on its own, and told on its own what became of it."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias, TypeVar

from userfold.v1 import user_pb2

from processes.turns import Turns
from server import limits, wire
from server.errors import InvalidRequest, UserfoldError
from server.metadata import oversized_update
from server.model import PlannedUpdate, ProfileWrite, Stored, Suppressed, Warning
from server.plan import plan_update
from server.store.profiles import Outcome

_SUPPRESSED = Warning("user_id", "SUPPRESSED", "accepted and dropped: the user is erased, and kept so for a time")

REFUSED_IN_ONE_TURN: Final = 64
"""Refused updates whose Statuses are made at once: each takes 30 us and more."""

_Item = TypeVar("_Item")
_Plan = TypeVar("_Plan")
_Outcome = TypeVar("_Outcome")

Planned: TypeAlias = Sequence[PlannedUpdate | InvalidRequest]
"""Updates in the order in which they came, each planned or refused."""


def plan_each(
    plan: Callable[[int, _Item], _Plan], items: Iterable[_Item], first: int = 0
) -> Sequence[_Plan | InvalidRequest]:
    """The plan of each item, made from its index and itself, or why it is refused; `first` is the first index."""
    planned: list[_Plan | InvalidRequest] = []
    for index, item in enumerate(items, first):
        try:
            planned.append(plan(index, item))
        except InvalidRequest as error:
            planned.append(error)
    return planned


async def outcomes_of(
    planned: Sequence[_Plan | InvalidRequest], do: Callable[[Sequence[_Plan]], Awaitable[Iterable[_Outcome]]]
) -> Sequence[_Outcome | InvalidRequest]:
    """What became of each item: `do` tells it of those that are not refused."""
    outcomes = iter(await do([item for item in planned if not isinstance(item, InvalidRequest)]))
    return [item if isinstance(item, InvalidRequest) else next(outcomes) for item in planned]


async def plan_batch(
    application_id: str,
    updates: Sequence[user_pb2.UserUpdate],
    addresses: Sequence[str | None],
    now: int,
    turns: Turns,
    oversized: frozenset[int] = frozenset(),
) -> Planned:
    """Plan updates of one application, which came from these client addresses, at the time `now` in nanoseconds.

    A long batch is planned in turns with the work of other applications. The updates at the indexes `oversized` are
    refused: they were too large to be parsed.
    """

    def plan(index: int, sent: tuple[user_pb2.UserUpdate, str | None]) -> PlannedUpdate:
        if index in oversized:
            raise oversized_update()
        return plan_update(application_id, wire.update_from_message(*sent), now)

    planned: list[PlannedUpdate | InvalidRequest] = []
    sent = iter(zip(updates, addresses, strict=True))
    for count in slices_of((update.ByteSize() for update in updates), limits.SLICE_BYTES):
        if planned:
            await turns.turn(application_id)
        planned += plan_each(plan, islice(sent, count), len(planned))
    return planned


def slices_of(sizes: Iterable[int], most: int) -> Iterator[int]:
    """How many of the items with these sizes each slice holds: so many as have `most` together, and at least one."""
    count = total = 0
    for size in sizes:
        if count and total + size > most:
            yield count
            count = total = 0
        count += 1
        total += size
    if count:
        yield count


def writes_of(planned: Planned) -> list[ProfileWrite]:
    """The writes of the updates that are not refused."""
    return [item.write for item in planned if isinstance(item, PlannedUpdate)]


def results_of(
    planned: Planned, outcomes: Iterable[Outcome]
) -> Iterator[tuple[UserfoldError | None, Sequence[Warning]]]:
    """What became of each update, from the outcomes of `writes_of`: its error, or its warnings."""
    settled = iter(outcomes)
    for item in planned:
        yield result_of(item, next(settled)) if isinstance(item, PlannedUpdate) else (item, ())


def result_of(planned: PlannedUpdate, outcome: Outcome) -> tuple[UserfoldError | None, Sequence[Warning]]:
    """What became of one update: its error, or its warnings."""
    if isinstance(outcome, Stored):
        return None, planned.warnings
    if isinstance(outcome, Suppressed):
        return None, (*planned.warnings[: limits.REPORTED - 1], _SUPPRESSED)
    return outcome, planned.warnings
