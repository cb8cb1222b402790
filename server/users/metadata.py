"""The metadata of one update as a patch: keys escaped, numbers exact, everything counted before it is visited."""

import math
from typing import Final, cast

from server import limits
from server.errors import InvalidRequest, Violation
from server.merge.field_names import escape_key
from server.merge.numbers import stored_number
from server.merge.paths import field_path
from server.model import REMOVE, JsonObject, Patch, UpdateWarning

RESERVED_NAMES: Final = ("email", "name", "first_name", "last_name", "phone", "photo_url")
"""The keys of metadata that hold texts and nothing else (the API page: "Reserved fields")."""

_INT64 = 2**63
_SHOWN_IN_FULL = 10**21

# Nearly all keys are shorter than this and ordinary names, which need not be escaped.
_PLAIN_KEY = 64

# Upper bounds of what values take in the operation, in bytes, whether it is on dot-paths or exact: a type, a NUL behind
# each key, lengths, at most 8 bytes of a number. Of a path that is set or removed, beside the path and its text:
_PATH_BYTES = 26
# Of an object on the way, whose key the pipeline holds twice (see `update_document.exact_update`), beside those:
_OBJECT_BYTES = 172
# Of an item of an array, whose key is its index, and of a value in an object in an array, beside their texts:
_ITEM_BYTES = 14


def too_many_values() -> Violation:
    """What an update with more than `limits.METADATA_VALUES` is refused for."""
    return _too_many(limits.METADATA_VALUES, "values")


def too_many_paths() -> Violation:
    """What an update with more than `limits.METADATA_LEAVES` is refused for."""
    return _too_many(limits.METADATA_LEAVES, "paths")


def _too_many(most: int, things: str) -> Violation:
    return Violation("metadata", "TOO_MANY_VALUES", f"more than {most:,} {things} in one update")


def too_large() -> Violation:
    """What an update of more than `limits.UPDATE_BYTES` is refused for."""
    text = f"values and their paths take more than {limits.UPDATE_BYTES:,} bytes"
    return Violation("metadata", "TOO_LARGE", text)


def oversized_update() -> InvalidRequest:
    """The refusal of an update that is larger than `limits.UPDATE_BYTES` before anything of it is read."""
    return InvalidRequest([too_large()])


def _json_text(number: float) -> str:
    """The text of a number as it is stored: the same, in whatever form it was sent."""
    # Such doubles are integers. From 10^21 on, their digits are more than they mean.
    return str(int(number)) if _INT64 <= abs(number) < _SHOWN_IN_FULL else str(number)


class LongInteger(str):
    """The digits of an integer beyond the greatest double: to make a number of them takes time in their square."""

    __slots__ = ()


class _Enough(Exception):
    """Whatever else there is, the update is refused: nothing more of it is looked at."""


