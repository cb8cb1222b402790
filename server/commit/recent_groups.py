"""How long the latest groups took."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 60.0
"""Groups that ended longer ago are not recent."""

GROUPS: Final = 1_000
"""Recent groups that are remembered: the latest ones."""


@dataclass(frozen=True, slots=True)
class GroupTimes:
    """The number of recent groups, and in how many seconds half of them, and 95 % of them, had ended: 0 without any.

    `last_ended` is how many seconds ago the latest group of all ended; None: there was none.
    """

    count: int
    median: float
    p95: float
    last_ended: float | None


class RecentGroups:
    """Remembers when the latest groups ended, and how long they took. `clock` returns seconds from any start."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: deque[tuple[float, float]] = deque(maxlen=GROUPS)

    def add(self, started: float, ended: float) -> None:
        """Remember a group by its times on the clock."""
        self._groups.append((ended, ended - started))

    def times(self) -> GroupTimes:
        """The times of the groups of the last minute."""
        now = self._clock()
        if not self._groups:
            return GroupTimes(0, 0.0, 0.0, None)
        seconds = sorted(seconds for ended, seconds in self._groups if now - ended <= SECONDS)
        last_ended = now - self._groups[-1][0]
        if not seconds:
            return GroupTimes(0, 0.0, 0.0, last_ended)
        count = len(seconds)
        return GroupTimes(count, seconds[(count - 1) // 2], seconds[(95 * count - 1) // 100], last_ended)
