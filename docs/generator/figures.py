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


def _without_rounds_and_targets(line: str) -> str:
    """The first five columns, and of the fifth the median alone."""
    cells = [cell.strip() for cell in line.split("|")[1:6]]
    median = re.match(r"\*\*(.*)\*\*", cells[4])
    return f"| {' | '.join([*cells[:4], median[1] if median else cells[4].removesuffix(' (rounds)')])} |"


QUOTED: Final[Mapping[str, tuple[Quoted, ...]]] = {
    "durability.md": (
        Quoted("fault", "tests/faults/results/latest.md", _whole),
        Quoted("a bug put in on purpose", "tests/faults/results/latest.md", _whole),
    ),
    "capacity.md": (Quoted("measure", "benchmarks/results/overload.md", _whole),),
    "performance.md": (Quoted("measure", "benchmarks/results/latest.md", _without_rounds_and_targets),),
}
"""The tables by page of docs/."""


def with_figures(page: str, text: str) -> str:
    """The text of a page with the tables of the kept results."""
    for first_column, results, shown in QUOTED[page]:
        kept = _table(_ROOT.joinpath(results).read_text(), first_column)
        text = text.replace(_table(text, first_column), "\n".join(map(shown, kept.splitlines())))
    return text


def _table(text: str, first_column: str) -> str:
    return text[text.index(f"| {first_column} |") :].split("\n\n", maxsplit=1)[0].rstrip("\n")