class MetadataPlan:
    """What is found while an update's metadata becomes a patch. `size` is what the rest of the operation takes."""

    exact = False
    """Whether dot-paths cannot express the metadata's patch: what `needs_exact` tells, found on the way."""
    paths = 0
    values = 0
    """Those to remove included, which are `removed`."""
    removed = 0
    _unusual_keys = 0

    def __init__(self, size: int) -> None:
        self.violations: list[Violation] = []
        self.warnings: list[UpdateWarning] = []
        self.size = size

    def refuse(self, field: str, reason: str, description: str) -> None:
        self.violations.append(Violation(field, reason, description))

    def warn(self, field: str, reason: str, description: str) -> None:
        self.warnings.append(UpdateWarning(field, reason, description))

    def metadata(self, metadata: JsonObject) -> Patch:
        """The patch. Where there are violations, not all of it may be there."""
        try:
            if changed := self._reserved(metadata):
                if len(metadata) > limits.METADATA_LEAVES:
                    self._stop(too_many_paths())
                metadata = {**metadata, **changed}
            return self._merge(metadata, ["metadata"], len("metadata"))
        except _Enough:
            return {}

    def _stop(self, violation: Violation) -> None:
        self.violations.append(violation)
        raise _Enough

    def _refuse_value(self, path: list[str | int], reason: str, description: str) -> None:
        self.refuse(field_path(path), reason, description)
        if len(self.violations) >= limits.REPORTED:
            raise _Enough

    def _reserved(self, metadata: JsonObject) -> JsonObject:
        """The reserved fields that are stored otherwise than sent."""
        changed: JsonObject = {}
        for name in RESERVED_NAMES:
            value = metadata.get(name)
            if value is None or isinstance(value, str):
                continue
            if isinstance(value, dict | list):
                self.refuse(f"metadata.{name}", "WRONG_TYPE", "must be a string")
                continue
            if isinstance(value, float) and not math.isfinite(value):
                continue  # Refused as any such number is.
            if isinstance(value, bool):
                changed[name] = str(value).lower()
            else:
                stored = stored_number(cast(float, value))
                if isinstance(stored, str):
                    continue  # Kept as text as any such number is.
                changed[name] = _json_text(stored)
            kept = "a number or boolean here is stored as a string, its JSON text"
            self.warn(f"metadata.{name}", "KEPT_AS_TEXT", kept)
        return changed

    def _merge(self, values: JsonObject, path: list[str | int], path_bytes: int) -> Patch:
        count = len(values)
        self.paths += count
        self.values += count
        if self.paths > limits.METADATA_LEAVES:
            self._stop(too_many_paths())
        if self.values > limits.METADATA_VALUES:
            self._stop(too_many_values())
        if len(path) > limits.METADATA_LEVELS:
            self._refuse_value(path, "TOO_DEEP", f"nested deeper than {limits.METADATA_LEVELS} levels")
            return {}
        patch: Patch = {}
        sets = False
        each = path_bytes + _PATH_BYTES
        size = count * each
        for key, value in values.items():
            if (key_bytes := len(key)) <= _PLAIN_KEY and key.isascii() and key.isidentifier():
                stored = key
            else:
                stored, key_bytes = self._stored_key(key)
            size += key_bytes
            if type(value) is str:  # As nearly all are.
                patch[stored] = value
                size += len(value) if value.isascii() else len(value.encode())
                sets = True
            elif type(value) is dict:
                path.append(key)
                patch[stored] = self._merge(value, path, path_bytes + 1 + key_bytes)
                path.pop()
                # Its path is in those of all below it.
                size += key_bytes + _OBJECT_BYTES - each
                sets = True
            elif value is None:
                patch[stored] = REMOVE
                self.removed += 1
            else:
                patch[stored] = self._checked(value, path, key)
                sets = True
        self.exact |= not sets
        self.size += size
        if self.size > limits.UPDATE_BYTES:
            self._stop(too_large())
        return patch

    def _stored_key(self, key: str) -> tuple[str, int]:
        """A key as it is stored, and its bytes. Before it is escaped, its length is known to be bounded."""
        self._unusual_keys += len(key)
        # A key that is larger than a profile cannot be stored.
        if len(key) > limits.PROFILE_BYTES or self._unusual_keys > limits.UPDATE_BYTES:
            self._stop(too_large())
        stored = escape_key(key)
        return stored, len(stored) if stored.isascii() else len(stored.encode())

    def _checked(self, value: object, path: list[str | int], part: str | int) -> object:
        """A value as it is stored: keys escaped, numbers exact. What JSON cannot hold is refused.

        Its place is `part` below `path`.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            self.size += len(value) if value.isascii() else len(value.encode())
            if isinstance(value, LongInteger):
                self._warn_of_integer(path, part)
                return str(value)
            return value
        if isinstance(value, int | float):
            return self._number(value, path, part)
        if not isinstance(value, dict | list):
            return None
        self.values += len(value)
        if self.values > limits.METADATA_VALUES:
            self._stop(too_many_values())
        self.size += _ITEM_BYTES * len(value)
        path.append(part)
        checked: object = None
        if len(path) > limits.METADATA_LEVELS:
            self._refuse_value(path, "TOO_DEEP", f"nested deeper than {limits.METADATA_LEVELS} levels")
        elif isinstance(value, list):
            checked = [self._checked(item, path, index) for index, item in enumerate(value)]
        else:
            inner: JsonObject = {}
            for key, item in value.items():
                stored, key_bytes = self._stored_key(key)
                self.size += key_bytes
                inner[stored] = self._checked(item, path, key)
            checked = inner
        path.pop()
        return checked

    def _number(self, number: float, path: list[str | int], part: str | int) -> object:
        if isinstance(number, float) and not math.isfinite(number):
            self._refuse_value([*path, part], "NOT_FINITE", "must be a finite number")
            return None
        stored = stored_number(number)
        if isinstance(stored, str):
            self.size += len(stored)
            self._warn_of_integer(path, part)
        return stored

    def _warn_of_integer(self, path: list[str | int], part: str | int) -> None:
        if len(self.warnings) < limits.REPORTED:
            text = "is stored as a string: a number would lose digits"
            self.warn(field_path([*path, part]), "INTEGER_KEPT_AS_TEXT", text)
