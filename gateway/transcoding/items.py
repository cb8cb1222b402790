"""The items of a long JSON array, found without parsing it.

A parser makes an object of every `[]`, of which 12 MiB hold four million. Here a regular expression goes over the bytes
in short windows, and finds where each item begins and ends, and how many values it has at most. So each item can be
parsed on its own, and one that is too large can be refused without being parsed.
"""

import codecs
import re
from array import array
from collections.abc import Iterator
from typing import Final, cast

from gateway.http import content_encoding
from gateway.transcoding.json_text import NotJson

WINDOW: Final = 8 * 1024
"""Bytes that are looked at in one slice: at most so many tokens, which take 2 ms, or 5 where each begins an item."""

VALUES: Final = 25_000
"""The most that an item may have of brackets and commas: the 10,000 values of an update, each of which may be an empty
container, and the rest of the object around them."""

ITEM_BYTES: Final = 4 * 1024 * 1024
"""The most that one item may have: what the server takes as one update."""

LEVELS: Final = 1000
"""Containers inside each other; the parser takes 1,024."""

ITEMS: Final = content_encoding.ARRAY_BYTES // len(b'{"userId":1},')
"""The most items of one array: as many as the shortest updates that a body holds. What has more is no batch of them."""

# A string, of which the window may hold no more than the beginning: then group 1 is what is behind it, empty or a
# backslash. Nothing else matches at a quotation mark, and no quantifier gives back: it takes linear time.
_STRING_END = rb'[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|(\\?)\Z)'
_TOKEN = re.compile(rb'"' + _STRING_END + rb"|[\[\]{},]", re.DOTALL)
_REST_OF_STRING = re.compile(_STRING_END, re.DOTALL)
_BLANK = re.compile(rb"[ \t\r\n]*+")
_SHORTEST = 64 * 1024


class NotAnArray(Exception):
    """The text begins with something else than an array."""


class TooManyItems(Exception):
    """The array has more than ITEMS items."""


class Items:
    """Where the items of a JSON array are in its text, once `windows` has come to its end.

    `starts` and `ends` are offsets in the text, `flaws` the reasons why an item must not be parsed, by its index.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.starts = array("I")
        self.ends = array("I")
        self.flaws: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.ends)

    def item(self, index: int) -> bytes:
        """The text of an item."""
        return self.text[self.starts[index] : self.ends[index]]

    def windows(self) -> Iterator[None]:
        """Look at the text, a window for each step. Raises NotAnArray, TooManyItems, or NotJson for its structure."""
        text = self.text
        start = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
        position = _behind_blanks(text, start)
        if text[position : position + 1] != b"[":
            raise NotAnArray
        depth = deepest = values = begin = 0
        is_within = is_over = False
        while position < len(text):
            end = min(position + WINDOW, len(text))
            if is_within:
                found = _matched(_REST_OF_STRING, text, position, end)
                is_within = found.lastindex is not None
                position = end - len(found[1]) if is_within else found.end()
                if is_within:
                    if end == len(text):
                        break
                    yield
                    continue
            for token in _TOKEN.finditer(text, position, end):
                at = token.start()
                character = text[at]
                if is_over:
                    raise NotJson(at)
                if character == 0x22:
                    if token.lastindex is not None:
                        is_within = True
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
                        if self.ends or _behind_blanks(text, begin) < at:
                            self._add(begin, at, values, deepest)
                        is_over, begin = True, at + 1
            position = end
            yield
        if not is_over or is_within:
            raise NotJson(len(text))
        if (rest := _behind_blanks(text, begin)) < len(text):
            raise NotJson(rest)

    def _add(self, start: int, end: int, values: int, deepest: int) -> None:
        start = _behind_blanks(self.text, start)
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
    if len(text) <= _SHORTEST or sum(map(text.count, (b",", b"[", b"{"))) <= VALUES:
        return False
    seen = 0
    for token in _TOKEN.finditer(text):
        if text[token.start()] in b",[{":
            seen += 1
            if seen > VALUES:
                return True
    return False


def _behind_blanks(text: bytes, start: int) -> int:
    return _matched(_BLANK, text, start, len(text)).end()


def _matched(expression: re.Pattern[bytes], text: bytes, start: int, end: int) -> re.Match[bytes]:
    """The match of an expression that matches everywhere."""
    return cast("re.Match[bytes]", expression.match(text, start, end))
