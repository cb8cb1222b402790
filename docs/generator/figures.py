"""Measured figures that pages quote: tables of the results that `make bench`, `faults` and `overload` publish."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

_ROOT: Final = Path(__file__).parent.parent.parent


class Quoted(NamedTuple):
    """A table of a page: its first column, the results that it is from, and what the page shows of each line."""

    first_column: str
    results: str
    shown: Callable[[str], str]


def _whole(line: str) -> str:
    return line


def _without_rounds(line: str) -> str:
    """All columns, and of the fifth the median alone."""
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    median = re.match(r"\*\*(.*)\*\*", cells[4])
    cells[4] = median[1] if median else cells[4].removesuffix(" (rounds)")
    return f"| {' | '.join(cells)} |"


QUOTED: Final[Mapping[str, tuple[Quoted, ...]]] = {
    "durability.md": (
        Quoted("fault", "tests/faults/results/latest.md", _whole),
        Quoted("a bug put in on purpose", "tests/faults/results/latest.md", _whole),
    ),
    "capacity.md": (
        Quoted("measure", "benchmarks/results/overload.md", _whole),
        Quoted("workers of each program", "benchmarks/results/costs.md", _whole),
        Quoted("memory of", "benchmarks/results/costs.md", _whole),
        Quoted("updates a second", "benchmarks/results/latest.md", _whole),
        Quoted("stored profiles", "benchmarks/results/latest.md", _whole),
    ),
    "console.md": (Quoted("among 1,000,000 users", "benchmarks/results/console.md", _whole),),
    "importing.md": (Quoted("file", "benchmarks/results/importing.md", _whole),),
    "performance.md": (
        Quoted("measure", "benchmarks/results/latest.md", _without_rounds),
        Quoted("offered, one update per request", "benchmarks/results/latest.md", _whole),
        Quoted("an update in a batch of 100, in the server", "benchmarks/results/costs.md", _whole),
    ),
}
"""The tables by page of docs/."""


def with_figures(page: str, text: str) -> str:
    """The text of a page with the tables of the kept results.

    Where `<!-- table: FIRST COLUMN -->` stands, a table is inserted once there are results with it. Raises ValueError
    if the page has a table and the results do not.
    """
    for first_column, results, shown in QUOTED[page]:
        kept = _table(_ROOT.joinpath(results).read_text(), first_column)
        place = _table(text, first_column) or f"<!-- table: {first_column} -->"
        if kept:
            text = text.replace(place, "\n".join(map(shown, kept.splitlines())))
        elif place.startswith("|") or place not in text:
            raise ValueError(f"{results} has no table of {first_column!r}")
    return text


def quote(page: str) -> None:
    """Write the tables of the kept results into a page of docs/."""
    path = _ROOT / "docs" / page
    text = path.read_text()
    if (changed := with_figures(page, text)) != text:
        path.write_text(changed)


def _table(text: str, first_column: str) -> str:
    """The table with this first column, or an empty string."""
    _, head, rest = text.partition(f"| {first_column} |")
    return (head + rest).split("\n\n", maxsplit=1)[0].rstrip("\n")
