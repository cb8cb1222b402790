"""Metadata from a `google.protobuf.Struct`. Its values are counted before they are visited."""

from typing import TypeAlias

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from server import limits
from server.errors import InvalidRequest, Violation
from server.merge.paths import field_path
from server.model import JsonObject
from server.users.metadata.tree import too_many_values

Path: TypeAlias = list[str | int]
"""Keys and indices, from the request inwards."""


def object_from_struct(struct: Struct) -> JsonObject:
    """The JSON object in a Struct. Raises InvalidRequest, for `metadata` where it has too many values."""
    return StructReader().read(struct, ["metadata"])


class StructReader:
    """Reads the Structs of one update, whose values it counts together.

    An object or list whose path has more parts than `path_limit` is returned empty; planning refuses its level.
    """

    def __init__(self, path_limit: int = limits.METADATA_LEVELS) -> None:
        self._values_left = limits.METADATA_VALUES
        self._path_limit = path_limit

    def read(self, struct: Struct, path: Path) -> JsonObject:
        """The object at a path of the request."""
        fields = struct.fields
        if not self._may_visit(len(fields), path):
            return {}
        # protobuf implements `items()` of a map in Python: to look up each key is faster. Most values are strings that
        # are not empty.
        return {key: (value := fields[key]).string_value or self.value(value, path, key) for key in fields}

    def _may_visit(self, values: int, path: Path) -> bool:
        self._values_left -= values
        if self._values_left < 0:
            raise InvalidRequest([too_many_values()])
        return len(path) <= self._path_limit

    def list(self, values: ListValue, path: Path) -> "list[object]":
        """The values of a list at a path of the request."""
        items = values.values
        if not self._may_visit(len(items), path):
            return []
        return [self.value(item, path, index) for index, item in enumerate(items)]

    def value(self, value: Value, path: Path, part: str | int) -> object:
        """The value at `part` below a path of the request."""
        match value.WhichOneof("kind"):
            case "string_value":
                return value.string_value
            case "number_value":
                return value.number_value
            case "bool_value":
                return value.bool_value
            case "struct_value":
                return self.read(value.struct_value, [*path, part])
            case "list_value":
                return self.list(value.list_value, [*path, part])
            case "null_value":
                return None
            case _:
                raise InvalidRequest(
                    [Violation(field_path([*path, part]), "NO_VALUE", "must be a Value whose kind is set")]
                )
