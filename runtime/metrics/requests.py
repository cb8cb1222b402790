"""Requests for metrics, counted together: that is cheaper than counting each at its end."""

import asyncio
from typing import Any, TypeAlias

import prometheus_client

from runtime.metrics.applications import ApplicationLabels
from runtime.metrics.durations import ManyHistogram

Labels: TypeAlias = tuple[object, ...]
"""What the code and the contract define of a request: its method, its route, its code. Never a value of a client's."""


class RequestMetrics:
    """Counts requests by their labels and their application, and their durations by their labels.

    The last label of `requests` is the application; an empty id stands for one that is not known. The children of both
    metrics are kept, because to find one takes longer than to count. They are few: labels come from the code, and
    applications from `applications`.
    """

    def __init__(
        self, requests: prometheus_client.Counter, durations: ManyHistogram, applications: ApplicationLabels
    ) -> None:
        self._requests = requests
        self._durations = durations
        self._applications = applications
        self._pending: dict[tuple[Labels, str], list[float]] = {}
        self._counters: dict[tuple[Labels, str], Any] = {}
        self._histograms: dict[Labels, Any] = {}

    def add(self, labels: Labels, application_id: str, seconds: float) -> None:
        """Count a request that took so many seconds, in the next turn of the loop."""
        pending = self._pending
        if not pending:
            asyncio.get_running_loop().call_soon(self._flush)
        key = labels, application_id
        if key in pending:
            pending[key].append(seconds)
        else:
            pending[key] = [seconds]

    def add_many(self, labels: Labels, application_id: str, seconds: float, count: int) -> None:
        """Count requests, each of which took so many seconds, now."""
        self._histogram(labels).add(seconds, count)
        self.count(labels, application_id, count)

    def count(self, labels: Labels, application_id: str, count: int) -> None:
        """Count requests now, without a duration."""
        counter = self._counters.get((labels, application_id)) or self._counter(labels, application_id)
        counter.inc(count)

    def _counter(self, labels: Labels, application_id: str) -> Any:
        label = self._applications.label(application_id)
        key = labels, label
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._requests.labels(*labels, label)
        return counter

    def _histogram(self, labels: Labels) -> Any:
        histogram = self._histograms.get(labels)
        if histogram is None:
            histogram = self._histograms[labels] = self._durations.labels(*labels)
        return histogram

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        for (labels, application_id), seconds in pending.items():
            self._histogram(labels).add_each(seconds)
            self.count(labels, application_id, len(seconds))
