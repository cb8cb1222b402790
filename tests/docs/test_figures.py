"""Tables of published results in the pages that quote them."""

from pathlib import Path

import pytest

from docs.generator import figures
from docs.generator.figures import Quoted, quote, with_figures

RESULTS = "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n| c |\n| --- |\n| 3 |\n\nThe machine.\n"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with results of two tables, and a page that quotes three."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "results.md").write_text(RESULTS)
    quoted = {"page.md": tuple(Quoted(name, "results.md", str) for name in ("a", "c", "later"))}
    monkeypatch.setattr(figures, "_ROOT", tmp_path)
    monkeypatch.setattr(figures, "QUOTED", quoted)
    return tmp_path


def test_a_table_replaces_the_one_before_and_its_place(root: Path) -> None:
    page = root / "docs/page.md"
    page.write_text("x\n\n| a | old |\n| --- | --- |\n| 0 | 0 |\n\ny\n\n<!-- table: c -->\n\n<!-- table: later -->\n")
    quote("page.md")
    written = "x\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\ny\n\n| c |\n| --- |\n| 3 |\n\n<!-- table: later -->\n"
    assert page.read_text() == written
    assert with_figures("page.md", written) == written


@pytest.mark.parametrize("place", ["| later |\n| --- |\n| 9 |", ""])
def test_a_table_without_results_is_an_error_unless_a_place_is_kept_for_it(place: str) -> None:
    with pytest.raises(ValueError, match="no table of 'later'"):
        with_figures("page.md", f"| a |\n| - |\n\n| c |\n| - |\n\n{place}\n")
