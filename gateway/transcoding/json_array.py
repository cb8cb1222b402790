"""Finds the items of a large JSON array without parsing it.

A parser makes an object of every `[]`, of which 12 MiB hold four million. Here a regular expression scans the bytes in
short windows. It finds where each item begins and ends, and how many values it has at most. So each item can be parsed
alone, and one that is too large can be refused unparsed.
"""

import codecs
import re
from array import array
from collections.abc import Iterator
from typing import Final, cast

from gateway.http import content_encoding
from gateway.transcoding.json_parser import NotJson

WINDOW: Final = 8 * 1024
"""Bytes that are scanned in one step."""

VALUES: Final = 25_000
"""The limit of brackets and commas in one item: the 10,000 values of an update, each of which may be an empty
container, and the object around them."""

ITEM_BYTES: Final = 4 * 1024 * 1024
"""The limit of one item: the size of an update that the server takes."""

LEVELS: Final = 1000
"""The limit of nested containers; that of the parser is 1,024."""

ITEMS: Final = content_encoding.ARRAY_BYTES // len(b'{"userId":1},')
"""The limit of items: as many of the shortest updates as fit into a body."""

# A string. Where the window holds only its beginning, group 1 matches the rest, which is empty or a backslash. Nothing
# else matches at a quotation mark, and no quantifier backtracks: it takes linear time.
_STRING_END = rb'[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|(\\?)\Z)'
_TOKEN = re.compile(rb'"' + _STRING_END + rb"|[\[\]{},]", re.DOTALL)
_REST_OF_STRING = re.compile(_STRING_END, re.DOTALL)
_BLANK = re.compile(rb"[ \t\r\n]*+")
_SMALL_BYTES = 64 * 1024


class NotAnArray(Exception):
    """The JSON text is no array."""


class TooManyItems(Exception):
    """The array has more than ITEMS items."""


class JsonArray:
    """Where the items of a JSON array are in its text, after `windows` has been exhausted.

    `starts` and `ends` are offsets in the text. `flaws` are the reasons why items must not be parsed, by their indexes.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.starts = array("I")
        self.ends = array("I")
        self.flaws: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.ends)

    def item(self, index: int) -> bytes:
        """The JSON text of an item."""
        return self.text[self.starts[index] : self.ends[index]]

    def windows(self) -> Iterator[None]:
        """Scan the text, one window in each step. Raises NotAnArray, TooManyItems, or NotJson for its structure."""
        text = self.text
        start = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
        position = _after_blanks(text, start)
        if text[position : position + 1] != b"[":
            raise NotAnArray
        depth = deepest = values = begin = 0
        is_in_string = has_ended = False
        while position < len(text):
            end = min(position + WINDOW, len(text))
            if is_in_string:
                rest = _matched(_REST_OF_STRING, text, position, end)
                is_in_string = rest.lastindex is not None
                position = end - len(rest[1]) if is_in_string else rest.end()
                if is_in_string:
                    if end == len(text):
                        break
                    yield
                    continue
            for token in _TOKEN.finditer(text, position, end):
                at = token.start()
                character = text[at]
                if has_ended:
                    raise NotJson(at)
                if character == 0x22:
                    if token.lastindex is not None:
                        is_in_string = True
                        end -= len(token[1])
                elif character == 0x2C:
                    if depth == 1:
                        self._add(begin, at, values, deepest)
                        begin, values, deepest = at + 1, 0, 0
                    else:
                        values += 1
                elif character in b"[{":
                    depth += 1
                    values += 1
                    deepest = max(deepest, depth)
                    if depth == 1:
                        begin, values, deepest = at + 1, 0, 0
                else:
                    depth -= 1
                    if depth == 0:
                        if character != 0x5D:
                            raise NotJson(at)
                        if self.ends or _after_blanks(text, begin) < at:
                            self._add(begin, at, values, deepest)
                        has_ended, begin = True, at + 1
            position = end
            yield
        if not has_ended or is_in_string:
            raise NotJson(len(text))
        if (trailing := _after_blanks(text, begin)) < len(text):
            raise NotJson(trailing)

    def _add(self, start: int, end: int, values: int, deepest: int) -> None:
        start = _after_blanks(self.text, start)
        if start >= end:
            raise NotJson(end)
        if len(self.ends) == ITEMS:
            raise TooManyItems
        if values > VALUES:
            self.flaws[len(self.ends)] = "TOO_MANY_VALUES"
        elif end - start > ITEM_BYTES:
            self.flaws[len(self.ends)] = "TOO_LARGE"
        elif deepest > LEVELS:
            self.flaws[len(self.ends)] = "TOO_DEEP"
        self.starts.append(start)
        self.ends.append(end)


def has_too_many_values(text: bytes) -> bool:
    """Whether a JSON text has more than VALUES brackets and commas outside its strings."""
    if len(text) <= _SMALL_BYTES or sum(map(text.count, (b",", b"[", b"{"))) <= VALUES:
        return False
    values = 0
    for token in _TOKEN.finditer(text):
        if text[token.start()] in b",[{":
            values += 1
            if values > VALUES:
                return True
    return False


def _after_blanks(text: bytes, start: int) -> int:
    return _matched(_BLANK, text, start, len(text)).end()


def _matched(expression: re.Pattern[bytes], text: bytes, start: int, end: int) -> re.Match[bytes]:
    """The match of an expression that matches at every position."""
    return cast("re.Match[bytes]", expression.match(text, start, end))
