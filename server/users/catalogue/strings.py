"""What a string looks like, without any of its value."""

import re
from ipaddress import IPv6Address
from typing import Final, NamedTuple

SHORT: Final = 64
"""The characters of a short text, and of a key that is listed."""

_EXAMINED: Final = 2048
"""The characters of a string whose form is examined. A longer one is a long text."""

_CODE: Final = 24
_ID_DIGITS: Final = 5
"""Digits in a key from which it is taken for an id."""

_BYTE: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|\d\d?)"
_FORMS: Final = re.compile(
    rf"""
    (?P<ip_address>{_BYTE}(?:\.{_BYTE}){{3}})
    |(?P<email_address>[^\s@"<>]{{1,64}}@[^\s@]{{1,255}}\.[^\s@.]{{1,63}})
    |(?P<url>[a-z][a-z0-9+.-]{{0,31}}://\S+)
    |(?P<uuid>[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})
    |(?P<date>\d{{4}}-\d\d-\d\d)
    |(?P<time>\d{{4}}-\d\d-\d\d[t\ ]\d\d:\d\d(?::\d\d(?:\.\d{{1,9}})?)?\ ?(?:z|utc|[+-]\d\d:?\d\d)?)
    |(?P<phone_number>\+\d(?:[\ ().-]{{0,2}}\d){{6,14}})
    |(?P<hexadecimal>(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{{16,}})
    |(?P<code>(?=[a-z_./:\#-]*\d)[a-z0-9]+(?:[-_./:\#][a-z0-9]+)*)
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_IPV6: Final = re.compile(r"[0-9a-fA-F:.]{2,45}")
_PATTERN: Final = {code: "9" if chr(code).isdigit() else "a" if chr(code).islower() else "A" for code in range(128)} | {
    ord(separator): separator for separator in "-_./:#"
}
_IN_KEYS: Final = frozenset(
    {"digits", "ip_address", "email_address", "url", "uuid", "date", "time", "phone_number", "hexadecimal"}
)


class Shape(NamedTuple):
    """A shape of strings. The proto describes the kinds. `length` is 0, and `pattern` empty, where it has none."""

    kind: str
    length: int = 0
    pattern: str = ""

    @property
    def general(self) -> "Shape":
        """The shape of all strings of this kind."""
        return Shape(self.kind)


_EMPTY: Final = Shape("empty")
_SHORT_TEXT: Final = Shape("short_text")
_LONG_TEXT: Final = Shape("long_text")
_IP_ADDRESS: Final = Shape("ip_address")


def shape_of(text: str) -> Shape:
    """The shape of a string. The time that this takes does not depend on its length."""
    length = len(text)
    if length > _EXAMINED:
        return _LONG_TEXT
    if not length:
        return _EMPTY
    plain = _SHORT_TEXT if length <= SHORT else _LONG_TEXT
    if text.isalpha():
        # No form has letters alone, but for hexadecimal digits, which need a digit.
        return plain
    if text.isdecimal() and text.isascii():
        return Shape("digits", length)
    if text.count(":") > 1 and _is_ipv6(text):
        return _IP_ADDRESS
    form = _FORMS.fullmatch(text)
    kind = form.lastgroup if form else None
    if kind == "code":
        return Shape(kind, 0, text.translate(_PATTERN)) if length <= _CODE else plain
    if kind is None:
        return plain
    return Shape(kind, length if kind == "hexadecimal" else 0)


def is_personal(key: str) -> bool:
    """Whether a key looks like an id, an address, a number or a date, rather than the name of a field."""
    if len(key) > SHORT or "@" in key:
        return True
    if key.isalpha():
        return False
    return shape_of(key).kind in _IN_KEYS or sum(map(str.isdigit, key)) >= _ID_DIGITS


def _is_ipv6(text: str) -> bool:
    if not _IPV6.fullmatch(text):
        return False
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
