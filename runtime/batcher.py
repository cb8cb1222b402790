"""When the next group of queued items starts, and how many items it may take."""

import asyncio
from abc import ABC, abstractmethod
from typing import Final

QUIET_TURNS: Final = 4
"""Turns of the event loop without a change after which a group starts, if the last one had several items."""

TURNS_LIMIT: Final = 128
"""Turns after which a group starts in any case: on a busy loop, every turn may bring a change."""


def ceil_div(dividend: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-dividend // divisor)


class AdaptiveBatcher(ABC):
    """Starts groups of queued items. A subclass chooses the items of a group and processes them.

    A batcher needs no timer. If nothing is in flight, an item starts in the next turn of the event loop. Items that
    arrive while groups are in flight form the next group, so groups grow with the load. Each group has a cost of its
    own. So after a group of several items, the next one waits until a few turns of the loop bring no change. It does
    not wait if its share of all items is already queued.

    Belongs to the running event loop.
    """

    __slots__ = (
        "_groups_in_flight",
        "_is_due",
        "_lone_quiet_turns",
        "_quiet_turns",
        "_quiet_turns_needed",
        "_turns",
        "_unfinished",
        "_unfinished_before",
        "_usual_groups",
    )

    def __init__(self, groups: int, *, lone_quiet_turns: int = 0) -> None:
        """`groups` is the usual number of groups in flight, which share the items.

        `lone_quiet_turns` is how many quiet turns a group waits for if the last one had a single item.
        """
        self._usual_groups = groups
        self._lone_quiet_turns = lone_quiet_turns
        self._groups_in_flight = 0
        # The items that are queued or in flight. The subclass counts them.
        self._unfinished = 0
        self._quiet_turns_needed = lone_quiet_turns
        self._is_due = False

    @abstractmethod
    def _may_start(self) -> bool:
        """Whether another group may be in flight."""

    @abstractmethod
    def _is_share_queued(self) -> bool:
        """Whether so many items are queued that their group must not wait for more."""

    @abstractmethod
    def _start_groups(self) -> None:
        """Start groups while one may start, and report each to `_group_started`."""

    def _share(self, minimum: int) -> int:
        """How many items the next group may take, at least `minimum`.

        Groups are about equal in size: while one is processed, the callers of another receive their results and send
        again. If one group took all queued items, all callers would wait for it together.
        """
        return max(minimum, ceil_div(self._unfinished, self._usual_groups))

    def _start_soon(self) -> None:
        """Start the next group when it need not wait for more items. Does nothing if no group may start."""
        if not self._is_due and self._may_start():
            self._is_due = True
            self._turns = self._quiet_turns = 0
            self._unfinished_before = self._unfinished
            asyncio.get_running_loop().call_soon(self._turn)

    def _start_in_next_turn(self) -> None:
        """Start the next group in the next turn of the loop, without waiting for more items."""
        self._start_soon()
        self._turns = TURNS_LIMIT

    def _turn(self) -> None:
        self._quiet_turns = self._quiet_turns + 1 if self._unfinished == self._unfinished_before else 0
        if self._quiet_turns < self._quiet_turns_needed and self._turns < TURNS_LIMIT and not self._is_share_queued():
            self._turns += 1
            self._unfinished_before = self._unfinished
            asyncio.get_running_loop().call_soon(self._turn)
            return
        self._is_due = False
        self._start_groups()

    def _group_started(self, items: int) -> None:
        self._groups_in_flight += 1
        # A lone caller does not wait for others.
        self._quiet_turns_needed = QUIET_TURNS if items > 1 else self._lone_quiet_turns

    def _group_ended(self) -> None:
        self._groups_in_flight -= 1
