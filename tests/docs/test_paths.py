"""Every path of the repository that a page names is there."""

import re
from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, PAGES, README, ROOT, name_of, table

_TOP = "server|gateway|runtime|tests|protos|docs|benchmarks"
_CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""The changelog names what was."""


@pytest.mark.parametrize("page", _CURRENT, ids=name_of)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(rf"`((?:{_TOP})/[\w/.-]*)`", page.read_text()))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_of_a_page_leads_somewhere(page: Path) -> None:
    linked = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [path for path in linked if not (page.parent / path).exists()] == []


def test_the_readme_names_many_paths() -> None:
    assert len(set(re.findall(rf"`((?:{_TOP})/[\w/.-]*)`", README.read_text()))) > 40


def test_every_module_in_the_table_of_folders_is_in_its_folder() -> None:
    for folders, text in table(README.read_text(), "folder"):
        places = [ROOT / folder for folder in re.findall(r"`([\w/]+)`", folders)]
        named = re.findall(r"`(\w+\.py)`", text)
        assert [name for name in named if not any((place / name).exists() for place in places)] == [], folders


def test_every_package_is_in_the_table_of_folders() -> None:
    described = {folder for row in table(README.read_text(), "folder") for folder in re.findall(r"`([\w/]+)/`", row[0])}
    packages = {
        str(path.parent.relative_to(ROOT))
        for top in ("server", "gateway", "runtime")
        for path in (ROOT / top).rglob("__init__.py")
    }
    # Backups are a part of the store, and described with it.
    assert packages - described == {"server/mongo/backups"}


def test_every_module_that_the_architecture_names_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", DOCS.joinpath("architecture.md").read_text()))
    assert len(named) > 40
    modules = [
        f"/{path.relative_to(ROOT)}" for top in ("server", "gateway", "runtime") for path in (ROOT / top).rglob("*.py")
    ]
    assert [name for name in named if not any(module.endswith(f"/{name}") for module in modules)] == []
