"""The bytes of a file or of stdin, inflated where they are gzip, and the format that they are in."""

import codecs
import fcntl
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cli.failures import CommandFailed, ExitStatus

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"
_BUFFER: Final = 256 * 1024
_PEEKED: Final = 4096


class Format(StrEnum):
    """How the rows of a file are written."""

    JSON_LINES = "jsonl"
    JSON = "json"
    CSV = "csv"


class _Counted(io.RawIOBase):
    """A raw stream that counts what was read."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        self.count += count or 0
        return count


class Source:
    """An open input. `stream` has its bytes, inflated; `size` is that of the file, or None where it is not known."""

    def __init__(self, raw: io.RawIOBase, size: int | None) -> None:
        self._counted = _Counted(raw)
        self.size = size
        plain = io.BufferedReader(self._counted, _BUFFER)
        is_gzip = plain.peek(len(_GZIP)).startswith(_GZIP)
        self.stream: io.BufferedReader[Any] = (
            io.BufferedReader(gzip.GzipFile(fileobj=plain), _BUFFER) if is_gzip else plain
        )

    @property
    def position(self) -> int:
        """The bytes that were read from the file."""
        return self._counted.count

    def format(self) -> Format:
        """The format, by the first bytes. Raises CommandFailed for text that is not UTF-8."""
        with readable():
            start = self.stream.peek(_PEEKED)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise CommandFailed("the file is in UTF-16: save it in UTF-8", ExitStatus.USAGE)
        first = start.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        return {b"[": Format.JSON, b"{": Format.JSON_LINES}.get(first, Format.CSV)


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """The input of this name, or stdin for `-`. Raises CommandFailed where another import reads the file."""
    # Not the reader of `sys.stdin`, on whose lock the end of the process would wait.
    with open(0 if name == STDIN else name, "rb", buffering=0, closefd=name != STDIN) as raw:
        size = None
        if name != STDIN:
            size = os.fstat(raw.fileno()).st_size if Path(name).is_file() else None
            try:
                fcntl.flock(raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandFailed(f"another import reads {name}: wait for its end") from None
        with readable():
            source = Source(raw, size)
        yield source


@contextmanager
def readable() -> Iterator[None]:
    """Raise CommandFailed in place of an error of gzip."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise CommandFailed("the gzip data is damaged, or its end is missing") from None
