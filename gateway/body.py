"""The bytes of a request's body: read with a limit, and inflated with the same limit."""

import asyncio
import zlib
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Receive

OBJECT_BYTES: Final = 1024 * 1024
"""The most that a body with one object may have, before and after inflating."""

ARRAY_BYTES: Final = 12 * 1024 * 1024
"""The most that a body with an array may have, before and after inflating."""

_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0
_GZIP = 31  # zlib's name for "a gzip header, and any window".
_PIECE = 64 * 1024
_MOST_MEMBERS = 1000  # Each costs a new inflater: without a limit, 12 MiB of empty members would cost seconds.


class BodyTooLarge(Exception):
    """The body, as sent or inflated, has more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class UnsupportedEncoding(Exception):
    """The Content-Encoding is neither gzip nor identity."""


class CorruptBody(Exception):
    """The body is no whole gzip stream."""


class ClientGone(Exception):
    """The connection was lost before the whole body had arrived."""


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The whole body, inflated. Raises the exceptions above.

    A body that is too large is read on for a while, and thrown away: a client that is still sending could not receive
    the answer. Content-Type is never looked at.
    """
    inflater = _inflater(headers, limit)
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        if "expect" not in headers:
            await _drain(receive)
        raise BodyTooLarge(limit)
    body = bytearray()
    arrived = 0
    more = True
    while more:
        chunk, more = await _next_chunk(receive)
        arrived += len(chunk)
        try:
            if arrived > limit:
                raise BodyTooLarge(limit)
            body += inflater.inflate(chunk) if inflater else chunk
        except BodyTooLarge:
            if more:
                await _drain(receive)
            raise
    if inflater and arrived:
        inflater.finish()
    return bytes(body)


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
                raise BodyTooLarge(self._limit)
            inflated += output
            piece = self._member.unused_data
            if self._member.eof:
                self._member = None


def _inflater(headers: Headers, limit: int) -> Inflater | None:
    if "content-encoding" not in headers:
        return None
    named = ",".join(headers.getlist("content-encoding")).lower().split(",")
    codings = [coding for each in named if (coding := each.strip()) not in ("", "identity")]
    if not codings:
        return None
    if codings in (["gzip"], ["x-gzip"]):
        return Inflater(limit)
    raise UnsupportedEncoding


async def _next_chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


async def _drain(receive: Receive) -> None:
    drained = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            more = True
            while more and drained < _DRAIN_BYTES:
                chunk, more = await _next_chunk(receive)
                drained += len(chunk)
    except (TimeoutError, ClientGone):
        return
