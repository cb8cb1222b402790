"""When groups start and how large they are, over a batcher whose groups end when the test says so."""

import pytest

from runtime.batcher import QUIET_TURNS, TURNS_LIMIT, AdaptiveBatcher, ceil_div
from tests.support.waiting import turns

LARGE_GROUP = 8


class FakeBatcher(AdaptiveBatcher):
    """Takes its share of what is queued, and records the size of each group."""

    def __init__(self, groups: int = 2, *, lone_quiet_turns: int = 0) -> None:
        super().__init__(groups, lone_quiet_turns=lone_quiet_turns)
        self.sizes: list[int] = []
        self.in_flight: list[int] = []
        self.queued = 0
        self.limit = groups

    def submit(self, items: int = 1) -> None:
        self.queued += items
        self._unfinished += items
        self._start_soon()

    def submit_without_waiting(self, items: int) -> None:
        self.queued += items
        self._unfinished += items
        self._start_in_next_turn()

    def end(self) -> None:
        """End the oldest group."""
        self._group_ended()
        self._unfinished -= self.in_flight.pop(0)
        self._start_soon()

    def _may_start(self) -> bool:
        return self.queued > 0 and self._groups_in_flight < self.limit

    def _is_share_queued(self) -> bool:
        return self.queued >= self._share(LARGE_GROUP)

    def _start_groups(self) -> None:
        while self._may_start():
            size = min(self.queued, self._share(1))
            self.queued -= size
            self.sizes.append(size)
            self.in_flight.append(size)
            self._group_started(size)


@pytest.mark.parametrize(
    ("dividend", "divisor", "quotient"), [(0, 2, 0), (1, 2, 1), (2, 2, 1), (3, 2, 2), (10, 3, 4), (9, 3, 3)]
)
def test_ceil_div_rounds_up(dividend: int, divisor: int, quotient: int) -> None:
    assert ceil_div(dividend, divisor) == quotient


async def test_a_lone_item_starts_in_the_next_turn() -> None:
    batcher = FakeBatcher()
    batcher.submit()
    assert batcher.sizes == []
    await turns(1)
    assert batcher.sizes == [1]


async def test_the_items_of_one_turn_share_the_groups_equally() -> None:
    batcher = FakeBatcher(groups=3)
    for _ in range(10):
        batcher.submit()
    await turns(1)
    assert batcher.sizes == [4, 4, 2]


async def test_items_that_arrive_while_all_groups_are_in_flight_form_the_next_group() -> None:
    batcher = FakeBatcher(groups=1)
    batcher.submit()
    await turns(1)
    for _ in range(5):
        batcher.submit()
        await turns(2)
    assert batcher.sizes == [1]
    batcher.end()
    await turns(1)
    assert batcher.sizes == [1, 5]


async def test_a_share_counts_the_items_in_flight() -> None:
    batcher = FakeBatcher()
    batcher.submit(20)
    await turns(1)
    assert batcher.sizes == [10, 10]
    batcher.submit(30)
    batcher.end()
    await turns(1)
    # 10 in flight and 30 queued.
    assert batcher.sizes == [10, 10, 20]


async def test_after_a_group_of_several_the_next_one_waits_for_quiet_turns() -> None:
    batcher = FakeBatcher(groups=1)
    batcher.submit(2)
    await turns(1)
    batcher.end()
    batcher.submit()
    await turns(QUIET_TURNS - 1)
    batcher.submit()
    await turns(QUIET_TURNS)
    assert batcher.sizes == [2]
    await turns(1)
    assert batcher.sizes == [2, 2]


async def test_after_a_single_item_the_next_group_waits_as_long_as_it_is_asked_to() -> None:
    batcher = FakeBatcher(groups=1, lone_quiet_turns=1)
    batcher.submit()
    await turns(1)
    assert batcher.sizes == [1]
    batcher.end()
    batcher.submit()
    # Another item in the same turn: the turn is not quiet.
    batcher.submit()
    await turns(1)
    assert batcher.sizes == [1]
    await turns(1)
    assert batcher.sizes == [1, 2]


async def test_a_group_with_its_share_does_not_wait() -> None:
    batcher = FakeBatcher(groups=1)
    batcher.submit(2)
    await turns(1)
    batcher.end()
    batcher.submit(LARGE_GROUP)
    await turns(1)
    assert batcher.sizes == [2, LARGE_GROUP]


async def test_a_group_waits_for_a_limited_number_of_turns() -> None:
    batcher = FakeBatcher()
    # So much stays in flight that no group has its share soon.
    batcher.submit(10 * TURNS_LIMIT)
    await turns(1)
    assert len(batcher.sizes) == 2
    batcher.end()
    waited = 0
    while len(batcher.sizes) == 2:
        batcher.submit()
        await turns(1)
        waited += 1
    assert waited == TURNS_LIMIT + 1


async def test_a_batcher_can_start_without_waiting() -> None:
    batcher = FakeBatcher(groups=1)
    batcher.submit(2)
    await turns(1)
    batcher.end()
    batcher.submit_without_waiting(1)
    await turns(1)
    assert batcher.sizes == [2, 1]


async def test_no_group_starts_where_none_may() -> None:
    batcher = FakeBatcher()
    batcher.limit = 0
    batcher.submit(3)
    await turns()
    assert batcher.sizes == []
    batcher.limit = 1
    batcher.submit(1)
    await turns()
    assert batcher.sizes == [2]
