"""Metadata from a `google.protobuf.Struct`. Its values are counted before they are visited."""

from google.protobuf.struct_pb2 import Struct, Value

from server import limits
from server.errors import InvalidRequest, Violation
from server.merge.paths import field_path
from server.model import JsonObject
from server.users.metadata.tree import too_many_values


def object_from_struct(struct: Struct) -> JsonObject:
    """The JSON object in a Struct. Raises InvalidRequest, for `metadata` where it has too many values."""
    return _Reader().read(struct, ["metadata"])


class _Reader:
    """Reads one Struct. An object or list that is nested too deep is returned empty; planning refuses its level."""

    def __init__(self) -> None:
        self._values_left = limits.METADATA_VALUES

    def read(self, struct: Struct, path: list[str | int]) -> JsonObject:
        fields = struct.fields
        if not self._may_visit(len(fields), path):
            return {}
        # protobuf implements `items()` of a map in Python: to look up each key is faster. Most values are strings that
        # are not empty.
        return {key: (value := fields[key]).string_value or self._value(value, path, key) for key in fields}

    def _may_visit(self, values: int, path: list[str | int]) -> bool:
        self._values_left -= values
        if self._values_left < 0:
            raise InvalidRequest([too_many_values()])
        return len(path) <= limits.METADATA_LEVELS

    def _value(self, value: Value, path: list[str | int], part: str | int) -> object:
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
                values = value.list_value.values
                path = [*path, part]
                if not self._may_visit(len(values), path):
                    return []
                return [self._value(item, path, index) for index, item in enumerate(values)]
            case "null_value":
                return None
            case _:
                raise InvalidRequest(
                    [Violation(field_path([*path, part]), "NO_VALUE", "must be a Value whose kind is set")]
                )
