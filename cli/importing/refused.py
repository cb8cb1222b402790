"""The file of refused rows: each as it was, with the reason, so that it can be mended and imported again."""

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, TypeAlias

import orjson

from cli.failures import CommandFailed
from cli.importing import columns, updates
from cli.importing.rows import Refusal, Row
from gateway.transcoding import json_parser

Encode: TypeAlias = Callable[[Row, Refusal], bytes]
"""The line of a refused row in the file."""


class RefusedFile:
    """The file, which only its owner can read. It is made with its first row.

    `start` is the size until which an earlier run has written it: what is behind it is written again. Raises
    CommandFailed where there is a file that no earlier run has written.
    """

    def __init__(self, path: Path, encode: Encode, header: bytes = b"", start: int = 0) -> None:
        self.path = path
        self._encode = encode
        self._header = header
        self._file: IO[bytes] | None = None
        self.size = 0
        if start:
            try:
                self._file = path.open("r+b")
            except FileNotFoundError:
                raise CommandFailed(
                    f"{path}, in which an earlier run wrote refused rows, is not there any more"
                ) from None
            self._file.truncate(start)
            self._file.seek(start)
            self.size = start

    def require_none(self) -> None:
        """Raise CommandFailed where a file of another import would be overwritten."""
        if self._file is None and self.path.exists():
            raise CommandFailed(f"{self.path} exists already: move it away, or name another file with --refused")

    def add(self, row: Row, refusal: Refusal) -> None:
        """Add a row."""
        if self._file is None:
            # A run that was killed before it saved its position may have left one: only this run's rows count.
            self._file = open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # noqa: SIM115
            self.size += self._file.write(self._header)
        self.size += self._file.write(self._encode(row, refusal))

    def flush(self) -> None:
        """Bring what was added to the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def as_json_line(row: Row, refusal: Refusal) -> bytes:
    """A row as a JSON object with the member `refused`. A row that is no object is the text in it."""
    described: dict[str, Any] = {"row": row.number, "reason": refusal.reason, "message": refusal.message}
    if refusal.fields:
        described["fields"] = [asdict(each) for each in refusal.fields]
    text = bytes(row.original) if isinstance(row.original, bytes) else b""
    members = _without_refused(text)
    if members is None:
        described[updates.TEXT] = text.decode(errors="replace")
    refused = orjson.dumps({updates.REFUSED: described})
    # The text of the row stays as it is, with every digit.
    return (refused[:-1] + b"," + members[1:] if members else refused) + b"\n"


def _without_refused(text: bytes) -> bytes | None:
    """The JSON text of an object without the member `refused`; empty for no members, and None if it is no object."""
    try:
        value = json_parser.parse(text)
    except json_parser.NotJson:
        return None
    if not isinstance(value, dict):
        return None
    if updates.REFUSED in value:
        del value[updates.REFUSED]
        text = json.dumps(value, ensure_ascii=False).encode()
    return text if value else b""


def as_csv(delimiter: str) -> Encode:
    """Encodes a row as CSV with the columns of `REFUSED` before its own."""

    def encode(row: Row, refusal: Refusal) -> bytes:
        first = refusal.fields[0] if refusal.fields else None
        reason, message = (first.reason, first.description) if first else (refusal.reason, refusal.message)
        described = [str(row.number), reason, first.field if first else "", message]
        cells = [] if isinstance(row.original, bytes) else row.original
        return csv_line([*described, *cells], delimiter)

    return encode


def csv_header(header: Sequence[str], delimiter: str) -> bytes:
    """The header of a file of refused rows."""
    return csv_line([*columns.REFUSED, *(name for name in header)], delimiter)


def csv_line(cells: Sequence[str], delimiter: str) -> bytes:
    """One record."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(cells)
    # Cells that are not UTF-8 are written as they were.
    return text.getvalue().encode(errors="surrogateescape")
