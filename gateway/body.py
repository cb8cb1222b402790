"""The bytes of a request's body, inflated up to a limit."""

import zlib
from typing import Final

OBJECT_BYTES: Final = 1024 * 1024
"""The most that a body with one object may have, before and after inflating."""

ARRAY_BYTES: Final = 12 * 1024 * 1024
"""The same for a body of many items, each of which has its own result."""

_GZIP = 31  # zlib's name for "a gzip header, and any window".
_PIECE = 64 * 1024
_MOST_MEMBERS = 1000  # Each costs a new inflater: without a limit, 12 MiB of empty members would cost seconds.


class BodyTooLarge(Exception):
    """The body, inflated, has more bytes than the limit."""


class UnsupportedEncoding(Exception):
    """The Content-Encoding is neither gzip nor identity."""


class CorruptBody(Exception):
    """The body is no whole gzip stream."""


def decoded_body(body: bytes, content_encoding: bytes | None, limit: int) -> bytes:
    """The body without its Content-Encoding, a list by commas. Raises the exceptions above."""
    if content_encoding is None or not _is_gzip(content_encoding):
        return body
    inflater = Inflater(limit)
    inflated = inflater.inflate(body)
    inflater.finish()
    return inflated


class Inflater:
    """Inflates a gzip stream of one or more members (RFC 1952), piece by piece, up to `limit` bytes in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inflated = 0
        self._members = 0
        self._member: "zlib._Decompress | None" = None  # noqa: UP037  # The name exists for type checkers only.

    def inflate(self, data: bytes) -> bytes:
        """What the next bytes of the stream add. Raises BodyTooLarge or CorruptBody."""
        inflated = bytearray()
        for start in range(0, len(data), _PIECE):
            self._inflate_piece(data[start : start + _PIECE], inflated)
        return bytes(inflated)

    def finish(self) -> None:
        """Raises CorruptBody if the stream ended before its last member did."""
        if self._member is not None:
            raise CorruptBody

    def _inflate_piece(self, piece: bytes, inflated: bytearray) -> None:
        while piece:
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
                output = self._member.decompress(piece, self._limit - self._inflated + 1)
            except zlib.error:
                raise CorruptBody from None
            self._inflated += len(output)
            if self._inflated > self._limit:
                raise BodyTooLarge
            inflated += output
            piece = self._member.unused_data
            if self._member.eof:
                self._member = None


def _is_gzip(content_encoding: bytes) -> bool:
    named = content_encoding.decode("latin-1").lower().split(",")
    codings = [coding for each in named if (coding := each.strip()) not in ("", "identity")]
    if codings and codings not in (["gzip"], ["x-gzip"]):
        raise UnsupportedEncoding
    return bool(codings)
