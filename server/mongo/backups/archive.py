"""The format of a backup: one gzip stream of BSON documents, each as long as its first four bytes say.

- First `{"userfold_backup": 1, "created_time": DATE, "least": N}`, where N is the version of the oldest program that
  can serve the documents.
- Any number of slices: `{"collection": NAME, "documents": N}`, then N documents as they were stored.
- Last `{"documents": N, "sha256": BYTES}`: the number of stored documents, and the digest of all bytes before this
  document. A file without it was truncated.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Final

from bson import DEFAULT_CODEC_OPTIONS, decode, encode
from bson.errors import BSONError

from server.errors import BackupFailed

FORMAT: Final = 1
_LONGEST = 17 * 1024 * 1024
_OPTIONS: Final = DEFAULT_CODEC_OPTIONS.with_options(tz_aware=True)


class ArchiveWriter:
    """Writes a backup to a file, a slice at a time."""

    def __init__(self, file: IO[bytes], header: Mapping[str, Any]) -> None:
        # MongoDB keeps a snapshot for a limited time, so compression must be fast.
        self._gzip = gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1)
        self._digest = hashlib.sha256()
        self._documents = 0
        self._write(encode({"userfold_backup": FORMAT, **header}))

    def add(self, collection: str, documents: Sequence[bytes]) -> None:
        """Add encoded documents of a collection."""
        self._write(encode({"collection": collection, "documents": len(documents)}), *documents)
        self._documents += len(documents)

    def close(self) -> None:
        """Write the last document. Without it, the file is no backup."""
        self._write(encode({"documents": self._documents, "sha256": self._digest.digest()}))
        self._gzip.close()

    def _write(self, *documents: bytes) -> None:
        for document in documents:
            self._digest.update(document)
            self._gzip.write(document)


class ArchiveReader:
    """Reads a backup. `header` is its first document. All methods raise BackupFailed for an incomplete file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._gzip = gzip.GzipFile(fileobj=file, mode="rb")
        self._digest = hashlib.sha256()
        self.header = self._decoded(self._next())
        if self.header.get("userfold_backup") != FORMAT:
            raise BackupFailed("this is no backup, or one of another format")

    def slices(self) -> Iterator[tuple[str, Sequence[bytes]]]:
        """The slices: a collection and some of its encoded documents. Only the end verifies the checksum."""
        total = 0
        while True:
            digest = self._digest.digest()
            header = self._decoded(self._next())
            if "collection" not in header:
                break
            yield header["collection"], [self._next() for _ in range(header["documents"])]
            total += header["documents"]
        if (header.get("documents"), header.get("sha256")) != (total, digest) or self._read(1):
            raise BackupFailed("the backup is damaged: its checksum is another one")

    def _next(self) -> bytes:
        head = self._read(4)
        length = int.from_bytes(head, "little")
        if not 5 <= length <= _LONGEST:
            raise BackupFailed("this is no backup, or the file was cut off or damaged")
        rest = self._read(length - 4)
        if len(rest) != length - 4:
            raise BackupFailed("the backup was cut off")
        self._digest.update(head)
        self._digest.update(rest)
        return head + rest

    def _read(self, count: int) -> bytes:
        try:
            return self._gzip.read(count)
        except (EOFError, OSError, zlib.error) as error:
            raise BackupFailed("this is no backup, or the file was cut off or damaged") from error

    def _decoded(self, document: bytes) -> dict[str, Any]:
        try:
            decoded: dict[str, Any] = decode(document, codec_options=_OPTIONS)
        except BSONError as error:
            raise BackupFailed("this is no backup, or the file was damaged") from error
        return decoded
