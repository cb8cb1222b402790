"""JSON text to plain values, strictly: nothing is lost or changed on the way, or the text is refused."""

import codecs
import json
import math
from contextlib import suppress
from typing import Any

import orjson

# orjson turns integers outside [-2^63, 2^64 - 1] into floats without a word. Those have at least this many digits;
# what else has (a digit string, a long fraction) only costs the second parsing.
_LONG_NUMBER = b"0" * 19
# Beyond the greatest double, which has as many: orjson refuses it.
_DOUBLE_DIGITS = 309
_HUGE_NUMBER = b"0" * _DOUBLE_DIGITS
_DIGITS_TO_0 = bytes.maketrans(b"123456789", b"000000000")


class LongInteger(str):
    """The digits of an integer beyond the greatest double: to make a number of them takes time in their square."""

    __slots__ = ()


class NotJson(Exception):
    """The text is no JSON. `byte` is the offset of the first byte that is wrong, counted from 0."""

    def __init__(self, byte: int) -> None:
        super().__init__(f"at byte {byte}")
        self.byte = byte


def parse(text: bytes) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark. Integers are exact, whatever their
    size: those that are longer than the greatest double come as a LongInteger.

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
    """The value of a text that orjson may have refused for an integer alone. As strict as orjson in all else.

    Raises ValueError or RecursionError.
    """
    value = json.loads(document.decode(), parse_float=_finite, parse_constant=_finite, parse_int=_integer)
    # Half of a surrogate pair cannot be encoded.
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


def _byte_offset(document: bytes, position: int) -> int:
    """The byte at which the character `position` begins, or the first one that is not UTF-8."""
    try:
        return len(document.decode()[:position].encode())
    except UnicodeDecodeError as error:
        return error.start
