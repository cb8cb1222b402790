"""How keys of metadata are stored: reversibly escaped, so that MongoDB treats each as one ordinary field name.

MongoDB gives a meaning to field names that are empty, consist of digits, start with `$` or contain `.`, and BSON does
not allow NUL in one. No stored key is any of these.
"""

from typing import cast

from server.model import JsonObject

_EMPTY = "%"


# `replace` is much faster than a regular expression for a key of mebibytes.
def escape_key(key: str) -> str:
    """The stored form of a key, which is at most three times as long."""
    if key.isidentifier():
        return key
    if not key:
        return _EMPTY
    if (key.isascii() and key.isdigit()) or key[0] == "$":
        return f"%{ord(key[0]):02X}{_escaped(key[1:])}"
    return _escaped(key)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace(".", "%2E").replace("\0", "%00")


def unescape_key(stored: str) -> str:
    """The inverse of `escape_key`."""
    if "%" not in stored:
        return stored
    if stored == _EMPTY:
        return ""
    first = ""
    if stored[0] == "%" and (stored[1] == "3" or stored[1:3] == "24"):
        first, stored = chr(int(stored[1:3], 16)), stored[3:]
    # Every `%` of the original key is `%25`, so no earlier replacement spans two escapes.
    return first + stored.replace("%2E", ".").replace("%00", "\0").replace("%25", "%")


def unescape_object(value: JsonObject) -> JsonObject:
    """A stored object with all keys unescaped."""
    return cast(JsonObject, _unescape_value(value))


def _unescape_value(value: object) -> object:
    if isinstance(value, dict):
        return {unescape_key(key): _unescape_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unescape_value(item) for item in value]
    return value
