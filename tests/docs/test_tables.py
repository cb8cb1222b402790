"""Tables of the documentation that say what the code says."""

import json
import re

import pytest

from docs.generator.figures import QUOTED, with_figures
from gateway.settings import Settings as GatewaySettings
from server.settings import Settings as ServerSettings
from tests.docs.markdown import DOCS, README, ROOT, section, table

_CONTRACT = json.loads((ROOT / "protos" / "contract.json").read_text())
_OURS = "userfold.v1."


def test_the_routes_are_those_of_the_contract() -> None:
    bound: dict[str, list[str]] = {}
    # The shortest first, a GET before a POST: the longer ones are for what no URL may have.
    routes = [(*route.split(" "), fact) for route, fact in _CONTRACT["routes"].items() if isinstance(fact, dict)]
    for verb, path, fact in sorted(routes, key=lambda route: (len(route[1]), route[0])):
        bound.setdefault(fact["method"], []).append(f"`{verb} {path}`")
    expected = {
        f"`{name.rpartition('.')[2]}`": ", ".join(bound.get(name, ["a stream: gRPC alone"]))
        for name in _CONTRACT["methods"]
        if name.startswith(_OURS)
    }
    rows = table((DOCS / "http-api.md").read_text(), "method")
    assert {row[0]: row[1] for row in rows} == expected
    assert len(rows) == len(expected)


def test_the_scopes_are_those_of_the_methods() -> None:
    rows = table((DOCS / "applications.md").read_text(), "scope")
    shown = {(row[0].strip("`"), method) for row in rows for method in re.findall(r"`(\w+)`", row[1])}
    expected = {
        (fact["scope"], name.rpartition(".")[2])
        for name, fact in _CONTRACT["methods"].items()
        if name.startswith(_OURS)
    }
    assert shown == expected


def test_the_variables_are_those_that_the_programs_read() -> None:
    rows = table((DOCS / "configuration.md").read_text(), "variable")
    shown = [row[0].strip("`") for row in rows]
    read = {
        name
        for top in ("server", "gateway", "runtime")
        for path in (ROOT / top).rglob("*.py")
        for name in re.findall(r'"(USERFOLD_[A-Z_]+)"', path.read_text())
    }
    assert sorted(shown) == sorted(read)


def test_the_programs_of_the_variables_are_those_whose_settings_read_them() -> None:
    settings = {name: (ROOT / name / "settings.py").read_text() for name in ("server", "gateway")}
    for variable, _, program, _ in table((DOCS / "configuration.md").read_text(), "variable"):
        readers = {name for name, text in settings.items() if f'"{variable.strip("`")}"' in text}
        assert readers == ({"server", "gateway"} if program == "both" else {program}), variable


def test_the_defaults_of_the_variables_are_those_of_the_settings() -> None:
    defaults = {**_defaults(ServerSettings.from_environment({})), **_defaults(GatewaySettings.from_environment({}))}
    shown = {row[0].strip("`"): row[1].strip("`") for row in table((DOCS / "configuration.md").read_text(), "variable")}
    assert {name: shown[name] for name in defaults} == defaults


def _defaults(settings: ServerSettings | GatewaySettings) -> dict[str, str]:
    """The default of each variable whose setting has its name in lower case."""
    names = {
        **dict.fromkeys(("database", "data_dir", "grpc_address", "http_address", "workers", "log_level"), ""),
        **dict.fromkeys(("rate_limit", "drain_seconds", "http_connections", "region"), ""),
    }
    values = {name: getattr(settings, name) for name in names if hasattr(settings, name)}
    return {
        f"USERFOLD_{name.upper()}": f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in values.items()
    }


def test_the_limits_of_the_readme_are_those_of_the_contract() -> None:
    limits = _CONTRACT["limits"]
    body, array = (limits[name] // 2**20 for name in ("HTTP_OBJECT_BYTES", "HTTP_ARRAY_BYTES"))
    levels, paths, values = (limits[f"METADATA_{name}"] for name in ("LEVELS", "LEAVES", "VALUES"))
    text = section(README, "Limits")
    for shown in (
        f"1 to {limits['ID_BYTES']} bytes",
        f"a session token {limits['TEXT_BYTES'] // 1024} KiB",
        f"{limits['PROFILE_VALUES']:,} values",
        f"{levels} levels, {paths:,} paths, {values:,} values",
        f"{body} MiB for one user, {array} MiB for a batch",
        f"has {limits['BATCH_UPDATES']:,} items",
        f"{limits['QUERY_SECONDS']} seconds at most, a report {limits['REPORT_SECONDS']}",
        f"a page has {limits['PAGE_USERS']:,} users",
    ):
        assert shown in text


@pytest.mark.parametrize("page", QUOTED)
def test_the_figures_that_a_page_quotes_are_those_of_the_kept_results(page: str) -> None:
    text = (DOCS / page).read_text()
    assert text == with_figures(page, text), "make docs quotes them anew"
