"""The bytes of a request's body, inflated up to a limit."""

import zlib
from collections.abc import Iterator
from typing import Final

OBJECT_BYTES: Final = 1024 * 1024
"""The most that a body with one object may have, before and after inflating."""

ARRAY_BYTES: Final = 12 * 1024 * 1024
"""The same for an array of many items, each of which has its own result."""

LIST_BYTES: Final = 4 * 1024 * 1024
"""The same for an object with a list of ids: 1,000 of 512 bytes, each byte escaped."""

_GZIP = 31  # zlib's name for "a gzip header, and any window".
SLICE: Final = 256 * 1024
"""The most bytes that are inflated in one go, in about 1 ms."""

_PIECE = 64 * 1024
_MOST_MEMBERS = 1000  # Each costs a new inflater: without a limit, 12 MiB of empty members would cost seconds.


class BodyError(Exception):
    """The body cannot be read. `reason` is that of the refusal."""

    reason: str


class BodyTooLarge(BodyError):
    """The body, inflated, has more bytes than the limit."""

    reason = "BODY_TOO_LARGE"


class UnsupportedEncoding(BodyError):
    """The Content-Encoding is neither gzip nor identity."""

    reason = "UNSUPPORTED_CONTENT_ENCODING"


class CorruptBody(BodyError):
    """The body is no whole gzip stream."""

    reason = "BODY_NOT_GZIP"


def slices(body: bytes, content_encoding: bytes | None, limit: int) -> Iterator[bytes]:
    """The body without its Content-Encoding, a list by commas, in pieces. At most SLICE bytes are inflated for each.

    Raises a BodyError.
    """
    if content_encoding is None or not _is_gzip(content_encoding):
        yield body
        return
    inflater = Inflater(limit)
    yield from inflater.slices(body)
    inflater.finish()


class Inflater:
    """Inflates a gzip stream of one or more members (RFC 1952), piece by piece, up to `limit` bytes in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inflated = 0
        self._members = 0
        self._has_more = False
        self._member: "zlib._Decompress | None" = None  # noqa: UP037  # The name exists for type checkers only.

    def inflate(self, data: bytes) -> bytes:
        """What the next bytes of the stream add. Raises BodyTooLarge or CorruptBody."""
        return b"".join(self.slices(data))

    def slices(self, data: bytes) -> Iterator[bytes]:
        """The same in pieces of at most SLICE bytes."""
        for start in range(0, len(data), _PIECE):
            yield from self._slices_of_piece(data[start : start + _PIECE])

    def finish(self) -> None:
        """Raises CorruptBody if the stream ended before its last member did."""
        if self._member is not None:
            raise CorruptBody

    def _slices_of_piece(self, piece: bytes) -> Iterator[bytes]:
        while piece or (self._member is not None and self._has_more):
            if self._member is None:
                # Some writers pad the end with zeros, and RFC 1952 readers let that pass.
                piece = piece.lstrip(b"\0") if self._members else piece
                if not piece:
                    return
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise CorruptBody
                self._member = zlib.decompressobj(_GZIP)
            try:
                output = self._member.decompress(piece, min(SLICE, self._limit - self._inflated + 1))
            except zlib.error:
                raise CorruptBody from None
            self._inflated += len(output)
            if self._inflated > self._limit:
                raise BodyTooLarge
            # Behind a full slice there may be more in the inflater, with nothing left to give to it.
            self._has_more = len(output) == SLICE
            piece = self._member.unused_data or self._member.unconsumed_tail
            if self._member.eof:
                self._member = None
            yield output


def _is_gzip(content_encoding: bytes) -> bool:
    named = content_encoding.decode("latin-1").lower().split(",")
    codings = [coding for each in named if (coding := each.strip()) not in ("", "identity")]
    if codings and codings not in (["gzip"], ["x-gzip"]):
        raise UnsupportedEncoding
    return bool(codings)
