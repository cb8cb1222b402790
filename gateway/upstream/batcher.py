"""What arrives one by one travels in groups, and never waits for company.

For each key a few groups are under way at a time. What arrives meanwhile waits, and is the next group: the busier the
gateway, the larger its groups, each about as large as the others. What arrives alone when nothing is under way leaves
in the same turn of the event loop; where several travelled together, the next group waits for as long as each turn
brings more, but not for more than its share: else groups that were answered together would leave together ever after,
and be made, sent and written at the same time, instead of one being made while another is written.

What travels is made when its group leaves. Made one after the other, many cost less than each on its arrival, among all
else that a request needs: the processor's caches hold what the making needs.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Made = TypeVar("_Made")
_Result = TypeVar("_Result")


# Turns of the event loop without anything new after which a group leaves, where several travelled together.
_QUIET_TURNS = 4

# Turns for which it may wait at all: a loop that is never idle must not keep it for ever.
_MOST_TURNS = 128

# What a group may have in any case: less would cost more than it saves.
_LEAST = 8

# What is enough to leave before the turns are quiet, if it is a fair share.
_LARGE = 32


class Full(Exception):
    """More is waiting than there is room for. Nothing was sent."""


class NotSentInTime(Exception):
    """The time was over before the item was sent: it certainly has no effect."""


class NotAnsweredInTime(Exception):
    """The time was over after the item was sent: what became of it is not known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` is the time of an item, from its arrival to its answer.

    `groups` are under way at once for each key, of at most `items` made from `octets` bytes in all; one item may be
    larger. No more than twice that is made in one turn of the loop: 128 KiB of numbers take about 10 ms.
    Where a whole group waits, there may be `most_groups`: then the server is never without work while one is answered.
    `waiting_items` and `waiting_octets` hold for all keys together.
    """

    seconds: float
    groups: int = 2
    most_groups: int = 4
    items: int = 150
    octets: int = 128 * 1024
    waiting_items: int = 10_000
    waiting_octets: int = 64 * 1024 * 1024


class _Item(Generic[_Made, _Result]):
    """Something on its way, made from so many `octets`. `settle` is called once, with its result or with what went
    wrong.
    """

    __slots__ = ("deadline", "is_waiting", "made", "make", "octets", "settle")

    made: _Made

    def __init__(self, octets: int, make: Callable[[], _Made], deadline: float, settle: "Settle[_Result]") -> None:
        self.octets = octets
        self.make = make
        self.deadline = deadline
        self.settle: Settle[_Result] | None = settle
        self.is_waiting = True

    def finish(self, outcome: "_Result | Exception") -> None:
        """Tell what became of it, if nothing was told."""
        settle, self.settle = self.settle, None
        if settle is not None:
            settle(outcome)


Settle: TypeAlias = Callable[[_Result | Exception], object]
"""What is told a result, or what went wrong. It must not raise."""


class _Queue(Generic[_Made, _Result]):
    """The items of one key."""

    __slots__ = ("groups_under_way", "is_woken", "items", "items_under_way", "patience")

    def __init__(self) -> None:
        self.items: deque[_Item[_Made, _Result]] = deque()
        self.groups_under_way = self.items_under_way = 0
        self.is_woken = False
        self.patience = 0


class Gatherer(Generic[_Key, _Made, _Result]):
    """Sends items in groups, in the order of their arrival, and gives each its own result.

    `send` takes a key, what the group's items were made into and the seconds that it may take, and must answer for each
    item a result, or what went wrong with it alone. What it raises is told to each item of the group. Belongs to the
    running event loop.
    """

    def __init__(
        self,
        send: Callable[[_Key, Sequence[_Made], float], Awaitable[Sequence[_Result | Exception]]],
        limits: Limits,
    ) -> None:
        self._send = send
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._queues: dict[_Key, _Queue[_Made, _Result]] = {}
        self._waiting_items = 0
        self._waiting_octets = 0
        self._sending: set[asyncio.Task[None]] = set()
        # All have the same time, so the first to come is the first whose time is over: one timer is enough.
        self._unsettled: deque[_Item[_Made, _Result]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, key: _Key, octets: int, make: Callable[[], _Made], settle: Settle[_Result]) -> None:
        """Send an item, made from so many octets.

        It is told its result, NotSentInTime, NotAnsweredInTime, or what `make` or `send` raises. Raises Full.
        """
        if self._waiting_items >= self._limits.waiting_items or (
            self._waiting_octets + octets > self._limits.waiting_octets
        ):
            raise Full
        item: _Item[_Made, _Result] = _Item(octets, make, self._loop.time() + self._limits.seconds, settle)
        self._unsettled.append(item)
        if self._timer is None:
            self._timer = self._loop.call_at(item.deadline, self._expire)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue()
        queue.items.append(item)
        self._waiting_items += 1
        self._waiting_octets += octets
        self._wake(key, queue)

    def _wake(self, key: _Key, queue: _Queue[_Made, _Result]) -> None:
        if self._may_send(queue) and not queue.is_woken:
            queue.is_woken = True
            # After all else that this turn of the loop has read from its connections.
            self._loop.call_soon(self._send_waiting, key, queue, 0, 0, len(queue.items))

    def _send_waiting(self, key: _Key, queue: _Queue[_Made, _Result], turns: int, quiet: int, before: int) -> None:
        quiet = quiet + 1 if len(queue.items) == before else 0
        enough = min(self._limits.items, max(_LARGE, self._share(queue)))
        if turns < _MOST_TURNS and quiet < queue.patience and len(queue.items) < enough:
            self._loop.call_soon(self._send_waiting, key, queue, turns + 1, quiet, len(queue.items))
            return
        queue.is_woken = False
        waiting = self._waiting_octets
        while self._may_send(queue) and (group := self._next_group(queue)):
            queue.groups_under_way += 1
            queue.items_under_way += len(group)
            queue.patience = _QUIET_TURNS if len(group) > 1 else 0
            task = self._loop.create_task(self._exchange(key, queue, group))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            if waiting - self._waiting_octets >= self._limits.octets:
                break
        if queue.items and self._may_send(queue):
            # What is made in one go has its limit, or nothing of a whole group could be made.
            queue.is_woken = True
            self._loop.call_soon(self._send_waiting, key, queue, _MOST_TURNS, 0, 0)
        elif not queue.items and not queue.groups_under_way:
            del self._queues[key]

    def _may_send(self, queue: _Queue[_Made, _Result]) -> bool:
        is_full = len(queue.items) >= self._limits.items
        return queue.groups_under_way < (self._limits.most_groups if is_full else self._limits.groups)

    def _next_group(self, queue: _Queue[_Made, _Result]) -> list[_Item[_Made, _Result]]:
        group: list[_Item[_Made, _Result]] = []
        room = self._limits.octets
        most = max(_LEAST, self._share(queue))
        for _ in range(min(len(queue.items), self._limits.items)):
            item = queue.items[0]
            if len(group) == most or item.octets > room < self._limits.octets:
                break
            queue.items.popleft()
            item.is_waiting = False
            self._waiting_items -= 1
            self._waiting_octets -= item.octets
            if item.settle is None:  # Its time is over.
                continue
            try:
                item.made = item.make()
            except Exception as error:
                item.finish(error)
            else:
                group.append(item)
            room -= item.octets
        return group

    def _share(self, queue: _Queue[_Made, _Result]) -> int:
        """How many the next group may take: while the server works on one, the callers of another are answered and
        send again. If one took all that wait, it would be turn and turn about.
        """
        share = -(-(len(queue.items) + queue.items_under_way) // self._limits.groups)
        return min(self._limits.items, share)

    async def _exchange(self, key: _Key, queue: _Queue[_Made, _Result], group: list[_Item[_Made, _Result]]) -> None:
        try:
            results = await self._send(key, [item.made for item in group], group[-1].deadline - self._loop.time())
            for item, result in zip(group, results, strict=True):
                item.finish(result)
        except Exception as error:
            for item in group:
                item.finish(error)
        finally:
            queue.groups_under_way -= 1
            queue.items_under_way -= len(group)
            self._wake(key, queue)
            self._forget_settled()

    def _forget_settled(self) -> None:
        while self._unsettled and self._unsettled[0].settle is None:
            self._unsettled.popleft()

    def _expire(self) -> None:
        now = self._loop.time()
        while self._unsettled and (self._unsettled[0].settle is None or self._unsettled[0].deadline <= now):
            item = self._unsettled.popleft()
            item.finish(NotSentInTime() if item.is_waiting else NotAnsweredInTime())
        self._timer = self._loop.call_at(self._unsettled[0].deadline, self._expire) if self._unsettled else None
