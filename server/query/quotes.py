"""Quoted strings in a filter. Escapes are those of JSON, and `\\'` and `\\*`."""

import re
from typing import Final

_HEX: Final = "[0-9a-fA-F]"
# Without lone surrogates.
_CODE: Final = rf"u(?:(?![dD][89a-fA-F]){_HEX}{{4}}|[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})"
_ESCAPE: Final = rf"""\\(?:["'*\\\/bfnrt]|{_CODE})"""
_CHARACTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

QUOTED: Final = rf""""(?:[^"\\]|{_ESCAPE})*"|'(?:[^'\\]|{_ESCAPE})*\'"""
"""The regular expression of a string in double or single quotes. Lark requires that slashes in it are escaped."""


def unquoted(quoted: str) -> str:
    """The string of a quoted one, which QUOTED matches."""
    text = quoted[1:-1]
    if "\\" not in text:
        return text
    text = re.sub(r"\\(?:u(.{4})|(.))", _unescaped, text)
    # Two escapes form a character beyond U+FFFF.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def wildcard_in(quoted: str) -> int | None:
    """The index of the first `*` that is not escaped, or None."""
    marks = re.finditer(r"\\.|\*", quoted)
    return next((mark.start() for mark in marks if mark[0] == "*"), None)


def _unescaped(escape: re.Match[str]) -> str:
    code, character = escape.groups()
    return chr(int(code, 16)) if code else _CHARACTERS.get(character, character)
