"""Stored metadata as JSON values or as a `Struct`, with the keys that the client sent.

A stored profile may hold more values than may be translated without yielding to other applications. So a translation is
an object that translates a limited number of values at a time.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol, TypeAlias

from server.merge.field_names import unescape_key
from server.model import JsonObject

_UNCHANGED_TYPES: Final = frozenset({str, bool, type(None)})
_EXACT_INTEGERS: Final = 2**53
_INT64_LIMIT: Final = 2.0**63

VALUES_PER_MAP: Final = 3
"""How many more values an object in a `Struct` counts as, for the map that is made for it."""

_Level: TypeAlias = tuple[Iterator[Any], Any]
"""The items of an object or array that are yet to be translated, and the container for the results."""


class Translation(Protocol):
    """A translation in progress. Each value takes `steps` steps."""

    steps: int

    def work(self, limit: int) -> int:
        """Translate about `limit` values. Returns how many were translated: fewer than `limit` at the end."""


class AsJson:
    """Builds the JSON object `done`. Its numbers are those that a `Struct` would hold."""

    steps = 1

    def __init__(self, stored: JsonObject) -> None:
        self.done: JsonObject = {}
        self._levels: list[_Level] = [(iter(stored.items()), self.done)]

    def work(self, limit: int) -> int:
        """See Translation."""
        levels, left = self._levels, limit
        while levels and left:
            items, target = levels[-1]
            is_object = target.__class__ is dict
            for item in items:
                left -= 1
                key, value = item if is_object else ("", item)
                value_type = value.__class__
                translated: Any
                inner: Any = None
                if value_type is dict:
                    translated = inner = {}
                elif value_type is list:
                    translated = inner = []
                else:
                    translated = value if value_type in _UNCHANGED_TYPES else json_number(value)
                if is_object:
                    target[unescape_key(key)] = translated
                else:
                    target.append(translated)
                if value and inner is not None:
                    levels.append((iter(value.items() if value_type is dict else value), inner))
                    break
                if not left:
                    return limit
            else:
                levels.pop()
        return limit - left


class AsStruct:
    """Fills an empty `Struct`. An object in it takes as long as several other values, and counts as that many."""

    steps = 2

    def __init__(self, stored: JsonObject, struct: Any) -> None:
        self._levels: list[_Level] = [(iter(stored.items()), struct.fields)]
        # The class of a container does not show which of the two it is in every implementation of protobuf.
        self._are_objects = [True]

    def work(self, limit: int) -> int:
        """See Translation."""
        levels, are_objects, left = self._levels, self._are_objects, limit
        while levels and left > 0:
            items, target = levels[-1]
            is_object = are_objects[-1]
            for item in items:
                left -= 1
                if is_object:
                    key, value = item
                    message = target[unescape_key(key)]
                else:
                    value = item
                    message = target.add()
                value_type = value.__class__
                if value_type is str:
                    message.string_value = value
                elif value_type is dict:
                    left -= VALUES_PER_MAP
                    message.struct_value.SetInParent()
                    levels.append((iter(value.items()), message.struct_value.fields))
                    are_objects.append(True)
                    break
                elif value_type is list:
                    message.list_value.SetInParent()
                    levels.append((iter(value), message.list_value.values))
                    are_objects.append(False)
                    break
                elif value is None:
                    message.null_value = 0
                elif value_type is bool:
                    message.bool_value = value
                else:
                    message.number_value = value
                if not left:
                    return limit
            else:
                levels.pop()
                are_objects.pop()
        return limit - left


def json_number(value: float) -> int | float:
    """A stored number as the gateway prints the double of a `Struct`: 24000, never 24000.0.

    -0.0 and numbers beyond int64 remain floats.
    """
    if isinstance(value, int) and -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS:
        return value
    double = float(value)
    if double.is_integer() and abs(double) < _INT64_LIMIT and (double or str(double) == "0.0"):
        return int(double)
    return double
