"""The pages of the documentation, and the blocks of code in them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted([README, ROOT / "CHANGELOG.md", ROOT / "protos" / "README.md", *DOCS.rglob("*.md")])
"""Every page for people."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code: its language, which may be empty, its text, and its line in the file."""

    language: str
    text: str
    line: int


def name_of(page: Path) -> str:
    """The path of a page in the repository."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    text = page.read_text()
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in re.finditer(r"^```(\S*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def section(page: Path, heading: str) -> str:
    """The text below a heading of the second level."""
    return page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def table(text: str, first_column: str) -> list[list[str]]:
    """The rows of the table whose header begins with `first_column`: the text of their cells."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {first_column} |"):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert rows, first_column
    return rows
