"""What commands print: tables for people, JSON with `--json`. Results are on stdout, everything else on stderr."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
"""The option `--json`, which every command that prints a result has."""

# A terminal obeys them, and the values of users may hold any.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def print_json(value: Any) -> None:
    """Print a value as one JSON document, which ends with a line feed."""
    _print_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def print_json_line(value: Any) -> None:
    """Print a value as JSON on one line: commands print lists of users this way, as JSON Lines."""
    _print_bytes(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, in which None is shown as `-`. On a terminal it has its width, else each row is one line."""
    cells = [[_shown(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*headings, box=SIMPLE_HEAD, pad_edge=False)
        for row in cells:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    lines = [list(headings), *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """Print named values, one a line. None is left out."""
    width = max((len(name) for name, value in fields.items() if value is not None), default=0)
    for name, value in fields.items():
        if value is not None:
            print(f"{name:<{width}}  {_shown(value)}")


def print_result(fields: Mapping[str, object], as_json: bool) -> None:
    """Print named values, as JSON or one a line."""
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)


def note(message: str) -> None:
    """Print a remark to the user on stderr."""
    print(_CONTROLS.sub(_escaped, message), file=sys.stderr)


def _shown(value: object) -> str:
    return "-" if value is None else _CONTROLS.sub(_escaped, str(value))


def _escaped(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"


def _print_bytes(data: bytes) -> None:
    # JSON escapes the other control characters itself.
    text = data.decode()
    print(re.sub(r"[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text), end="")
