"""Metrics of requests and durations, labels of applications, gauges, and the sum of several workers."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from runtime.metrics.applications import ApplicationLabels
from runtime.metrics.durations import DATABASE_BUCKETS, GROUP_BUCKETS, REQUEST_BUCKETS, ManyHistogram
from runtime.metrics.exposition import WorkerMetrics, exposition, worker_metrics
from runtime.metrics.requests import RequestMetrics
from runtime.metrics.sampling import sample
from tests.support.waiting import turns, until


@pytest.mark.parametrize("buckets", [REQUEST_BUCKETS, DATABASE_BUCKETS, GROUP_BUCKETS])
def test_many_equal_values_are_observed_as_one_by_one(buckets: tuple[float, ...]) -> None:
    registry, together, expected = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    many = ManyHistogram("h", "Values.", registry=registry, buckets=buckets)
    each = ManyHistogram("h", "Values.", registry=together, buckets=buckets)
    single = Histogram("h", "Values.", registry=expected, buckets=buckets)
    values = [0.0, *buckets, *(bound + 0.001 for bound in buckets), 1e9]
    for count, value in enumerate(values, 1):
        many.add(value, count)
        each.add_each([value])
        for _ in range(count):
            single.observe(value)
    for count in range(2, len(values) + 1):
        each.add_each(values[count - 1 :])
    assert _samples(registry) == _samples(together) == _samples(expected)


def _samples(registry: CollectorRegistry) -> dict[tuple[str, str], object]:
    samples = [each for family in registry.collect() for each in family.samples]
    return {(each.name, str(each.labels)): pytest.approx(each.value) for each in samples}


class Requests:
    """Metrics of requests with a method and an application, of which two have a label of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter("r", "Requests.", ["method", "application"], registry=self.registry)
        durations = ManyHistogram("s", "Seconds.", ["method"], registry=self.registry, buckets=(1.0,))
        self.metrics = RequestMetrics(requests, durations, ApplicationLabels(None, limit=2))

    def counted(self, method: str, application: str) -> float | None:
        return self.registry.get_sample_value("r_total", {"method": method, "application": application})


async def test_requests_are_counted_in_the_next_turn() -> None:
    requests = Requests()
    requests.metrics.add(("GET",), "a", 0.5)
    requests.metrics.add(("PUT",), "a", 2.0)
    requests.metrics.add(("GET",), "a", 2.5)
    assert requests.counted("GET", "a") is None
    await turns(1)
    assert (requests.counted("GET", "a"), requests.counted("PUT", "a")) == (2, 1)
    requests.metrics.add_many(("GET",), "a", 3.0, 9)
    assert (requests.counted("GET", "a"), requests.counted("PUT", "a")) == (11, 1)
    found = {name: requests.registry.get_sample_value(name, {"method": "GET"}) for name in ("s_count", "s_sum")}
    assert found == {"s_count": 11, "s_sum": 30.0}
    assert requests.registry.get_sample_value("s_bucket", {"method": "GET", "le": "1.0"}) == 1
    requests.metrics.add(("GET",), "a", 1.0)
    await turns(1)
    assert requests.counted("GET", "a") == 12


async def test_further_applications_share_one_label() -> None:
    requests = Requests()
    for application in ("a", "b", "c", "a", "d", ""):
        requests.metrics.add(("GET",), application, 0.5)
    await turns(1)
    assert [requests.counted("GET", label) for label in ("a", "b", "other", "none")] == [2, 1, 2, 1]
    assert len(_samples(requests.registry)) == 4 + 4


def test_processes_with_a_directory_have_as_many_labels_as_one(tmp_path: Path) -> None:
    one, other = ApplicationLabels(tmp_path, limit=3), ApplicationLabels(tmp_path, limit=3)
    assert [one.label(each) for each in ("a", "b")] == ["a", "b"]
    assert [other.label(each) for each in ("c", "d", "a")] == ["c", "other", "a"]
    assert [one.label(each) for each in ("d", "c", "")] == ["other", "c", "none"]


async def test_gauges_are_read_at_once_and_then_regularly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.metrics.sampling.SECONDS", 0.01)
    registry = CollectorRegistry()
    lateness = ManyHistogram("l", "Seconds.", registry=registry, buckets=(1.0,))
    read = 0

    def note() -> None:
        nonlocal read
        read += 1

    task = asyncio.create_task(sample(note, lateness))
    await turns(1)
    assert read == 1
    await until(lambda: read >= 3)
    task.cancel()
    assert registry.get_sample_value("l_count") == read - 1


_WORKER = """
import sys
from prometheus_client import Counter, Gauge
from runtime.metrics.durations import ManyHistogram
Counter("c", "Counts.", ["label"]).labels("x").inc(float(sys.argv[1]))
Gauge("g", "Now.", multiprocess_mode="livesum").set(float(sys.argv[1]))
ManyHistogram("h", "Seconds.", buckets=(1.0,)).add(0.5, int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


class Worker:
    """A process with metrics, which ends at the end of its stdin."""

    def __init__(self, metrics: WorkerMetrics, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(count)],
            env={**os.environ, **metrics.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"

    def end(self) -> None:
        self.process.communicate()


def test_counts_of_ended_workers_stay_and_their_gauges_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with worker_metrics() as metrics:
        directory = Path(metrics.environment["PROMETHEUS_MULTIPROC_DIR"])
        workers = [Worker(metrics, count) for count in (1, 20)]
        for number, worker in enumerate(workers, 1):
            metrics.started(number, worker.process.pid)

        def values() -> list[float | None]:
            value = metrics.registry.get_sample_value
            return [value("c_total", {"label": "x"}), value("g"), value("h_count"), value("h_bucket", {"le": "1.0"})]

        def processes() -> set[str]:
            samples = [each for family in metrics.registry.collect() for each in family.samples]
            return {each.labels["worker"] for each in samples if each.name == "process_cpu_seconds_total"}

        assert values() == [21, 21, 21, 21]
        assert processes() == {"1", "2"}
        workers[1].end()
        metrics.ended(workers[1].process.pid)
        assert values() == [21, 1, 21, 21]
        assert processes() == {"1"}
        assert not [*directory.glob(f"*{workers[1].process.pid}*")]
        workers[1] = Worker(metrics, 300)
        metrics.started(2, workers[1].process.pid)
        assert values() == [321, 301, 321, 321]
        assert processes() == {"1", "2"}
        workers[0].end()
        metrics.ended(workers[0].process.pid)
        assert values() == [321, 300, 321, 321]
        # Another one of the same number had no metrics when it ended.
        metrics.ended(workers[0].process.pid)
        # A worker itself shows the sums, too.
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", metrics.environment["PROMETHEUS_MULTIPROC_DIR"])
        assert b'c_total{label="x"} 321.0\n' in exposition("")[1]
        workers[1].end()


def test_the_format_is_openmetrics_where_that_is_asked_for() -> None:
    for accept, expected in (
        ("application/openmetrics-text; version=1.0.0, text/plain;q=0.5", "application/openmetrics-text"),
        ("text/plain", "text/plain"),
        ("", "text/plain"),
    ):
        content_type, content = exposition(accept)
        parse = parse_openmetrics if "openmetrics" in expected else parse_text
        names = {family.name for family in parse(content.decode())}
        assert content_type.startswith(f"{expected};")
        assert names >= {"process_resident_memory_bytes", "python_info"}
        assert not [name for name in names if name.endswith("_created")]
        assert content.endswith(b"# EOF\n") == ("openmetrics" in expected)
