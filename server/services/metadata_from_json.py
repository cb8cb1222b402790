"""Metadata as JSON text: bounded before it is parsed, with every digit of its integers."""

import json
import math

import orjson

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import JsonObject
from server.users.metadata import LongInteger, oversized_update, too_many_values

# orjson reads integers beyond 64 bits, which have 19 digits or more, as doubles.
_DIGITS = bytes(ord("0") if chr(byte).isdigit() else byte for byte in range(128)) + bytes(range(128, 256))
_LONG_INTEGER = b"0" * 19
# Beyond the greatest double, which has as many: orjson refuses it.
_DOUBLE_DIGITS = 309
_HUGE_INTEGER = b"0" * _DOUBLE_DIGITS

# Values take two bytes each at least: `0,`.
_SMALL = 2 * limits.METADATA_VALUES


def object_from_json(text: bytes) -> JsonObject:
    """The JSON object in `text`, in UTF-8. Raises InvalidRequest, naming `metadata` where it passes a limit.

    A text of more than 20,000 values is not parsed.
    """
    if len(text) > _SMALL:
        if len(text) > limits.UPDATE_BYTES:
            raise oversized_update()
        if _has_too_many_values(text):
            raise InvalidRequest([too_many_values()])
    try:
        value = _parsed(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest([Violation("metadata_json", "NOT_A_JSON_OBJECT", "must be a JSON object in UTF-8")])
    return value


def _parsed(text: bytes) -> object:
    """The value of a JSON text. Raises ValueError or RecursionError."""
    try:
        value = orjson.loads(text)
        return json.loads(text) if _LONG_INTEGER in text.translate(_DIGITS) else value
    except orjson.JSONDecodeError:
        if _HUGE_INTEGER not in text.translate(_DIGITS):
            raise
    # As strict as orjson in all but integers: half of a surrogate pair cannot be encoded.
    value = json.loads(text.decode(), parse_float=_finite, parse_constant=_finite, parse_int=_integer)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _integer(text: str) -> int | LongInteger:
    # Behind a sign there is one more.
    return int(text) if len(text) <= _DOUBLE_DIGITS + 1 else LongInteger(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _has_too_many_values(text: bytes) -> bool:
    """Whether `text`, if it is JSON, holds more values than an update may. Those with up to twice as many may pass."""
    marks = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A value takes two quotes if it is a string, and two for its key.
    if marks.count(b'"') > 4 * limits.METADATA_VALUES:
        return True
    marks = b"".join(marks.split(b'"')[::2])
    # All but the first of a container follow a comma; all containers but one are values.
    return max(marks.count(b","), marks.count(b"[") + marks.count(b"{") - 1) > limits.METADATA_VALUES
