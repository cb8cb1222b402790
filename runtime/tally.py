"""Frequent events, of which each kind is reported once a second."""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

SECONDS: Final = 1.0
"""How long events of a kind are counted before they are reported together."""

KINDS: Final = 1_000
"""Kinds that are counted in one period. Further kinds are not reported."""

_Kind = TypeVar("_Kind", bound=Hashable)


class Tally(Generic[_Kind]):
    """Reports the first event of a kind immediately, and the number of further events a second later.

    `report` receives a kind and a number of events. Belongs to the running event loop.
    """

    def __init__(self, report: Callable[[_Kind, int], object]) -> None:
        self._report = report
        self._counts: Counter[_Kind] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, kind: _Kind, count: int = 1) -> None:
        """Count `count` events."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)
        if kind in self._counts:
            self._counts[kind] += count
        elif len(self._counts) < KINDS:
            self._counts[kind] = 0
            self._report(kind, count)

    def flush(self) -> None:
        """Report the counted events now, and begin a new period."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, Counter()
        for kind, count in counts.items():
            if count:
                self._report(kind, count)
