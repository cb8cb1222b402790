"""Sends items that arrive one by one in groups.

A group is sent as `runtime/batcher.py` says, for each key on its own. An item is prepared just before its group is
sent: preparing many items in a row is cheaper than preparing each on its arrival. While one group is prepared, the
server works on another.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from gateway import metrics
from runtime.batcher import AdaptiveBatcher

_Key = TypeVar("_Key", bound=Hashable)
_Prepared = TypeVar("_Prepared")
_Result = TypeVar("_Result")

# The share of a group is at least this: a smaller group costs more than it saves.
_MIN_SHARE: Final = 8

# A group that has its share, and at least this, does not wait for more items.
_LARGE_GROUP: Final = 32


class QueueFull(Exception):
    """There is no room for another item. It was not sent."""


class NotSentInTime(Exception):
    """The deadline expired before the item was sent. It has no effect."""


class NotAnsweredInTime(Exception):
    """The deadline expired after the item was sent. Whether it has an effect is unknown."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` is the time of an item, from its arrival to its result.

    For each key, `groups` may be in flight, or `full_groups` while a whole group is queued. While no more than
    `quiet_items` are queued or in flight, `quiet_groups` may be in flight, of whatever size: the server has time then,
    and an item must not wait for the response to another one.

    A group has at most `group_items`, whose sizes before they are prepared are at most `group_bytes` in all; a single
    item may be larger. In one turn of the loop, at most twice `group_bytes` are prepared. `queued_items` and
    `queued_bytes` hold for all keys together.
    """

    seconds: float
    groups: int = 2
    full_groups: int = 4
    quiet_items: int = 12
    quiet_groups: int = 6
    group_items: int = 150
    group_bytes: int = 128 * 1024
    queued_items: int = 10_000
    queued_bytes: int = 64 * 1024 * 1024


Settle: TypeAlias = Callable[[_Result | Exception], object]
"""Receives the result of an item, or the exception. Must not raise."""


class _Item(Generic[_Prepared, _Result]):
    """An item of `size` bytes before it is prepared. `settle` is called once."""

    __slots__ = ("deadline", "is_queued", "prepare", "prepared", "settle", "size")

    prepared: _Prepared

    def __init__(self, size: int, prepare: Callable[[], _Prepared], deadline: float, settle: Settle[_Result]) -> None:
        self.size = size
        self.prepare = prepare
        self.deadline = deadline
        self.settle: Settle[_Result] | None = settle
        self.is_queued = True

    def finish(self, outcome: "_Result | Exception") -> None:
        """Report the outcome, unless one was reported."""
        settle, self.settle = self.settle, None
        if settle is not None:
            settle(outcome)


class Batcher(Generic[_Key, _Prepared, _Result]):
    """Sends the items of each key in groups, in their order, and reports to each item its own result.

    `send` receives a key, the prepared items and the seconds that remain. It must return a result or an exception for
    each item. An exception that it raises is reported to each item of the group. Belongs to the running event loop.
    """

    def __init__(
        self,
        send: Callable[[_Key, Sequence[_Prepared], float], Awaitable[Sequence[_Result | Exception]]],
        limits: Limits,
    ) -> None:
        self.send = send
        self.limits = limits
        self.queued_items = 0
        self.queued_bytes = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._by_key: dict[_Key, _KeyBatcher[_Key, _Prepared, _Result]] = {}
        # All items have the same time, so the first to arrive is the first to expire: one timer serves all.
        self._unsettled: deque[_Item[_Prepared, _Result]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, key: _Key, size: int, prepare: Callable[[], _Prepared], settle: Settle[_Result]) -> None:
        """Send an item of `size` bytes.

        `settle` receives its result, NotSentInTime, NotAnsweredInTime, or what `prepare` or `send` raises. Raises
        QueueFull.
        """
        if self.queued_items >= self.limits.queued_items or self.queued_bytes + size > self.limits.queued_bytes:
            raise QueueFull
        item: _Item[_Prepared, _Result] = _Item(size, prepare, self._loop.time() + self.limits.seconds, settle)
        self._unsettled.append(item)
        if self._timer is None:
            self._timer = self._loop.call_at(item.deadline, self._expire)
        queue = self._by_key.get(key)
        if queue is None:
            queue = self._by_key[key] = _KeyBatcher(self, key)
        self.queued_items += 1
        self.queued_bytes += size
        queue.append(item)

    def waited(self, deadline: float) -> float:
        """How long an item with this deadline has been here, in seconds."""
        return self._loop.time() - deadline + self.limits.seconds

    def forget(self, key: _Key) -> None:
        """Keep nothing of a key that has no items."""
        del self._by_key[key]

    def forget_settled(self) -> None:
        """Keep nothing of the first items that are settled."""
        while self._unsettled and self._unsettled[0].settle is None:
            self._unsettled.popleft()

    def _expire(self) -> None:
        now = self._loop.time()
        while self._unsettled and (self._unsettled[0].settle is None or self._unsettled[0].deadline <= now):
            item = self._unsettled.popleft()
            item.finish(NotSentInTime() if item.is_queued else NotAnsweredInTime())
        self._timer = self._loop.call_at(self._unsettled[0].deadline, self._expire) if self._unsettled else None


class _KeyBatcher(AdaptiveBatcher, Generic[_Key, _Prepared, _Result]):
    """The queue of one key."""

    __slots__ = ("_batcher", "_items", "_key", "_limits")

    def __init__(self, batcher: Batcher[_Key, _Prepared, _Result], key: _Key) -> None:
        self._limits = batcher.limits
        super().__init__(self._limits.groups)
        self._batcher = batcher
        self._key = key
        self._items: deque[_Item[_Prepared, _Result]] = deque()

    def append(self, item: _Item[_Prepared, _Result]) -> None:
        self._items.append(item)
        self._unfinished += 1
        if not self._is_due:
            self._start_soon()

    def _may_start(self) -> bool:
        is_full = len(self._items) >= self._limits.group_items
        if self._unfinished <= self._limits.quiet_items:
            return self._groups_in_flight < self._limits.quiet_groups
        return self._groups_in_flight < (self._limits.full_groups if is_full else self._limits.groups)

    def _is_share_queued(self) -> bool:
        return len(self._items) >= min(self._limits.group_items, self._share(_LARGE_GROUP))

    def _start_groups(self) -> None:
        batcher = self._batcher
        queued_bytes = batcher.queued_bytes
        while self._may_start() and (group := self._next_group()):
            self._group_started(len(group))
            metrics.GROUP_ITEMS.add(len(group))
            metrics.GROUP_WAIT.add(batcher.waited(group[0].deadline))
            task = asyncio.get_running_loop().create_task(self._exchange(group))
            batcher.tasks.add(task)
            task.add_done_callback(batcher.tasks.discard)
            if queued_bytes - batcher.queued_bytes >= self._limits.group_bytes:
                break
        if self._items and self._may_start():
            # The turn has prepared its limit, or no item of a whole group could be prepared.
            self._start_in_next_turn()
        elif not self._items and not self._groups_in_flight:
            batcher.forget(self._key)

    def _next_group(self) -> list[_Item[_Prepared, _Result]]:
        group: list[_Item[_Prepared, _Result]] = []
        room = self._limits.group_bytes
        share = self._share(_MIN_SHARE)
        for _ in range(min(len(self._items), self._limits.group_items)):
            item = self._items[0]
            if len(group) == share or item.size > room < self._limits.group_bytes:
                break
            self._items.popleft()
            item.is_queued = False
            self._batcher.queued_items -= 1
            self._batcher.queued_bytes -= item.size
            if item.settle is None:  # Its deadline has expired.
                self._unfinished -= 1
                continue
            try:
                item.prepared = item.prepare()
            except Exception as error:
                self._unfinished -= 1
                item.finish(error)
            else:
                group.append(item)
            room -= item.size
        return group

    async def _exchange(self, group: list[_Item[_Prepared, _Result]]) -> None:
        seconds = group[-1].deadline - asyncio.get_running_loop().time()
        try:
            results = await self._batcher.send(self._key, [item.prepared for item in group], seconds)
            for item, result in zip(group, results, strict=True):
                item.finish(result)
        except Exception as error:
            for item in group:
                item.finish(error)
        finally:
            self._group_ended()
            self._unfinished -= len(group)
            self._start_soon()
            self._batcher.forget_settled()
