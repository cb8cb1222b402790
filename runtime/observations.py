"""Durations for a histogram, observed a little later, together.

One after the other, they cost a third of what each costs at the end of its request, among all else that one needs: the
processor's caches hold what observing needs.
"""

import asyncio

from prometheus_client import Histogram


class Observations:
    """Durations that are observed in the next turn of the event loop. Belongs to the loop that runs when they come."""

    def __init__(self) -> None:
        self._pending: list[tuple[Histogram, float]] = []

    def add(self, histogram: Histogram, seconds: float) -> None:
        """Observe a duration."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._observe)
        self._pending.append((histogram, seconds))

    def _observe(self) -> None:
        pending, self._pending = self._pending, []
        for histogram, seconds in pending:
            histogram.observe(seconds)
