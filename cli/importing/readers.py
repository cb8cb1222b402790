"""Readers of the three formats: from the bytes of a file to its rows, one at a time, each of bounded size.

A reader updates its `digest` with every row that it yields, so that a later run can tell whether the rows before a
position are still the same.
"""

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator
from typing import Any, Final

from cli.failures import CommandFailed
from cli.importing.array_scanner import ArrayScanner
from cli.importing.rows import ROW_BYTES, TOO_LARGE, Refusal, Row

_CHUNK: Final = 64 * 1024
_DELIMITERS: Final = ",;\t"
_WRONG_COLUMNS: Final = Refusal("WRONG_COLUMNS", "The row has not as many cells as the header.")
_NOT_UTF8: Final = Refusal("NOT_UTF8", "The row is not UTF-8.")


class JsonLinesReader:
    """One JSON object a line. Blank lines are no rows."""

    def __init__(self, stream: "io.BufferedReader[Any]") -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[Row]:
        number = 0
        while line := self._stream.readline(ROW_BYTES + 1):
            number += 1
            self.digest.update(line)
            if len(line) > ROW_BYTES:
                while not line.endswith(b"\n") and (line := self._stream.readline(_CHUNK)):
                    self.digest.update(line)
                yield Row(number, b"", TOO_LARGE)
                continue
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if text := line.strip():
                yield Row(number, text)


class JsonArrayReader:
    """The items of one JSON array."""

    def __init__(self, stream: "io.BufferedReader[Any]") -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[Row]:
        scanner = ArrayScanner(ROW_BYTES)
        number = 0
        while chunk := self._stream.read(_CHUNK):
            for item in scanner.items(chunk):
                number += 1
                self.digest.update(item or b"")
                self.digest.update(b",")
                yield Row(number, b"", TOO_LARGE) if item is None else Row(number, item)
        scanner.end()


class CsvReader:
    """Records of CSV below a header, whose cells are in `header`. Blank lines are no rows.

    Quoting is that of RFC 4180. A quotation mark in another place ends the import, as nobody can tell where the next
    row begins. Raises CommandFailed for it, and where there is no header.
    """

    def __init__(self, stream: "io.BufferedReader[Any]", delimiter: str | None = None) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self._size = 0
        self._is_utf8 = True
        self._number = 0
        # A record may be one cell. The default is 128 KiB.
        csv.field_size_limit(ROW_BYTES)
        lines = self._lines()
        first = next(lines, "").removeprefix("\ufeff")
        is_utf8 = self._is_utf8
        self.delimiter = delimiter or max(_DELIMITERS, key=first.count)
        self._records = csv.reader(self._with(first, lines), delimiter=self.delimiter, strict=True)
        self.header = next(self._cells(), [])
        if not any(self.header) or not is_utf8:
            raise CommandFailed("the first line of a CSV file must be a header in UTF-8, with the names of the columns")

    def __iter__(self) -> Iterator[Row]:
        for cells in self._cells():
            if not cells:
                continue
            refusal = None
            if not self._is_utf8:
                refusal = _NOT_UTF8
            elif len(cells) != len(self.header):
                refusal = _WRONG_COLUMNS
            yield Row(self._number, cells, refusal)

    def _cells(self) -> Iterator[list[str]]:
        while True:
            self._size, self._is_utf8 = 0, True
            self._number += 1
            try:
                cells = next(self._records, None)
            except csv.Error:
                raise CommandFailed(
                    f"row {self._number}: a quotation mark is in a place where CSV has none, or the one that ends a"
                    " cell is missing. Nothing from this row on was imported: mend it and run the import again"
                ) from None
            if cells is None:
                return
            yield cells

    def _lines(self) -> Iterator[str]:
        while line := self._stream.readline(ROW_BYTES + 1):
            self._size += len(line)
            if self._size > ROW_BYTES:
                raise CommandFailed(
                    f"row {max(self._number, 1)} is longer than {ROW_BYTES:,} bytes, or a quotation mark is missing in"
                    " it. Nothing from this row on was imported"
                )
            self.digest.update(line)
            try:
                yield line.decode()
            except UnicodeDecodeError:
                self._is_utf8 = False
                # Nothing of the row is lost where it is written into the file of refused rows.
                yield line.decode(errors="surrogateescape")

    @staticmethod
    def _with(first: str, lines: Iterator[str]) -> Iterator[str]:
        yield first
        yield from lines
