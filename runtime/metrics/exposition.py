"""What Prometheus reads: the metrics of a process, or those of all workers of a program."""

import fcntl
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from runtime.metrics.applications import DIRECTORY, shared_directory

# A second time series for each counter and histogram, with the time of its first use. Workers have none.
disable_created_metrics()  # type: ignore[no-untyped-call]  # The library has no types here.

_WORKER: Final = "worker-"
_LOCK: Final = "lock"
_ADDED_UP: Final = ("counter", "histogram")
"""The beginnings of the names of the files whose values stay when their process has ended."""


class WorkerMetrics:
    """The metrics of the workers of one program, which share a directory.

    Counts of a worker that has ended stay in the sums. Its gauges do not.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.environment: Mapping[str, str] = {DIRECTORY: str(directory)}
        """What the environment of each worker must have."""
        self.registry: Final = summed(directory)
        """The sums."""

    def started(self, number: int, pid: int) -> None:
        """A worker was started, the first or another one with this number."""
        file = self._directory / f"{_WORKER}{number}"
        unfinished = file.with_suffix(".new")
        unfinished.write_text(str(pid))
        unfinished.replace(file)

    def ended(self, pid: int) -> None:
        """A worker has ended. Its counts are added to those of all that ended before, so files do not accumulate."""
        mark_process_dead(pid, str(self._directory))  # type: ignore[no-untyped-call]  # As above.
        with _locked(self._directory, fcntl.LOCK_EX):
            for kind in _ADDED_UP:
                _add_up(self._directory / f"{kind}_{pid}.db", self._directory / f"{kind}_ended.db")


def _add_up(ended: Path, total: Path) -> None:
    """Move the values in a file of the library to those in another one."""
    if not ended.exists():
        return
    values: Any = MmapedDict(str(total))  # type: ignore[no-untyped-call]  # As above.
    for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(ended)):  # type: ignore[no-untyped-call]
        values.write_value(key, values.read_value(key)[0] + value, timestamp)
    values.close()
    ended.unlink()


@contextmanager
def _locked(directory: Path, operation: int) -> Iterator[None]:
    with (directory / _LOCK).open("w") as file:
        fcntl.flock(file, operation)
        yield


class _Sums(Collector):
    """The sums of the metrics of all workers, those that have ended included."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._collector: Any = MultiProcessCollector(None, path=str(directory))  # type: ignore[no-untyped-call]  # As above.

    def collect(self) -> Iterable[Metric]:
        with _locked(self._directory, fcntl.LOCK_SH):
            return list(self._collector.collect())


class _WorkerProcesses(Collector):
    """The process metrics of all workers, each with the number of its worker as a label."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        collected: dict[str, Metric] = {}
        for file in sorted(self._directory.glob(f"{_WORKER}*[0-9]")):
            worker = file.name.removeprefix(_WORKER)
            for metric in ProcessCollector(pid=file.read_text, registry=None).collect():
                summed = collected.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for each in metric.samples:
                    summed.add_sample(each.name, {**each.labels, "worker": worker}, each.value)
        return collected.values()


@contextmanager
def worker_metrics() -> Iterator[WorkerMetrics]:
    """The metrics of workers that are started in the block."""
    with tempfile.TemporaryDirectory(prefix="userfold-metrics-") as directory:
        yield WorkerMetrics(Path(directory))


def summed(directory: Path) -> CollectorRegistry:
    """The metrics of all workers that share a directory."""
    registry = CollectorRegistry()
    registry.register(_Sums(directory))
    registry.register(_WorkerProcesses(directory))
    return registry


def exposition(accept: str) -> tuple[str, bytes]:
    """The content type, and the metrics of this program, of all its workers where it is one.

    The format is OpenMetrics where the header `Accept` asks for it, else Prometheus' text format. It takes a few
    milliseconds, and may be called in any thread.
    """
    directory = shared_directory()
    encode, content_type = choose_encoder(accept)
    return content_type, encode(summed(directory) if directory else REGISTRY)


def serve(host: str, port: int, registry: CollectorRegistry = REGISTRY) -> None:
    """Serve metrics over HTTP, at any path, in a thread, until the process ends. Raises OSError."""
    start_http_server(port, host, registry)
