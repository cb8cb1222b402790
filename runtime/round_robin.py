"""Queues by key, whose keys take turns."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Item = TypeVar("_Item")


class RoundRobin(Generic[_Key, _Item]):
    """Returns the items of each key in their order, one key after the other.

    So a key with many items does not delay those of another key.
    """

    __slots__ = ("_items", "_queues")

    def __init__(self) -> None:
        self._queues: dict[_Key, deque[_Item]] = {}
        self._items = 0

    def __len__(self) -> int:
        """The number of items of all keys."""
        return self._items

    def append(self, key: _Key, item: _Item) -> None:
        """Add an item behind the other items of its key."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        queue.append(item)
        self._items += 1

    def popleft(self) -> _Item:
        """Remove and return the first item of the key whose turn it is. Raises StopIteration where there is none."""
        key = next(iter(self._queues))
        queue = self._queues.pop(key)
        item = queue.popleft()
        if queue:
            self._queues[key] = queue  # Behind all other keys.
        self._items -= 1
        return item
