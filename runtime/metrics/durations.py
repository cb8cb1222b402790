"""Histograms of durations and of sizes, of which many can be observed at once."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from prometheus_client import Histogram

REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds. OpenTelemetry's semantic conventions prescribe them for the requests of HTTP servers and of RPC servers."""

DATABASE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds. The same conventions prescribe them for the operations of database clients."""

GROUP_BUCKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Items that are sent together."""


class ManyHistogram(Histogram):
    """A histogram that observes many values at little more than the cost of one."""

    def add(self, value: float, count: int = 1) -> None:
        """Observe `value` as often as `count` says."""
        self._sum.inc(value * count)
        self._buckets[bisect_left(self._upper_bounds, value)].inc(count)

    def add_each(self, values: Sequence[float]) -> None:
        """Observe these values, at least one."""
        if len(values) == 1:
            self.add(values[0])
            return
        bounds = self._upper_bounds
        counts: dict[int, int] = {}
        for value in values:
            bucket = bisect_left(bounds, value)
            counts[bucket] = counts.get(bucket, 0) + 1
        self._sum.inc(sum(values))
        for bucket, count in counts.items():
            self._buckets[bucket].inc(count)
