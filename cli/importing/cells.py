"""The values of cells in CSV, by the type of their column. An empty cell is absent, and never read here."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.transcoding import json_parser, timestamps


class NotReadable(Exception):
    """A cell does not hold a value of the type of its column."""

    def __init__(self, reason: str, description: str) -> None:
        super().__init__(description)
        self.reason = reason
        self.description = description


Read: TypeAlias = Callable[[str], Any]
"""Reads a cell. Raises NotReadable."""

_BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "1"), True),
    **dict.fromkeys(("false", "no", "0"), False),
}


def _number(cell: str) -> Any:
    try:
        number = json_parser.parse(cell.strip().encode())
    except json_parser.NotJson:
        number = None
    if type(number) not in (int, float, json_parser.LongInteger):
        raise NotReadable("NOT_A_NUMBER", "must be a number such as 24000 or -1.5")
    return number


def _boolean(cell: str) -> bool:
    value = _BOOLEANS.get(cell.strip().lower())
    if value is None:
        raise NotReadable("NOT_A_BOOLEAN", "must be true or false, yes or no, 1 or 0")
    return value


def _json(cell: str) -> Any:
    try:
        return json_parser.parse(cell.encode())
    except json_parser.NotJson:
        raise NotReadable("NOT_JSON", "must be a JSON value") from None


def _time(cell: str) -> str:
    time = timestamps.parse(cell.strip())
    if time is None:
        raise NotReadable("NOT_A_TIME", "must be a time such as 2026-01-02T03:04:05Z, in the years 1 to 9999")
    return timestamps.text_of(time)


TYPES: Final[Mapping[str, Read]] = {
    "string": str,
    "number": _number,
    "boolean": _boolean,
    "json": _json,
    "time": _time,
}
"""How a cell is read, by the type after the colon of a field."""
