"""The README: its examples from top to bottom, its tables, and that it stays short."""

import re

from tests.docs.conftest import Running, demo_reader
from tests.docs.conversation import follow
from tests.docs.markdown import DOCS, README, section, table


def test_the_examples_print_what_the_readme_shows(running: Running) -> None:
    assert follow(README, demo_reader(running)) == 5


def test_the_ready_line_is_as_shown(running: Running) -> None:
    shown = re.search(r"^userfold ready .*$", README.read_text(), re.MULTILINE)
    assert shown
    assert re.findall(r"(\w+)=", running.line) == re.findall(r"(\w+)=", shown[0])


def test_the_readme_stays_short() -> None:
    assert len(README.read_text().splitlines()) <= 200


def test_the_merge_table_is_that_of_the_documentation() -> None:
    shown = table(section(README, "What an update does to a profile"), "an update carries")
    assert shown == table((DOCS / "merge.md").read_text(), "an update carries")
