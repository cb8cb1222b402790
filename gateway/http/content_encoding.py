"""Inflates the body of a request, up to a limit."""

import zlib
from collections.abc import Iterator
from typing import Final

OBJECT_BYTES: Final = 1024 * 1024
"""The limit of a body with one object, both as it is sent and inflated."""

ARRAY_BYTES: Final = 12 * 1024 * 1024
"""The same for an array of items, each of which has its own result."""

LIST_BYTES: Final = 4 * 1024 * 1024
"""The same for an object with a list of ids: 1,000 of 512 bytes, every byte escaped."""

SLICE: Final = 256 * 1024
"""The limit of bytes that are inflated in one step."""

_GZIP = 31  # In zlib: a gzip header, and any window size.
_PIECE = 64 * 1024
_MEMBERS_LIMIT = 1000  # Each needs a new inflater: without a limit, 12 MiB of empty members would take seconds.


class BodyError(Exception):
    """The body cannot be read. `reason` is the reason of the refusal."""

    reason: str


class BodyTooLarge(BodyError):
    """The inflated body is larger than the limit."""

    reason = "BODY_TOO_LARGE"


class UnsupportedEncoding(BodyError):
    """The Content-Encoding is neither gzip nor identity."""

    reason = "UNSUPPORTED_CONTENT_ENCODING"


class CorruptBody(BodyError):
    """The body is not a complete gzip stream."""

    reason = "BODY_NOT_GZIP"


def slices(body: bytes, content_encoding: bytes | None, limit: int) -> Iterator[bytes]:
    """The body in pieces, decoded by its Content-Encoding, a comma-separated list. A step inflates at most SLICE bytes.

    Raises a BodyError.
    """
    if content_encoding is None or not _is_gzip(content_encoding):
        yield body
        return
    inflater = Inflater(limit)
    yield from inflater.slices(body)
    inflater.finish()


class Inflater:
    """Inflates a gzip stream of one or more members (RFC 1952), piece by piece, up to `limit` bytes in total."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inflated = 0
        self._members = 0
        self._has_more = False
        self._member: "zlib._Decompress | None" = None  # noqa: UP037  # The name exists for type checkers only.

    def inflate(self, data: bytes) -> bytes:
        """The inflated bytes of the next piece of the stream. Raises BodyTooLarge or CorruptBody."""
        return b"".join(self.slices(data))

    def slices(self, data: bytes) -> Iterator[bytes]:
        """The same, in pieces of at most SLICE bytes."""
        for start in range(0, len(data), _PIECE):
            yield from self._slices_of_piece(data[start : start + _PIECE])

    def finish(self) -> None:
        """Raises CorruptBody if the last member is incomplete."""
        if self._member is not None:
            raise CorruptBody

    def _slices_of_piece(self, piece: bytes) -> Iterator[bytes]:
        while piece or (self._member is not None and self._has_more):
            if self._member is None:
                # Some writers pad the end with zeros, which readers ignore.
                piece = piece.lstrip(b"\0") if self._members else piece
                if not piece:
                    return
                self._members += 1
                if self._members > _MEMBERS_LIMIT:
                    raise CorruptBody
                self._member = zlib.decompressobj(_GZIP)
            try:
                output = self._member.decompress(piece, min(SLICE, self._limit - self._inflated + 1))
            except zlib.error:
                raise CorruptBody from None
            self._inflated += len(output)
            if self._inflated > self._limit:
                raise BodyTooLarge
            # After a full slice, the inflater may have more output, even with no input left.
            self._has_more = len(output) == SLICE
            piece = self._member.unused_data or self._member.unconsumed_tail
            if self._member.eof:
                self._member = None
            yield output


def _is_gzip(content_encoding: bytes) -> bool:
    names = content_encoding.decode("latin-1").lower().split(",")
    codings = [coding for each in names if (coding := each.strip()) not in ("", "identity")]
    if codings and codings not in (["gzip"], ["x-gzip"]):
        raise UnsupportedEncoding
    return bool(codings)
