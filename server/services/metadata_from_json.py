"""Metadata, or an update, from JSON text. Values are bounded before it is parsed, and integers keep every digit."""

import json
import math

import orjson

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import JsonObject
from server.users.metadata.tree import LongInteger, oversized_update, too_many_values

# orjson reads integers beyond 64 bits, which have at least 19 digits, as doubles. To find them, all digits become 0.
_DIGITS = bytes(ord("0") if chr(byte).isdigit() else byte for byte in range(128)) + bytes(range(128, 256))
_LONG_INTEGER = b"0" * 19
# An integer with so many digits may exceed the largest double. orjson then refuses it.
_DOUBLE_DIGITS = 309
_HUGE_INTEGER = b"0" * _DOUBLE_DIGITS

# A value takes at least two bytes: `0,`. A text of this size cannot hold too many.
_SMALL_BYTES = 2 * limits.METADATA_VALUES


def object_from_json(data: bytes, field: str) -> JsonObject:
    """The JSON object in `data`, in UTF-8. Raises InvalidRequest, for `metadata` where it passes a limit, else for
    `field`.

    Data with more than 20,000 values are refused without being parsed.
    """
    if len(data) > _SMALL_BYTES:
        if len(data) > limits.UPDATE_BYTES:
            raise oversized_update()
        if _has_too_many_values(data):
            raise InvalidRequest([too_many_values()])
    try:
        value = _parsed(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest([Violation(field, "NOT_A_JSON_OBJECT", "must be a JSON object in UTF-8")])
    return value


def _parsed(data: bytes) -> object:
    """The value of a JSON text. Raises ValueError or RecursionError."""
    try:
        value = orjson.loads(data)
        return json.loads(data) if _LONG_INTEGER in data.translate(_DIGITS) else value
    except orjson.JSONDecodeError:
        if _HUGE_INTEGER not in data.translate(_DIGITS):
            raise
    # As strict as orjson but for integers. To encode the value again refuses half of a surrogate pair.
    value = json.loads(data.decode(), parse_float=_finite, parse_constant=_finite, parse_int=_integer)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _integer(text: str) -> int | LongInteger:
    # One more for a sign.
    return int(text) if len(text) <= _DOUBLE_DIGITS + 1 else LongInteger(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _has_too_many_values(data: bytes) -> bool:
    """Whether `data`, if it is JSON, holds more values than an update may. It may miss up to twice that number."""
    marks = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A value has at most four quotes: two of its key, and two of its own if it is a string.
    if marks.count(b'"') > 4 * limits.METADATA_VALUES:
        return True
    marks = b"".join(marks.split(b'"')[::2])
    # Outside strings: each value but the first of a container follows a comma, and each container but the outermost is
    # a value.
    return max(marks.count(b","), marks.count(b"[") + marks.count(b"{") - 1) > limits.METADATA_VALUES
