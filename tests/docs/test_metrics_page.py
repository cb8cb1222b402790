"""The page of the metrics describes exactly those that the programs have, with their help texts."""

import re
import sys

import pytest
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR
from prometheus_client.metrics import MetricWrapperBase

import gateway.metrics
import server.metrics
from runtime.metrics import applications
from tests.docs.markdown import DOCS, section, table

_PAGE = DOCS / "metrics.md"

Described = dict[str, list[str | None]]


def metrics_of(program: str) -> list[MetricWrapperBase]:
    """The metrics that the module of a program defines."""
    module = sys.modules[f"{program}.metrics"]
    return [each for each in vars(module).values() if isinstance(each, MetricWrapperBase)]


def exposed_name(name: str, kind: str | None) -> str:
    """The name under which Prometheus sees a metric."""
    return f"{name}_total" if kind == "counter" else name


@pytest.mark.parametrize("program", ["gateway", "server"])
def test_the_page_describes_every_metric_of_a_program(program: str) -> None:
    defined = {
        exposed_name(each._name, each._type): [each._type, ", ".join(each._labelnames), each._documentation]
        for each in metrics_of(program)
    }
    assert all(name.startswith(f"userfold_{program}_") for name in defined)
    assert _described(f"The {program}") == defined


def _described(heading: str) -> Described:
    rows = table(section(_PAGE, heading), "metric")
    described: Described = {name.strip("`"): [kind, labels.replace("`", ""), text] for name, kind, labels, text in rows}
    assert len(described) == len(rows)
    return described


def test_the_page_describes_the_metrics_of_the_process() -> None:
    collectors = (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR)
    families = [family for collector in collectors for family in collector.collect()]
    expected = {exposed_name(each.name, each.type): [each.type, each.documentation] for each in families}
    rows = table(section(_PAGE, "The process"), "metric")
    assert {name.strip("`"): rest for name, *rest in rows} == expected


@pytest.mark.parametrize("module", [gateway.metrics, server.metrics])
def test_every_metric_follows_the_conventions(module: object) -> None:
    units = ("_seconds", "_bytes", "_total", "_info")
    for each in (each for each in vars(module).values() if isinstance(each, MetricWrapperBase)):
        name = exposed_name(each._name, each._type)
        assert re.fullmatch("[a-z_]+", name), name
        assert re.fullmatch("[A-Z].{20,}[.]", each._documentation), name
        # A duration or a size in any other unit would have another end.
        assert not re.search("_(ms|millis|milliseconds|micros|minutes|kb|mb|kib|mib)(_|$)", name), name
        assert name.count("_total") == (each._type == "counter"), name
        assert each._type != "histogram" or name.endswith(("_seconds", "_items")), name
        assert not any(name.endswith(f"{unit}{unit}") for unit in units), name


def test_the_page_says_how_many_applications_have_labels() -> None:
    text = section(_PAGE, "Labels")
    assert f"The first {applications.LIMIT} that a program serves" in text
    assert f"share `{applications.OTHER}`, and `{applications.NONE}` stands" in text
