"""What arrives one by one travels in groups, and never waits for company.

For each key a few groups are under way at a time. What arrives meanwhile waits, and is the next group: the busier the
gateway, the larger its groups. What arrives when nothing is under way leaves in the same turn of the event loop.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Result = TypeVar("_Result")


class Full(Exception):
    """More is waiting than there is room for. Nothing was sent."""


class NotSentInTime(Exception):
    """The time was over before the item was sent: it certainly has no effect."""


class NotAnsweredInTime(Exception):
    """The time was over after the item was sent: what became of it is not known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` is the time of an item, from its arrival to its answer.

    `groups` are under way at once for each key, of at most `items` with `octets` bytes in all; one item may be larger.
    `waiting_items` and `waiting_octets` hold for all keys together.
    """

    seconds: float
    groups: int = 2
    items: int = 1000
    octets: int = 4 * 1024 * 1024
    waiting_items: int = 10_000
    waiting_octets: int = 64 * 1024 * 1024


@dataclass(eq=False, slots=True)
class _Item(Generic[_Result]):
    data: bytes
    deadline: float
    answer: asyncio.Future[_Result]
    is_waiting: bool = True


@dataclass(eq=False, slots=True)
class _Queue(Generic[_Result]):
    items: deque[_Item[_Result]] = field(default_factory=deque)
    under_way: int = 0
    is_woken: bool = False


class Gatherer(Generic[_Key, _Result]):
    """Sends items in groups, in the order of their arrival, and gives each its own result.

    `send` takes a key, the group's items and the seconds that it may take, and must answer one result for each item.
    What it raises is raised for each item of the group.
    """

    def __init__(
        self, send: Callable[[_Key, Sequence[bytes], float], Awaitable[Sequence[_Result]]], limits: Limits
    ) -> None:
        self._send = send
        self._limits = limits
        self._queues: dict[_Key, _Queue[_Result]] = {}
        self._waiting_items = 0
        self._waiting_octets = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def result(self, key: _Key, data: bytes) -> _Result:
        """The result of one item. Raises Full, NotSentInTime, NotAnsweredInTime, and what `send` raises.

        An item whose caller is cancelled before it is sent is not sent.
        """
        if self._waiting_items >= self._limits.waiting_items or (
            self._waiting_octets + len(data) > self._limits.waiting_octets
        ):
            raise Full
        loop = asyncio.get_running_loop()
        item: _Item[_Result] = _Item(data, loop.time() + self._limits.seconds, loop.create_future())
        timer = loop.call_at(item.deadline, _expire, item)
        queue = self._enqueue(key, item)
        try:
            return await item.answer
        finally:
            timer.cancel()
            if item.is_waiting:
                queue.items.remove(item)
                self._leave(item)

    def _enqueue(self, key: _Key, item: _Item[_Result]) -> _Queue[_Result]:
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue()
        queue.items.append(item)
        self._waiting_items += 1
        self._waiting_octets += len(item.data)
        if queue.under_way < self._limits.groups and not queue.is_woken:
            queue.is_woken = True
            # After all else that this turn of the loop has read from its connections.
            asyncio.get_running_loop().call_soon(self._wake, key, queue)
        return queue

    def _wake(self, key: _Key, queue: _Queue[_Result]) -> None:
        queue.is_woken = False
        self._send_waiting(key, queue)

    def _send_waiting(self, key: _Key, queue: _Queue[_Result]) -> None:
        while queue.under_way < self._limits.groups and (group := self._next_group(queue)):
            queue.under_way += 1
            task = asyncio.get_running_loop().create_task(self._exchange(key, queue, group))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        if not (queue.under_way or queue.items or queue.is_woken):
            del self._queues[key]

    def _next_group(self, queue: _Queue[_Result]) -> list[_Item[_Result]]:
        group: list[_Item[_Result]] = []
        room = self._limits.octets
        while queue.items and len(group) < self._limits.items:
            item = queue.items[0]
            if group and len(item.data) > room:
                break
            queue.items.popleft()
            self._leave(item)
            if not item.answer.done():  # Else its time is over, or its caller is gone.
                room -= len(item.data)
                group.append(item)
        return group

    async def _exchange(self, key: _Key, queue: _Queue[_Result], group: list[_Item[_Result]]) -> None:
        try:
            seconds = group[-1].deadline - asyncio.get_running_loop().time()
            results = await self._send(key, [item.data for item in group], seconds)
            for item, result in zip(group, results, strict=True):
                if not item.answer.done():
                    item.answer.set_result(result)
        except Exception as error:
            for item in group:
                if not item.answer.done():
                    item.answer.set_exception(error)
        finally:
            queue.under_way -= 1
            self._send_waiting(key, queue)

    def _leave(self, item: _Item[_Result]) -> None:
        item.is_waiting = False
        self._waiting_items -= 1
        self._waiting_octets -= len(item.data)


def _expire(item: _Item[_Result]) -> None:
    if not item.answer.done():
        item.answer.set_exception(NotSentInTime() if item.is_waiting else NotAnsweredInTime())
