"""Finds the items of a JSON array in chunks of its text, without parsing them and without holding more than one."""

import re
from collections.abc import Iterator
from typing import Final, cast

from cli.failures import CommandFailed

# A string. Where the chunk holds only its beginning, group 1 is empty, and a backslash at the end is left over. No
# quantifier backtracks.
_STRING_END: Final = rb'[^"\\]*+(?:\\.[^"\\]*+)*+("?)'
_TOKEN: Final = re.compile(rb'"' + _STRING_END + rb"|[\[\]{},]", re.DOTALL)
_REST_OF_STRING: Final = re.compile(_STRING_END, re.DOTALL)
_BLANKS: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"


class ArrayScanner:
    """Scans one array. Items beyond `limit` bytes are dropped while they are read.

    Its methods raise CommandFailed where the text is no array. Items that were found until then are items of it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._item = bytearray()
        self._is_too_large = False
        self._has_item = False
        """A comma was read, so that another item must follow."""
        self._depth = 0
        self._has_begun = self._has_ended = self._is_in_string = False
        self._left_over = b""
        self._scanned = 0

    def items(self, chunk: bytes) -> Iterator[bytes | None]:
        """The items that end in the next chunk of the text; None for one that is too large."""
        text = self._left_over + chunk
        begin = position = 0
        self._left_over = b""
        if not self._has_begun:
            begin = position = self._opened(text)
        if self._is_in_string:
            position = self._end_of_string(cast("re.Match[bytes]", _REST_OF_STRING.match(text, position)))
        if not self._is_in_string:
            for token in _TOKEN.finditer(text, position):
                at, character = token.start(), text[token.start()]
                if self._has_ended:
                    raise self._malformed(at)
                if character == 0x22:  # A quotation mark.
                    self._end_of_string(token)
                elif character == 0x2C:  # A comma.
                    if self._depth == 1:
                        yield self._taken(text[begin:at])
                        begin, self._has_item = at + 1, True
                elif character in b"[{":
                    self._depth += 1
                else:
                    self._depth -= 1
                    if self._depth == 0:
                        if character != 0x5D:  # A square bracket.
                            raise self._malformed(at)
                        item = self._taken(text[begin:at])
                        if item != b"" or self._has_item:
                            yield item
                        begin, self._has_ended = at + 1, True
        end = len(text) - len(self._left_over)
        if self._has_ended:
            if text[begin:end].strip(_BLANKS):
                raise self._malformed(begin)
        else:
            self._add(text[begin:end])
        self._scanned += end

    def end(self) -> None:
        """Say that the text has ended."""
        if not self._has_ended:
            raise CommandFailed("the end of the JSON array is missing: the last row in the file was not imported")

    def _opened(self, text: bytes) -> int:
        """Where the items begin."""
        start = len(text) - len(text.removeprefix(_BOM).lstrip(_BLANKS))
        if text[start : start + 1] != b"[":
            raise self._malformed(start)
        self._has_begun, self._depth = True, 1
        return start + 1

    def _end_of_string(self, match: "re.Match[bytes]") -> int:
        self._is_in_string = not match[1]
        if self._is_in_string:
            self._left_over = match.string[match.end() :]
        return match.end()

    def _add(self, part: bytes) -> None:
        if len(self._item) + len(part) > self._limit:
            self._is_too_large = True
        if self._is_too_large:
            self._item.clear()
        else:
            self._item += part

    def _taken(self, part: bytes) -> bytes | None:
        self._add(part)
        item = None if self._is_too_large else bytes(self._item).strip(_BLANKS)
        self._item.clear()
        self._is_too_large = False
        return item

    def _malformed(self, at: int) -> CommandFailed:
        return CommandFailed(f"the file is no JSON array from byte {self._scanned + at} on: mend it and run it again")
