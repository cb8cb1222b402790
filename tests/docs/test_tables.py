"""Tables of the documentation that say what the code says."""

import json
import re

import pytest

from docs.generator.figures import QUOTED, with_figures
from gateway.settings import Settings as GatewaySettings
from runtime.settings import SETTINGS
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
        (fact["scope"] or "any management token", name.rpartition(".")[2])
        for name, fact in _CONTRACT["methods"].items()
        if name.startswith(_OURS)
    }
    assert shown == expected


def _variables() -> list[list[str]]:
    """The rows of the table of configuration.md, without links and without backquotes around whole cells."""
    rows = table((DOCS / "configuration.md").read_text(), "variable")
    return [[re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cell) for cell in row] for row in rows]


def test_the_variables_are_those_of_the_table_of_settings() -> None:
    shown = [(name.strip("`"), default.strip("`"), program) for name, default, program, _ in _variables()]
    assert shown == [(each.name, each.default, each.program) for each in SETTINGS]
    for (*_, meaning), setting in zip(_variables(), SETTINGS, strict=True):
        assert meaning.startswith(setting.meaning), setting.name


def test_the_programs_of_the_variables_are_those_whose_settings_read_them() -> None:
    texts = {name: (ROOT / name / "settings.py").read_text() for name in ("server", "gateway")}
    read = {name for text in texts.values() for name in re.findall(r'"(USERFOLD_[A-Z_]+)"', text)}
    assert read == {each.name for each in SETTINGS if each.program != "command line"}
    for setting in SETTINGS:
        readers = {name for name, text in texts.items() if f'"{setting.name}"' in text}
        expected = {"both": {"server", "gateway"}, "command line": set()}.get(setting.program, {setting.program})
        assert readers == expected, setting.name


def test_a_default_in_the_table_is_what_an_unset_variable_means() -> None:
    values = {each.name: each.default for each in SETTINGS if each.default and " " not in each.default}
    values = {name: value for name, value in values.items() if value != "none"}
    assert len(values) >= 11
    assert ServerSettings.from_environment(values) == ServerSettings.from_environment({})
    assert GatewaySettings.from_environment(values) == GatewaySettings.from_environment({})


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
