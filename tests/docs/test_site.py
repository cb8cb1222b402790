"""The site that `make docs` builds: without a warning, and without a request to another host."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import DOCS

_LOADED: Final = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
"""Elements of which a browser requests something, and the attribute that says where."""


class _Requests(HTMLParser):
    """What a page requests when it is opened, and what it links to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.requested: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        address = dict(attributes).get(_LOADED.get(tag, ""))
        if address:
            self.requested.append(address)


@pytest.fixture(scope="module")
def site() -> Path:
    """The folder of the site. What `make docs` has built of it is not built again."""
    folder = DOCS.parent / "build" / "docs"
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--doctree-dir", str(folder / ".doctrees")]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, DOCS, folder], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path) -> None:
    index = site.joinpath("index.html").read_text()
    pages = [path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")]
    assert len(pages) > 15
    assert [page for page in pages if page.name != "index.html" and f'href="{page}"' not in index] == []


def test_a_page_requests_nothing_from_another_host(site: Path) -> None:
    requested = [(page.name, address) for page in site.rglob("*.html") for address in _Requests(page).requested]
    assert len(requested) > 50
    assert [each for each in requested if re.match(r"(\w+:)?//", each[1])] == []


def test_a_style_requests_nothing_from_another_host(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        assert re.findall(r"(?:url\(|@import)\s*['\"]?((?:\w+:)?//[^)'\"]*)", style.read_text()) == [], style
