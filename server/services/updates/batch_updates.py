"""Batches of updates, from one client or from many: planned, stored, and a result for each.

Other batches share its first half: each item is planned on its own and has an outcome of its own.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from runtime.turns import Turns
from server import limits, metrics
from server.commit.write_batcher import WriteBatcher
from server.errors import BatchTooLarge, InvalidRequest, UserfoldError, Violation
from server.model import STORED, PlannedUpdate, ProfileWrite
from server.rpc.call import Call, SingleRequests
from server.rpc.error_status import error_status
from server.rpc.observing.refusal_log import record_warnings, status_of_refusal
from server.services.updates.update_messages import SentUpdates, UpdateMessages
from server.users.addresses import client_address
from server.users.metadata.tree import oversized_update
from server.users.ports import Outcome
from server.users.update import plan_update

REFUSED_IN_ONE_TURN: Final = 64
"""Statuses of refused items that are built before other applications have a turn: to build one is slow."""

_Item = TypeVar("_Item")
_Plan = TypeVar("_Plan")
_Outcome = TypeVar("_Outcome")

Planned: TypeAlias = Sequence[PlannedUpdate | UserfoldError]
"""The updates of a request in their order, each planned or refused."""


def require_batch(items: Sized) -> None:
    """Raise BatchTooLarge where a batch has too many items."""
    if len(items) > limits.BATCH_UPDATES:
        raise BatchTooLarge


def plan_each(
    plan: Callable[[int, _Item], _Plan], items: Iterable[_Item], first: int = 0
) -> Sequence[_Plan | UserfoldError]:
    """The plan of each item, or the error that refuses it. `plan` takes the index of an item, counted from `first`, and
    the item.
    """
    planned: list[_Plan | UserfoldError] = []
    for index, item in enumerate(items, first):
        try:
            planned.append(plan(index, item))
        except UserfoldError as error:
            planned.append(error)
    return planned


async def outcomes_of(
    planned: Sequence[_Plan | UserfoldError], apply: Callable[[Sequence[_Plan]], Awaitable[Iterable[_Outcome]]]
) -> Sequence[_Outcome | UserfoldError]:
    """The outcome of each item. `apply` returns those of the items that were not refused."""
    outcomes = iter(await apply([item for item in planned if not isinstance(item, UserfoldError)]))
    return [item if isinstance(item, UserfoldError) else next(outcomes) for item in planned]


class BatchUpdater:
    """Merges batches of updates of one kind into the profiles of a store. `clock` returns nanoseconds since 1970-01-01
    UTC.
    """

    def __init__(self, of: UpdateMessages, profiles: WriteBatcher, clock: Callable[[], int], turns: Turns) -> None:
        self._of = of
        self._profiles = profiles
        self._clock = clock
        self._turns = turns

    async def update(self, updates: SentUpdates, addresses: Sequence[str], call: Call, results: Any) -> None:
        """Merge the updates of a call, and add the result of each to the repeated field `results`.

        `addresses` are the addresses of the clients, one for each update, which is then a request of its own. Where
        there are none, every update is from the client of the call. Raises BatchTooLarge, or InvalidRequest where there
        are too many or too few addresses.
        """
        count = len(updates.items)
        require_batch(updates.items)
        if addresses and len(addresses) != count:
            raise InvalidRequest(
                [Violation("client_addresses", "WRONG_LENGTH", f"must be as many as {self._of.items}, or none")]
            )
        clients = [client_address(address) for address in addresses] or [call.client_address()] * count
        if addresses:
            call.requests = SingleRequests(self._of.single)
        planned = await plan_batch(call.application_id, updates, clients, self._clock(), self._turns, call.oversized)
        outcomes = await self._profiles.submit(writes_of(planned))
        await fill_results(self._of, results, planned, outcomes, call, self._turns)


async def plan_batch(
    application_id: str,
    updates: SentUpdates,
    addresses: Sequence[str | None],
    now: int,
    turns: Turns,
    oversized: frozenset[int] = frozenset(),
) -> Planned:
    """Plan the updates of one application at the time `now`, in nanoseconds since 1970-01-01 UTC. `addresses` are those
    of their clients.

    A long batch is planned in turns with the work of other applications. The updates with the indices `oversized` are
    refused: they were too large to be parsed.
    """

    read = updates.read

    def plan(index: int, item: tuple[Any, str | None]) -> PlannedUpdate:
        if index in oversized:
            raise oversized_update()
        return plan_update(application_id, read(*item), now)

    planned: list[PlannedUpdate | UserfoldError] = []
    items = iter(zip(updates.items, addresses, strict=True))
    for count in slices_of(map(updates.size_of, updates.items), limits.SLICE_BYTES):
        if planned:
            await turns.turn(application_id)
        planned += plan_each(plan, islice(items, count), len(planned))
    return planned


def slices_of(sizes: Iterable[int], limit: int) -> Iterator[int]:
    """The number of items in each slice: at least one, and no more than have `limit` bytes together."""
    count = total = 0
    for size in sizes:
        if count and total + size > limit:
            yield count
            count = total = 0
        count += 1
        total += size
    if count:
        yield count


def writes_of(planned: Planned) -> list[ProfileWrite]:
    """The writes of the updates that were not refused."""
    return [item.write for item in planned if isinstance(item, PlannedUpdate)]


async def fill_results(
    of: UpdateMessages, results: Any, planned: Planned, outcomes: Iterable[Outcome], call: Call, turns: Turns
) -> None:
    """Add a result for each update of a call. `outcomes` are those of the writes that `writes_of` returns."""
    remaining = iter(outcomes)
    method = call.requests.method if call.requests else of.batch
    codes: dict[str, int] = {}
    warned: list[Any] = []
    refused = 0
    for index, item in enumerate(planned):
        result = results.add()
        response: Any = item
        if isinstance(item, PlannedUpdate):
            outcome = next(remaining)
            if outcome is STORED and not item.warnings:
                # As nearly all are.
                result.response.SetInParent()
                continue
            response = of.response_of(item, outcome, of.prefix_of(index))
        if isinstance(response, UserfoldError):
            refused += 1
            if refused % REFUSED_IN_ONE_TURN == 0:
                await turns.turn(call.application_id)
            code = error_status(response).code.name
            codes[code] = codes.get(code, 0) + 1
            prefix = of.prefix_of(index)
            status = status_of_refusal(method, response, call.origin_of(index), prefix, call.refusals)
            result.error.CopyFrom(status)
        else:
            warned.append(response)
            result.response.CopyFrom(response)
    if warned:
        count_warnings(method, warned, call)
    if call.requests:
        if refused < len(planned):
            codes["OK"] = len(planned) - refused
        call.requests.codes = codes


def count_warnings(method: str, responses: Iterable[Any], call: Call) -> None:
    """Count the warnings in responses to a call."""
    warnings = [(each.field, each.reason) for response in responses for each in response.warnings]
    for reason, count in Counter([reason for _, reason in warnings]).items():
        metrics.warnings(method, reason).inc(count)
    record_warnings(method, warnings, call.refusals)
