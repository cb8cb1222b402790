"""The examples of each page, from top to bottom."""

import itertools
from pathlib import Path

import pytest

from tests.docs.conftest import NewReader
from tests.docs.conversation import follow
from tests.docs.markdown import DOCS, PAGES, Block, blocks, name_of

pytestmark = pytest.mark.long

_RUN = {"sh", "python"}
_OF_OPERATORS = {DOCS / name for name in ("deploying.md", "operations.md", "security.md")}
"""What these examples start and stop takes a test of its own: test_operator_pages.py."""

_WITH_EXAMPLES = [page for page in PAGES if page.is_relative_to(DOCS) and _RUN & {b.language for b in blocks(page)}]
_LANGUAGES = {
    "protos/README.md": {"", "sh", "python", "json", "text", "typescript", "java", "go"},
    "docs/security.md": {"sh", "json", "text"},
    "docs/admin.md": {"sh", "json", "yaml"},
    "docs/metrics.md": {"yaml", "text"},
}
"""Of pages with blocks that other tests run: test_api_package.py, test_mongodb_access.py, test_monitoring.py, those of
tests/stubs/."""


@pytest.mark.parametrize("page", sorted({*_WITH_EXAMPLES} - _OF_OPERATORS), ids=name_of)
def test_the_examples_of_a_page_print_what_it_shows(page: Path, new_reader: NewReader) -> None:
    assert follow(page, new_reader()) > 0


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_a_page_is_run_or_is_what_one_prints_or_a_drawing(page: Path) -> None:
    languages = {block.language for block in blocks(page)}
    assert languages <= _LANGUAGES.get(name_of(page), {"sh", "python", "json", "text", "proto"})


@pytest.mark.parametrize("page", sorted({*PAGES} - _OF_OPERATORS), ids=name_of)
def test_every_json_of_a_page_is_printed_by_the_example_before_it(page: Path) -> None:
    found = blocks(page)
    for before, block in itertools.pairwise([Block("", "", 0), *found]):
        assert block.language != "json" or before.language in _RUN, f"{name_of(page)}:{block.line}"
