"""Parses JSON strictly: a text whose values would be lost or changed is refused."""

import codecs
import json
import math
from contextlib import suppress
from typing import Any

import orjson

# orjson silently turns integers outside [-2^63, 2^64 - 1] into floats. Those have at least this many digits. Other
# values that have as many (a string of digits, a long fraction) only cost parsing the text again.
_LONG_NUMBER = b"0" * 19
# An integer beyond the greatest double, which has as many digits: orjson refuses it.
_DOUBLE_DIGITS = 309
_HUGE_NUMBER = b"0" * _DOUBLE_DIGITS
_DIGITS_TO_0 = bytes.maketrans(b"123456789", b"000000000")


class LongInteger(str):
    """The digits of an integer beyond the greatest double. Converting them to an int takes quadratic time."""

    __slots__ = ()


class NotJson(Exception):
    """The text is not JSON. `byte` is the offset of the first invalid byte, counted from 0."""

    def __init__(self, byte: int) -> None:
        super().__init__(f"at byte {byte}")
        self.byte = byte


def parse(text: bytes) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark. All integers are exact: those longer than
    the greatest double are a LongInteger.

    Raises NotJson, also for NaN, Infinity, numbers beyond a double (1e400), lone surrogates, and a nesting so deep
    that it cannot be parsed (1,024 levels; less where an integer is long).
    """
    start = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
    document = text[start:]
    try:
        value = orjson.loads(document)
        return json.loads(document) if _LONG_NUMBER in document.translate(_DIGITS_TO_0) else value
    except orjson.JSONDecodeError as error:
        if _HUGE_NUMBER in document.translate(_DIGITS_TO_0):
            with suppress(ValueError, RecursionError):
                return _with_huge_integers(document)
        raise NotJson(start + _byte_offset(document, error.pos)) from None
    except RecursionError:
        raise NotJson(start) from None


def _with_huge_integers(document: bytes) -> Any:
    """The value of a text that orjson may have refused only for its integers. As strict as orjson otherwise.

    Raises ValueError or RecursionError.
    """
    value = json.loads(document.decode(), parse_float=_finite, parse_constant=_finite, parse_int=_integer)
    # Half of a surrogate pair cannot be encoded.
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _integer(text: str) -> int | LongInteger:
    # A sign adds one character.
    return int(text) if len(text) <= _DOUBLE_DIGITS + 1 else LongInteger(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _byte_offset(document: bytes, position: int) -> int:
    """The byte at which the character at `position` begins, or the first byte that is not UTF-8."""
    try:
        return len(document.decode()[:position].encode())
    except UnicodeDecodeError as error:
        return error.start
