"""Several updates at once: each planned on its own, and told on its own what became of it."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from userfold.v1 import user_pb2, user_service_pb2

from runtime.turns import Turns
from server import limits
from server.errors import UserfoldError
from server.model import PlannedUpdate, ProfileWrite, Stored, Suppressed, UpdateWarning
from server.rpc.refusal_log import status_of_refusal
from server.services import convert
from server.users.metadata import oversized_update
from server.users.ports import Outcome
from server.users.update import plan_update

_STORED: Final = user_service_pb2.UpdateUserResponse()
_SUPPRESSED = UpdateWarning("user_id", "SUPPRESSED", "accepted and dropped: the user is erased, and kept so for a time")

REFUSED_IN_ONE_TURN: Final = 64
"""Refused updates whose Statuses are made at once: each takes 30 us and more."""

_Item = TypeVar("_Item")
_Plan = TypeVar("_Plan")
_Outcome = TypeVar("_Outcome")

Planned: TypeAlias = Sequence[PlannedUpdate | UserfoldError]
"""Updates in the order in which they came, each planned or refused."""


def plan_each(
    plan: Callable[[int, _Item], _Plan], items: Iterable[_Item], first: int = 0
) -> Sequence[_Plan | UserfoldError]:
    """The plan of each item, made from its index and itself, or why it is refused; `first` is the first index."""
    planned: list[_Plan | UserfoldError] = []
    for index, item in enumerate(items, first):
        try:
            planned.append(plan(index, item))
        except UserfoldError as error:
            planned.append(error)
    return planned


async def outcomes_of(
    planned: Sequence[_Plan | UserfoldError], do: Callable[[Sequence[_Plan]], Awaitable[Iterable[_Outcome]]]
) -> Sequence[_Outcome | UserfoldError]:
    """What became of each item: `do` tells it of those that are not refused."""
    outcomes = iter(await do([item for item in planned if not isinstance(item, UserfoldError)]))
    return [item if isinstance(item, UserfoldError) else next(outcomes) for item in planned]


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
        return plan_update(application_id, convert.update_from_message(*sent), now)

    planned: list[PlannedUpdate | UserfoldError] = []
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


async def fill_results(
    results: Any, planned: Planned, outcomes: Iterable[Outcome], application_id: str, turns: Turns
) -> None:
    """Add one result of a batch for each update, from the outcomes of `writes_of`."""
    settled = iter(outcomes)
    refused = 0
    for index, item in enumerate(planned):
        outcome = next(settled) if isinstance(item, PlannedUpdate) else item
        result = results.add()
        prefix = f"users[{index}]."
        told = response_of(item, outcome, prefix) if isinstance(item, PlannedUpdate) else item
        if isinstance(told, UserfoldError):
            refused += 1
            if refused % REFUSED_IN_ONE_TURN == 0:
                await turns.turn(application_id)
            result.error.CopyFrom(status_of_refusal("BatchUpdateUsers", told, prefix))
        else:
            result.response.CopyFrom(told)


def response_of(
    planned: PlannedUpdate, outcome: Outcome, prefix: str = ""
) -> UserfoldError | user_service_pb2.UpdateUserResponse:
    """What became of one update: its error, or its response, whose fields are named from the request by `prefix`."""
    if isinstance(outcome, Stored):
        if not planned.warnings:
            return _STORED
        return user_service_pb2.UpdateUserResponse(warnings=convert.warning_messages(planned.warnings, prefix))
    if isinstance(outcome, Suppressed):
        warnings = convert.warning_messages((*planned.warnings[: limits.REPORTED - 1], _SUPPRESSED), prefix)
        return user_service_pb2.UpdateUserResponse(warnings=warnings, suppressed=True)
    return outcome
