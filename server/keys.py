"""How a caller's keys are stored: escaped, reversibly, so that MongoDB takes each as one ordinary field name.

MongoDB gives a meaning to field names that are empty, all digits, start with `$`, or hold `.`; BSON cannot hold NUL in
one. No stored key is any of these.
"""

import re
from typing import cast

from server.model import JsonObject

_SPECIAL = re.compile(r"[%.\0]|^\$")
_ESCAPED = re.compile(r"%([0-9A-F]{2})")
_EMPTY = "%"


def escape_key(key: str) -> str:
    """The stored form of a caller's key."""
    if key.isidentifier():
        return key
    if not key:
        return _EMPTY
    if key.isascii() and key.isdigit():
        return f"%{ord(key[0]):02X}{key[1:]}"
    return _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", key)


def unescape_key(stored: str) -> str:
    """The caller's key of a stored one: the inverse of `escape_key`."""
    if "%" not in stored:
        return stored
    if stored == _EMPTY:
        return ""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), stored)


def unescape_object(value: JsonObject) -> JsonObject:
    """A stored object with every key in it as the caller wrote it."""
    return cast(JsonObject, _unescape_value(value))


def _unescape_value(value: object) -> object:
    if isinstance(value, dict):
        return {unescape_key(key): _unescape_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unescape_value(item) for item in value]
    return value
