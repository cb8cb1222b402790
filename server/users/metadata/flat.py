"""Usual metadata as dot-paths, in one pass.

Metadata is not usual if a value is refused, stored in another form or nested in an array, or if an object sets nothing.
Then `tree` plans it. Both plans have the same effect, size and counts.
"""

from typing import Any, Final

from server.limits import METADATA_LEAVES, METADATA_LEVELS, METADATA_VALUES, UPDATE_BYTES
from server.merge.field_names import escape_key
from server.merge.numbers import stored_double
from server.model import JsonObject
from server.users.metadata.tree import ITEM_BYTES, OBJECT_BYTES, PATH_BYTES, RESERVED_NAMES

_RESERVED: Final = frozenset(RESERVED_NAMES)

_KEY_LENGTH: Final = 64
"""Characters of a key. Nearly all have fewer."""

_EXACT: Final = 2**53
_INFINITY: Final = float("inf")


class NotUsual(Exception):
    """The metadata is not usual."""


class FlatMetadata:
    """What metadata sets and removes, by dot-paths that begin with `metadata.`, and its counts as in `MetadataPlan`.

    Raises NotUsual.
    """

    __slots__ = ("paths", "removes", "sets", "size", "values")

    def __init__(self, metadata: JsonObject) -> None:
        self.sets: dict[str, object] = {}
        self.removes: list[str] = []
        self.paths = self.values = self.size = 0
        self._add(metadata, "metadata.", len("metadata"), 1)

    def _add(self, values: JsonObject, prefix: str, prefix_bytes: int, level: int) -> None:
        count = len(values)
        self.paths += count
        self.values += count
        if self.paths > METADATA_LEAVES or self.values > METADATA_VALUES or level > METADATA_LEVELS:
            raise NotUsual
        sets, removed = self.sets, 0
        bytes_each = prefix_bytes + PATH_BYTES
        size = count * bytes_each
        key: str
        value: Any
        for key, value in values.items():
            key_bytes = len(key)
            if key_bytes > _KEY_LENGTH:
                raise NotUsual
            if key.isascii() and key.isidentifier():
                path = prefix + key
            else:
                stored = escape_key(key)
                path, key_bytes = prefix + stored, len(stored.encode())
            size += key_bytes
            kind = type(value)
            if kind is str:
                sets[path] = value
                size += len(value) if value.isascii() else len(value.encode())
            elif value is None:
                self.removes.append(path)
                removed += 1
            elif level == 1 and key in _RESERVED:
                raise NotUsual
            elif kind is dict:
                self._add(value, path + ".", prefix_bytes + 1 + key_bytes, level + 1)
                # The paths below it include its own.
                size += key_bytes + OBJECT_BYTES - bytes_each
            elif kind is bool or (kind is int and -_EXACT <= value <= _EXACT):
                sets[path] = value
            elif kind is float and -_INFINITY < value < _INFINITY:
                sets[path] = stored_double(value)
            elif kind is list and level < METADATA_LEVELS:
                self._count_array(value)
                sets[path] = value
            else:
                raise NotUsual
        self.size += size
        if removed == count or self.size > UPDATE_BYTES:
            raise NotUsual

    def _count_array(self, items: list[Any]) -> None:
        """Count an array of strings, booleans, nulls and exact integers."""
        self.values += len(items)
        if self.values > METADATA_VALUES:
            raise NotUsual
        size = ITEM_BYTES * len(items)
        for item in items:
            kind = type(item)
            if kind is str:
                size += len(item) if item.isascii() else len(item.encode())
            elif not (item is None or kind is bool or (kind is int and -_EXACT <= item <= _EXACT)):
                raise NotUsual
        self.size += size
