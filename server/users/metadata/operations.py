"""The operations of one update on metadata, as parts of its patch."""

import math
from collections.abc import Sequence
from typing import Final, cast

from server import limits
from server.merge.numbers import stored_number
from server.merge.operations import Operation, distinct, is_time, levels_in
from server.merge.patch import apply_patch
from server.model import JsonObject, MetadataOperation, OperationKind, Patch
from server.users.metadata.tree import (
    OBJECT_BYTES,
    RESERVED_NAMES,
    MetadataPlan,
    Refused,
    too_large,
    too_many_paths,
    too_many_values,
)

# Upper bounds of the bytes in the pipeline. Of an operation beside its keys and its values:
_OPERATION_BYTES: Final = 1024
# Of each value of a union or a remove, which may be in the pipeline in two forms, one of them twice:
_COPIES: Final = 3
_VALUE_BYTES: Final = 96
# Of each level of objects and arrays in these values:
_LEVEL_BYTES: Final = 768

_UNION_OR_REMOVE: Final = (OperationKind.UNION, OperationKind.REMOVE)
_NOT_COMPARABLE: Final = "must be a number that a double holds, or a time in UTC such as 2026-01-02T03:04:05Z"

_Path = list[str | int]


class OperationsPlan(MetadataPlan):
    """The plan of an update's metadata and its operations."""

    def metadata_with_operations(self, metadata: JsonObject, operations: Sequence[MetadataOperation]) -> Patch | None:
        """The patch of both, which may be incomplete if there are violations. None if it changes nothing."""
        if len(operations) > limits.METADATA_OPERATIONS:
            most = f"more than {limits.METADATA_OPERATIONS} operations in one update"
            self.refuse("metadata_operations", "TOO_MANY", most)
            return None
        patch = self.metadata(metadata) if metadata else {}
        try:
            for index, operation in enumerate(operations):
                self._add(patch, operation, ["metadata_operations", index])
        except Refused:
            pass
        return patch or None

    def _add(self, patch: Patch, sent: MetadataOperation, at: _Path) -> None:
        """Add the operation at the path `at` of the request."""
        if not self._is_path(sent.path, [*at, "path"]):
            return
        # The keys of its path are levels, as is the metadata itself. An object or array in it has a path of 3 parts.
        self._path_limit = limits.METADATA_LEVELS - len(sent.path) + 2
        operation = self._operation(sent, at)
        if operation is None or (sent.kind in _UNION_OR_REMOVE and not operation.values):
            return
        self.size += _OPERATION_BYTES
        self._insert(patch, sent.path, operation, [*at, "path"])
        self.exact = True
        if self.paths > limits.METADATA_LEAVES:
            self._stop(too_many_paths())
        if self.values > limits.METADATA_VALUES:
            self._stop(too_many_values())
        if self.size > limits.UPDATE_BYTES:
            self._stop(too_large())

    def _is_path(self, path: Sequence[str], at: _Path) -> bool:
        if not path:
            self._refuse_value(at, "REQUIRED", "must have at least one key")
        elif len(path) > limits.METADATA_LEVELS:
            self._refuse_value(at, "TOO_DEEP", f"more than {limits.METADATA_LEVELS} keys")
        elif path[0] in RESERVED_NAMES:
            self._refuse_value(at, "INVALID_VALUE_PATH", "no operation changes the reserved fields, such as email")
        else:
            return True
        return False

    def _operation(self, sent: MetadataOperation, at: _Path) -> Operation | None:
        """The operation as it is stored; None if it is refused."""
        violations = len(self.violations)
        value = sent.value
        if sent.kind in _UNION_OR_REMOVE:
            value = self._listed(cast("list[object]", value), sent.kind, at)
        elif sent.kind is OperationKind.SET_ONCE:
            value = self._value(value, at)
        elif not self._is_comparable(value):
            self._refuse_value([*at, sent.kind], "WRONG_TYPE", _NOT_COMPARABLE)
        else:
            self.size += len(value) if isinstance(value, str) else 0
            value = value if isinstance(value, str) else stored_number(cast(float, value))
        return Operation(sent.kind, value) if len(self.violations) == violations else None

    def _listed(self, values: list[object], kind: OperationKind, at: _Path) -> list[object]:
        if len(values) > limits.OPERATION_VALUES:
            self._refuse_value([*at, kind], "TOO_MANY", f"more than {limits.OPERATION_VALUES} values")
            return []
        count, size = self.values, self.size
        listed = cast("list[object]", self._checked(values, at, kind)) or []
        self.size += (_COPIES - 1) * (self.size - size) + _VALUE_BYTES * (self.values - count)
        self.size += _LEVEL_BYTES * levels_in(listed)
        return distinct(listed)

    def _value(self, value: object, at: _Path) -> object:
        if value is None:
            self._refuse_value([*at, OperationKind.SET_ONCE], "WRONG_TYPE", "must not be null")
            return None
        if isinstance(value, dict):
            # Nulls in it are no values, as in metadata.
            return apply_patch({}, self._merge(value, [*at, OperationKind.SET_ONCE], 0))
        return self._checked(value, at, OperationKind.SET_ONCE)

    def _is_comparable(self, value: object) -> bool:
        if isinstance(value, str):
            return is_time(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if isinstance(value, int):
            return not isinstance(stored_number(value), str)
        return math.isfinite(value)

    def _insert(self, patch: Patch, path: Sequence[str], operation: Operation, at: _Path) -> None:
        """Insert an operation, if no other change meets its path."""
        *parents, (last, last_bytes) = [self._stored_key(key) for key in path]
        inner = patch
        for key, key_bytes in parents:
            if key not in inner:
                inner[key] = {}
                self._count(2 * key_bytes + OBJECT_BYTES)
            before = inner[key]
            if not isinstance(before, dict):
                break
            inner = before
        else:
            if last not in inner:
                inner[last] = operation
                self._count(2 * last_bytes)
                return
        text = "this path, or a part of it, is also in metadata, or in another operation"
        self._refuse_value(at, "CONFLICT", text)

    def _count(self, size: int) -> None:
        self.paths += 1
        self.values += 1
        self.size += size
