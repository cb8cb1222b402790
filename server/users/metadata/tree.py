"""The metadata of one update as a patch: keys escaped, numbers exact, values counted before they are visited."""

import math
from typing import Final, cast

from server import limits
from server.errors import InvalidRequest, Violation
from server.merge.field_names import escape_key
from server.merge.numbers import stored_number
from server.merge.paths import field_path
from server.model import REMOVE, JsonObject, Patch, UpdateWarning

RESERVED_NAMES: Final = ("email", "name", "first_name", "last_name", "phone", "photo_url")
"""The keys of metadata that must hold strings (the API page: "Reserved fields")."""

_INT64 = 2**63
_SHOWN_IN_FULL = 10**21

# Nearly all keys are shorter, and are identifiers, which need not be escaped.
_PLAIN_KEY = 64

# Upper bounds of the bytes that values take in the operation, on dot-paths or exact: a type, a NUL after each key,
# lengths, at most 8 bytes of a number. For a path that is set or removed, beside the path and its string:
PATH_BYTES: Final = 26
# For an object on the way, beside its key, which the pipeline holds twice (see `update_document.exact_update`):
OBJECT_BYTES: Final = 172
# For an element of an array, whose key is its index, and for a value of an object in an array, beside their strings:
ITEM_BYTES: Final = 14


def too_many_values() -> Violation:
    """The violation of an update with more than `limits.METADATA_VALUES`."""
    return _too_many(limits.METADATA_VALUES, "values")


def too_many_paths() -> Violation:
    """The violation of an update with more than `limits.METADATA_LEAVES`."""
    return _too_many(limits.METADATA_LEAVES, "paths")


def _too_many(limit: int, things: str) -> Violation:
    return Violation("metadata", "TOO_MANY_VALUES", f"more than {limit:,} {things} in one update")


def too_large() -> Violation:
    """The violation of an update of more than `limits.UPDATE_BYTES`."""
    text = f"values and their paths take more than {limits.UPDATE_BYTES:,} bytes"
    return Violation("metadata", "TOO_LARGE", text)


def oversized_update() -> InvalidRequest:
    """The error of an update that is larger than `limits.UPDATE_BYTES` before it is parsed."""
    return InvalidRequest([too_large()])


def _json_text(number: float) -> str:
    """The JSON text of a number as it is stored, which does not depend on how it was sent."""
    # Such doubles are integers. From 10^21 on, their digits would suggest more precision than they have.
    return str(int(number)) if _INT64 <= abs(number) < _SHOWN_IN_FULL else str(number)


class LongInteger(str):
    """The digits of an integer beyond the largest double. Converting them to a number takes quadratic time."""

    __slots__ = ()


class Refused(Exception):
    """The update is refused, so the rest of it is not visited."""


class MetadataPlan:
    """What planning finds in an update's metadata. `size` begins with the bytes of the rest of the operation."""

    exact = False
    """Whether dot-paths cannot express the patch, as `needs_exact` returns."""
    paths = 0
    values = 0
    """All values, including the `removed` ones."""
    removed = 0
    _unusual_keys = 0
    _path_limit = limits.METADATA_LEVELS
    """The limit of the parts of a path to an object or array."""

    def __init__(self, size: int) -> None:
        self.violations: list[Violation] = []
        self.warnings: list[UpdateWarning] = []
        self.size = size

    def refuse(self, field: str, reason: str, description: str) -> None:
        self.violations.append(Violation(field, reason, description))

    def warn(self, field: str, reason: str, description: str) -> None:
        self.warnings.append(UpdateWarning(field, reason, description))

    def metadata(self, metadata: JsonObject) -> Patch:
        """The patch, which may be incomplete if there are violations."""
        try:
            if changed := self._reserved(metadata):
                if len(metadata) > limits.METADATA_LEAVES:
                    self._stop(too_many_paths())
                metadata = {**metadata, **changed}
            return self._merge(metadata, ["metadata"], len("metadata"))
        except Refused:
            return {}

    def _stop(self, violation: Violation) -> None:
        self.violations.append(violation)
        raise Refused

    def _refuse_value(self, path: list[str | int], reason: str, description: str) -> None:
        self.refuse(field_path(path), reason, description)
        if len(self.violations) >= limits.REPORTED:
            raise Refused

    def _reserved(self, metadata: JsonObject) -> JsonObject:
        """The reserved fields that are stored in another form than sent."""
        changed: JsonObject = {}
        for name in RESERVED_NAMES:
            value = metadata.get(name)
            if value is None or isinstance(value, str):
                continue
            if isinstance(value, dict | list):
                self.refuse(f"metadata.{name}", "WRONG_TYPE", "must be a string")
                continue
            if isinstance(value, float) and not math.isfinite(value):
                continue  # Refused later, like any such number.
            if isinstance(value, bool):
                changed[name] = str(value).lower()
            else:
                stored = stored_number(cast(float, value))
                if isinstance(stored, str):
                    continue  # Stored as a string later, like any such number.
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
        if len(path) > self._path_limit:
            self._refuse_value(path, "TOO_DEEP", f"nested deeper than {limits.METADATA_LEVELS} levels")
            return {}
        patch: Patch = {}
        sets = False
        bytes_each = path_bytes + PATH_BYTES
        size = count * bytes_each
        for key, value in values.items():
            if (key_bytes := len(key)) <= _PLAIN_KEY and key.isascii() and key.isidentifier():
                stored = key
            else:
                stored, key_bytes = self._stored_key(key)
            size += key_bytes
            if type(value) is str:  # The most frequent case.
                patch[stored] = value
                size += len(value) if value.isascii() else len(value.encode())
                sets = True
            elif type(value) is dict:
                path.append(key)
                patch[stored] = self._merge(value, path, path_bytes + 1 + key_bytes)
                path.pop()
                # The paths below it include its own.
                size += key_bytes + OBJECT_BYTES - bytes_each
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
        """A key as it is stored, and its bytes. The length is checked before the key is escaped."""
        self._unusual_keys += len(key)
        # A key that is larger than a profile cannot be stored.
        if len(key) > limits.PROFILE_BYTES or self._unusual_keys > limits.UPDATE_BYTES:
            self._stop(too_large())
        stored = escape_key(key)
        return stored, len(stored) if stored.isascii() else len(stored.encode())

    def _checked(self, value: object, path: list[str | int], part: str | int) -> object:
        """The value at `part` below `path` as it is stored: keys are escaped, numbers exact.

        Values that JSON cannot hold are refused.
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
        self.size += ITEM_BYTES * len(value)
        path.append(part)
        checked: object = None
        if len(path) > self._path_limit:
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
