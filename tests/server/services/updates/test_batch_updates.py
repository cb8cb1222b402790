"""Batches: planned in slices, and each update on its own."""

import asyncio
import math
from collections.abc import Hashable, Sequence

import pytest
from userfold.v1.user_pb2 import UserUpdate

from runtime.turns import Turns
from server import limits
from server.errors import InvalidRequest, UserfoldError
from server.model import PlannedUpdate
from server.services.updates.batch_updates import plan_batch, slices_of
from server.services.updates.update_messages import OF_USERS


class CountedTurns(Turns):
    """Turns that record their owners."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: list[Hashable] = []

    async def turn(self, owner: Hashable) -> None:
        self.owners.append(owner)
        await super().turn(owner)


def _update(user_id: str, values: int = 5) -> UserUpdate:
    update = UserUpdate(user_id=user_id)
    update.metadata.update({f"key{number}": f"value {number}" for number in range(values)})
    return update


async def _planned(
    updates: Sequence[UserUpdate], turns: Turns, oversized: frozenset[int] = frozenset()
) -> Sequence[PlannedUpdate | UserfoldError]:
    return await plan_batch("app", OF_USERS.messages(updates), [None] * len(updates), 0, turns, oversized)


def _user_ids(planned: Sequence[PlannedUpdate | UserfoldError]) -> list[object]:
    return [item.write.on_insert["user_id"] if isinstance(item, PlannedUpdate) else None for item in planned]


@pytest.mark.parametrize(
    ("sizes", "slices"),
    [([], []), ([5], [1]), ([50], [1]), ([4, 4, 4], [2, 1]), ([50, 1, 1, 50, 9], [1, 2, 1, 1]), ([0] * 9, [9])],
)
def test_a_slice_holds_what_fits_and_at_least_one_item(sizes: list[int], slices: list[int]) -> None:
    assert list(slices_of(sizes, 9)) == slices


async def test_a_small_batch_is_planned_in_one_slice() -> None:
    turns = CountedTurns()
    updates = [_update(f"u{number}") for number in range(60)]
    assert sum(update.ByteSize() for update in updates) < limits.SLICE_BYTES
    assert _user_ids(await _planned(updates, turns)) == [f"u{number}" for number in range(60)]
    assert turns.owners == []


async def test_a_large_batch_is_planned_in_slices_and_in_order() -> None:
    turns = CountedTurns()
    updates = [_update(f"u{number}", 800) for number in range(20)]
    size = updates[-1].ByteSize()
    assert _user_ids(await _planned(updates, turns)) == [f"u{number}" for number in range(20)]
    per_slice = max(1, limits.SLICE_BYTES // size)
    assert turns.owners == ["app"] * (math.ceil(20 / per_slice) - 1)


async def test_other_work_goes_on_between_the_slices() -> None:
    turns = CountedTurns()
    large = asyncio.ensure_future(_planned([_update(f"u{number}", 800) for number in range(50)], turns))
    await asyncio.sleep(0)
    assert len(await _planned([_update("v")], turns)) == 1
    assert not large.done()
    assert len(await large) == 50


async def test_refused_updates_keep_their_index_across_slices() -> None:
    updates = [_update(f"u{number}" if number % 3 else "", 400) for number in range(9)]
    planned = await _planned(updates, CountedTurns())
    assert [isinstance(item, InvalidRequest) for item in planned] == [number % 3 == 0 for number in range(9)]


async def test_only_the_oversized_updates_are_refused() -> None:
    updates = [_update(f"u{number}", 400) for number in range(6)]
    planned = await _planned(updates, CountedTurns(), oversized=frozenset({0, 4}))
    assert _user_ids(planned) == [None, "u1", "u2", "u3", None, "u5"]
    refused = planned[4]
    assert isinstance(refused, InvalidRequest)
    assert [violation.reason for violation in refused.violations] == ["TOO_LARGE"]
