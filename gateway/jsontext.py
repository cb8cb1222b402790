"""JSON text to plain values, strictly: nothing is lost or changed on the way, or the text is refused."""

import codecs
import json
from typing import Any

import orjson

# orjson turns integers outside [-2^63, 2^64 - 1] into floats without a word. Those have at least this many digits;
# what else has (a digit string, a long fraction) only costs the second parsing.
_LONG_NUMBER = b"0" * 19
_DIGITS_TO_0 = bytes.maketrans(b"123456789", b"000000000")


class NotJson(Exception):
    """The text is no JSON. `byte` is the offset of the first byte that is wrong, counted from 0."""

    def __init__(self, byte: int) -> None:
        super().__init__(f"at byte {byte}")
        self.byte = byte


def parse(text: bytes) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark; integers are exact, whatever their size.

    Raises NotJson, also for NaN, Infinity, numbers beyond a double (1e400), lone surrogates, and a nesting so deep
    that it cannot be parsed (1,024 levels; less where an integer is long), and integers of more than 4,300 digits.
    """
    start = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
    document = text[start:]
    try:
        value = orjson.loads(document)
        return json.loads(document) if _LONG_NUMBER in document.translate(_DIGITS_TO_0) else value
    except orjson.JSONDecodeError as error:
        raise NotJson(start + _byte_offset(document, error.pos)) from None
    except (RecursionError, ValueError):  # Too deep, or an integer of more than 4,300 digits.
        raise NotJson(start) from None


def _byte_offset(document: bytes, position: int) -> int:
    """The byte at which the character `position` begins, or the first one that is not UTF-8."""
    try:
        return len(document.decode()[:position].encode())
    except UnicodeDecodeError as error:
        return error.start
