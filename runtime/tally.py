"""Frequent events, of which each kind is reported once a second."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

SECONDS: Final = 1.0
"""How long events of a kind are counted before they are reported together."""

KINDS: Final = 1_000
"""Kinds that are counted in one period. Events of further kinds are counted together."""

EXAMPLES: Final = 20
"""Examples of a kind that are reported together."""

_Kind = TypeVar("_Kind", bound=Hashable)
_Example = TypeVar("_Example")


class Tally(Generic[_Kind, _Example]):
    """Reports the first event of a kind immediately, and the number of further events a second later.

    `report` receives a kind, a number of events, and the first few examples of them. `report_rest` receives the number
    of events whose kinds were too many. Belongs to the running event loop.
    """

    def __init__(
        self, report: Callable[[_Kind, int, list[_Example]], object], report_rest: Callable[[int], object]
    ) -> None:
        self._report = report
        self._report_rest = report_rest
        self._counts: dict[_Kind, int] = {}
        self._examples: dict[_Kind, list[_Example]] = {}
        self._rest = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, kind: _Kind, count: int, example: _Example) -> None:
        """Count `count` events."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)
        if kind in self._counts:
            self._counts[kind] += count
            examples = self._examples.setdefault(kind, [])
            if len(examples) < EXAMPLES:
                examples.append(example)
        elif len(self._counts) < KINDS:
            self._counts[kind] = 0
            self._report(kind, count, [example])
        else:
            self._rest += count

    def flush(self) -> None:
        """Report the counted events now, and begin a new period."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, {}
        examples, self._examples = self._examples, {}
        rest, self._rest = self._rest, 0
        for kind, count in counts.items():
            if count:
                self._report(kind, count, examples[kind])
        if rest:
            self._report_rest(rest)
