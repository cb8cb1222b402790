"""Several updates at once: each planned on its own, and told on its own what became of it."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from userfold.v1 import user_pb2

from server import limits, wire
from server.errors import InvalidRequest, UserfoldError
from server.model import PlannedUpdate, ProfileWrite, Suppressed, Warning
from server.plan import plan_update
from server.store.profiles import Outcome

_SUPPRESSED = Warning("user_id", "SUPPRESSED", "accepted and dropped: the user is erased, and kept so for a time")

_Item = TypeVar("_Item")
_Plan = TypeVar("_Plan")
_Outcome = TypeVar("_Outcome")

Planned: TypeAlias = Sequence[PlannedUpdate | InvalidRequest]
"""Updates in the order in which they came, each planned or refused."""


def plan_each(plan: Callable[[int, _Item], _Plan], items: Iterable[_Item]) -> Sequence[_Plan | InvalidRequest]:
    """The plan of each item, made from its index and itself, or why it is refused."""
    planned: list[_Plan | InvalidRequest] = []
    for index, item in enumerate(items):
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


def plan_batch(
    application_id: str, updates: Iterable[user_pb2.UserUpdate], addresses: Iterable[str | None], now: int
) -> Planned:
    """Plan updates of one application, which came from these client addresses, at the time `now` in nanoseconds."""

    def plan(_: int, sent: tuple[user_pb2.UserUpdate, str | None]) -> PlannedUpdate:
        return plan_update(application_id, wire.update_from_message(*sent), now)

    return plan_each(plan, zip(updates, addresses, strict=True))


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
    if isinstance(outcome, Suppressed):
        return None, (*planned.warnings[: limits.REPORTED - 1], _SUPPRESSED)
    return outcome, planned.warnings
