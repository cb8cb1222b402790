"""Stored metadata as JSON values or as a `Struct`, with the caller's own keys, a slice at a time.

A stored profile may hold hundreds of thousands of values, which take a second. So each translation here is an object
that does as many steps as it is told to, and goes on where it was.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol, TypeAlias

from server.merge.field_names import unescape_key
from server.model import JsonObject

_AS_THEY_ARE: Final = frozenset({str, bool, type(None)})
_EXACT: Final = 2**53
_INT64: Final = 2.0**63

OBJECT: Final = 3
"""How many values more an object counts in a `Struct`: its map has to be made, too."""

_Level: TypeAlias = tuple[Iterator[Any], Any]
"""The items of an object or array that are yet to be translated, and where they go."""


class Translation(Protocol):
    """A translation under way. `steps` are those that each value takes."""

    steps: int

    def work(self, most: int) -> int:
        """Translate up to about so many values, and tell how many there were: fewer when all is done."""


class AsJson:
    """Makes a JSON object, `done`, whose numbers are those that a `Struct` would hold."""

    steps = 1

    def __init__(self, stored: JsonObject) -> None:
        self.done: JsonObject = {}
        self._levels: list[_Level] = [(iter(stored.items()), self.done)]

    def work(self, most: int) -> int:
        """As of Translation."""
        levels, left = self._levels, most
        while levels and left:
            items, target = levels[-1]
            is_object = target.__class__ is dict
            for item in items:
                left -= 1
                key, value = item if is_object else ("", item)
                kind = value.__class__
                translated: Any
                inner: Any = None
                if kind is dict:
                    translated = inner = {}
                elif kind is list:
                    translated = inner = []
                else:
                    translated = value if kind in _AS_THEY_ARE else json_number(value)
                if is_object:
                    target[unescape_key(key)] = translated
                else:
                    target.append(translated)
                if value and inner is not None:
                    levels.append((iter(value.items() if kind is dict else value), inner))
                    break
                if not left:
                    return most
            else:
                levels.pop()
        return most - left


class AsStruct:
    """Fills a `Struct`, an empty one. An object in it takes as long as several other values, and counts as these."""

    steps = 2

    def __init__(self, stored: JsonObject, struct: Any) -> None:
        self._levels: list[_Level] = [(iter(stored.items()), struct.fields)]
        # Protobuf's containers cannot be told apart by their class in all its implementations.
        self._are_objects = [True]

    def work(self, most: int) -> int:
        """As of Translation."""
        levels, are_objects, left = self._levels, self._are_objects, most
        while levels and left > 0:
            items, target = levels[-1]
            is_object = are_objects[-1]
            for item in items:
                left -= 1
                if is_object:
                    key, value = item
                    made = target[unescape_key(key)]
                else:
                    value = item
                    made = target.add()
                kind = value.__class__
                if kind is str:
                    made.string_value = value
                elif kind is dict:
                    left -= OBJECT
                    made.struct_value.SetInParent()
                    levels.append((iter(value.items()), made.struct_value.fields))
                    are_objects.append(True)
                    break
                elif kind is list:
                    made.list_value.SetInParent()
                    levels.append((iter(value), made.list_value.values))
                    are_objects.append(False)
                    break
                elif value is None:
                    made.null_value = 0
                elif kind is bool:
                    made.bool_value = value
                else:
                    made.number_value = value
                if not left:
                    return most
            else:
                levels.pop()
                are_objects.pop()
        return most - left


def json_number(value: float) -> int | float:
    """A stored number as the gateway prints a `Struct`'s double: 24000, never 24000.0. -0.0 and what no int64 can hold
    stay floats."""
    if isinstance(value, int) and -_EXACT <= value <= _EXACT:
        return value
    double = float(value)
    if double.is_integer() and abs(double) < _INT64 and (double or str(double) == "0.0"):
        return int(double)
    return double
