"""Rules for Prometheus and the dashboard for Grafana: valid, and about metrics and labels that the programs have."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

import gateway.metrics
import server.metrics
from tests.docs.markdown import DOCS, ROOT, blocks, section, table
from tests.docs.test_metrics_page import exposed_name

_PROMETHEUS: Final = ROOT / "deploy/prometheus"
_DASHBOARD: Final = ROOT / "deploy/grafana/userfold.json"
_UNIT_TESTS: Final = Path(__file__).parent / "prometheus/rules_test.yaml"
_PROMTOOL: Final = ROOT / "build/promtool"
_OF_PROMETHEUS: Final = frozenset({"job", "instance", "le", "worker", "quantile"})
"""Labels that Prometheus, histograms and workers add."""


def _promtool(*arguments: str | Path) -> None:
    assert _PROMTOOL.exists(), "there is no promtool: run `make build/promtool`, or put one there"
    result = subprocess.run(
        [str(_PROMTOOL), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stdout + result.stderr


def _rules(file: str) -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load((_PROMETHEUS / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


_ALERTS: Final = {rule["alert"]: rule for rule in _rules("alerts.yaml")}
_RECORDED: Final = {rule["record"]: rule for rule in _rules("recording.yaml")}


def _metrics() -> Mapping[str, frozenset[str]]:
    """The labels of each metric of the programs, and of each that rules record."""
    metrics: dict[str, frozenset[str]] = {"up": frozenset()}
    for module in (gateway.metrics, server.metrics):
        for each in vars(module).values():
            if isinstance(each, MetricWrapperBase):
                metrics[exposed_name(each._name, each._type)] = frozenset(each._labelnames)
    rows = table(section(DOCS / "metrics.md", "The process"), "metric")
    metrics |= {row[0].strip("`"): frozenset() for row in rows}
    for name in _RECORDED:
        # The level of a recorded metric is the list of its labels.
        metrics[name] = frozenset(re.findall("job|method|route|code|application|command", name.partition(":")[0]))
    return metrics


_METRICS: Final = _metrics()


def _named_metrics(expression: str) -> set[str]:
    """The metrics in an expression, without the suffixes of histograms."""
    for pattern in re.findall(r'__name__=~"([^"]*)"', expression):
        before, alternatives, after = re.fullmatch(r"(\w+)\((\w+(?:\|\w+)*)\)(\w+)", pattern).groups()  # type: ignore[union-attr]  # As all are.
        expression += "".join(f" {before}{each}{after}" for each in alternatives.split("|"))
    without_strings = re.sub(r'"[^"]*"', '""', expression)
    recorded = set(re.findall(r"\b\w+:\w+:\w+", without_strings))
    plain = re.findall(r"(?<![\w:])(?:(?:userfold|process|python)_\w+|up)(?![\w:])", without_strings)
    return recorded | {re.sub("_(bucket|sum|count)$", "", name) for name in plain}


def _named_labels(expression: str) -> set[str]:
    """The labels in the matchers and groupings of an expression."""
    matchers = "".join(re.findall(r"{([^{}]*)}", re.sub(r'"[^"]*"', '""', expression)))
    grouped = ",".join(re.findall(r"(?:by|without|on|ignoring) *\(([^)]*)\)", expression))
    return {*re.findall(r"(\w+) *(?:=~|!~|!=|=)", matchers), *re.findall(r"\w+", grouped)} - {"__name__"}


def _require_known(expression: str) -> None:
    names = _named_metrics(expression)
    assert names, expression
    assert names <= _METRICS.keys(), names - _METRICS.keys()
    labels = _named_labels(expression) - _OF_PROMETHEUS
    known = frozenset().union(*(_METRICS[name] for name in names))
    assert labels <= known, (labels - known, expression)


def _members(value: Any, name: str) -> Iterator[Any]:
    """The members of this name, at any depth."""
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for each in value.values():
            yield from _members(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _members(each, name)


_LOADED_DASHBOARD: Final = json.loads(_DASHBOARD.read_text())
_QUERIES: Final[list[str]] = [*_members(_LOADED_DASHBOARD, "expr")]


def test_prometheus_would_load_the_configuration() -> None:
    _promtool("check", "config", _PROMETHEUS / "prometheus.yaml")


@pytest.mark.parametrize("page", ["admin.md", "metrics.md"])
def test_prometheus_would_load_the_configuration_of_a_page(tmp_path: Path, page: str) -> None:
    (block,) = (each for each in blocks(DOCS / page) if each.language == "yaml")
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    config = tmp_path / "prometheus.yaml"
    config.write_text(block.text.replace("/etc/prometheus/userfold-metrics-token", str(token)))
    _promtool("check", "config", config)


def test_the_configuration_for_kubernetes_scrapes_the_ports_and_pods_that_there_are() -> None:
    config = YAML(typ="safe").load((_PROMETHEUS / "kubernetes.yaml").read_text())
    assert config["rule_files"] == YAML(typ="safe").load((_PROMETHEUS / "prometheus.yaml").read_text())["rule_files"]
    for program in ("server", "gateway"):
        (pods,) = [
            each["spec"]["template"]
            for each in YAML(typ="safe").load_all((ROOT / f"deploy/kubernetes/base/{program}.yaml").read_text())
            if each["kind"] == "Deployment"
        ]
        assert pods["metadata"]["labels"] == {
            "app.kubernetes.io/name": f"userfold-{program}",
            "app.kubernetes.io/part-of": "userfold",
        }
        assert "metrics" in {port["name"] for port in pods["spec"]["containers"][0]["ports"]}


def test_prometheus_would_load_the_rules_without_a_complaint() -> None:
    _promtool("check", "rules", "--lint-fatal", _PROMETHEUS / "recording.yaml", _PROMETHEUS / "alerts.yaml")


def test_each_alert_fires_as_its_unit_test_says() -> None:
    _promtool("test", "rules", _UNIT_TESTS)


def test_each_alert_has_a_unit_test_in_which_it_fires() -> None:
    tests = YAML(typ="safe").load(_UNIT_TESTS.read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert fired == _ALERTS.keys()


@pytest.mark.parametrize("rule", [*_ALERTS.values(), *_RECORDED.values()], ids=lambda rule: next(iter(rule.values())))
def test_each_rule_is_about_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    _require_known(rule["expr"])


def test_a_recorded_metric_has_the_labels_of_its_level() -> None:
    for name, rule in _RECORDED.items():
        grouped = re.findall(r"by \(([^)]*)\)", rule["expr"])
        assert {frozenset(re.findall(r"\w+", each)) - {"le"} for each in grouped} == {_METRICS[name]}, name


@pytest.mark.parametrize("name", _ALERTS)
def test_each_alert_says_what_it_means_and_what_to_do(name: str) -> None:
    alert = _ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"].keys() == {"summary", "runbook_url"}
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert anchor == name.lower()
    assert len(section(ROOT / page, name)) > 100


def test_the_page_of_alerts_explains_no_other() -> None:
    assert re.findall(r"^## (\w+)$", (DOCS / "alerts.md").read_text(), re.M) == [*_ALERTS]


@pytest.mark.parametrize("query", _QUERIES)
def test_each_query_of_the_dashboard_is_about_metrics_and_labels_that_there_are(query: str) -> None:
    _require_known(query)


def test_prometheus_would_understand_each_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"query{number}", "expr": re.sub(r"\$__\w+", "5m", re.sub(r"\$(?!__)\w+", "x", query))}
        for number, query in enumerate(_QUERIES)
    ]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    _promtool("check", "rules", file)


def test_the_dashboard_shows_each_metric_of_the_programs() -> None:
    shown = set().union(*map(_named_metrics, _QUERIES))
    of_rules = [_RECORDED[name]["expr"] for name in shown if name in _RECORDED]
    shown |= set().union(*map(_named_metrics, of_rules))
    assert {name for name in _METRICS if name.startswith("userfold_")} <= shown


def test_the_variables_of_the_dashboard_are_defined_and_each_panel_has_a_place_of_its_own() -> None:
    variables = {each["name"]: each for each in _LOADED_DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(?!__)(\w+)", json.dumps(_LOADED_DASHBOARD)))
    assert used == variables.keys() == {"datasource", "gateway_job", "server_job", "application"}
    for name in used - {"datasource"}:
        metric, label = re.fullmatch(r"label_values\((\w+).*, (\w+)\)", variables[name]["definition"]).groups()  # type: ignore[union-attr]  # As all are.
        assert label in _METRICS[metric] | _OF_PROMETHEUS
    panels = _LOADED_DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_log_lines_that_the_page_of_alerts_names_are_those_of_the_programs() -> None:
    text = " ".join((DOCS / "alerts.md").read_text().split())
    named = set(re.findall(r"lines? `([a-z ]+)`", text))
    events = {row[0].strip("`") for row in table((DOCS / "logs.md").read_text(), "event")}
    assert len(named) >= 5
    assert named <= events
