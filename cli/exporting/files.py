"""Where an export is written: a new file, which appears when it is complete, or stdout."""

import gzip
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from cli.failures import CommandFailed, ExitStatus

STDOUT: Final = "-"
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Terminal(io.BytesIO):
    """A terminal, which must not obey what the values of users hold."""

    def write(self, data: Any) -> int:
        text = bytes(data).decode()
        print(_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text), end="")
        return len(data)


@contextmanager
def written(name: str, *, force: bool = False) -> Iterator[IO[bytes]]:
    """The file of this name, which only its owner can read, or stdout for `-`. What ends in `.gz` is gzip.

    The file has another name until the block has ended without an exception, and it is on the disk. Raises
    CommandFailed for a file that exists, unless `force`.
    """
    if name == STDOUT:
        if sys.stdout.isatty():
            yield _Terminal()
        else:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() and not force:
        raise CommandFailed(f"{path} exists already: --force replaces it", ExitStatus.USAGE)
    draft = path.with_name(f"{path.name}.partial")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            if path.suffix == ".gz":
                # Without the time and the name, so that equal users make equal files.
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
                    yield compressed  # type: ignore[misc]  # A writer of bytes.
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
