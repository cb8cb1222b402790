"""Keeps integers exact in JSON objects that are stored as a `google.protobuf.Struct`, whose numbers are doubles."""

from typing import Any, Final

from gateway.errors.violations import Findings, Path
from gateway.transcoding.json_parser import LongInteger

LEVELS: Final = 20
"""The limit of nested objects and arrays, the outermost one included. Protobuf allows about 32."""

VALUES: Final = 10_000
"""The limit of values inside one object, containers and the values in them included: the server's own limit."""

TOO_MANY_VALUES: Final = "TOO_MANY_VALUES", f"more than {VALUES:,} values in one update"
"""The reason and the description of a violation."""

_EXACT = 2**53
_CONTAINERS = (dict, list)


class _TooDeep(Exception):
    pass


class _TooManyValues(Exception):
    pass


def make_exact(value: dict[str, Any] | list[Any], path: Path, findings: Findings, *, levels: int = LEVELS) -> bool:
    """Replace, in place, each integer that a double cannot hold by its decimal string, with a warning.

    Returns False, with a violation that names the field, where the value is nested too deep or holds too many values.
    It visits no more values than are allowed.
    """
    try:
        _visit(value, path, findings, levels, VALUES)
    except _TooDeep:
        return False
    except _TooManyValues:
        findings.refuse(path, *TOO_MANY_VALUES)
        return False
    return True


def _visit(container: dict[str, Any] | list[Any], path: Path, findings: Findings, levels: int, room: int) -> int:
    """Visit a container of at most so many levels for which there is room for so many values. Returns the room that is
    left.
    """
    if not levels:
        findings.refuse(path, "TOO_DEEP", f"is nested deeper than {LEVELS} levels")
        raise _TooDeep
    room -= len(container)
    if room < 0:
        raise _TooManyValues
    items: Any = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in items:
        if isinstance(value, _CONTAINERS):
            room = _visit(value, (*path, key), findings, levels - 1, room)
        elif type(value) is LongInteger or (type(value) is int and not -_EXACT <= value <= _EXACT):
            container[key] = _exact(value)
            if isinstance(container[key], str):
                findings.warn((*path, key), "INTEGER_KEPT_AS_TEXT", "is stored as a string: a number would lose digits")
    return room


def _exact(value: int | LongInteger) -> float | str:
    if isinstance(value, str):
        return str(value)
    try:
        double = float(value)
    except OverflowError:
        return str(value)
    return double if int(double) == value else str(value)
