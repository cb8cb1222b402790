"""The part of HTTP/2 that a client needs to call one gRPC method repeatedly, at little CPU cost.

Every call has the same header block, and only the status of a response is read. The header table size is set to 0, so
header compression has no state and the status is a literal in the trailers.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

STREAM_REFUSED: Final = "stream refused"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _MAX_CONCURRENT_STREAMS, _INITIAL_WINDOW_SIZE = 1, 2, 3, 4
_REFUSED_STREAM = 7
_STATUS = re.compile(rb"grpc-status[\x01\x02](\d+)")
_MAX_WINDOW = 2**31 - 1
_INITIAL_WINDOW = 65_535


class Calls:
    """The calls of one method on one connection. `write` must accept whole frames."""

    def __init__(
        self, write: Callable[[bytes], object], authority: str, method: str, metadata: Mapping[str, str]
    ) -> None:
        self._write = write
        headers = {":method": "POST", ":scheme": "http", ":path": method, ":authority": authority}
        headers |= {"te": "trailers", "content-type": "application/grpc", "grpc-timeout": "10S", **metadata}
        block = b"".join(_literal(name.lower()) + _literal(value, b"") for name, value in headers.items())
        self._head = _frame_head(len(block), _HEADERS, _END_HEADERS), block
        self._window = _INITIAL_WINDOW
        self._stream = -1
        self._max_streams = 100  # Until the server sends its own limit.
        self._numbers: dict[int, int] = {}
        self._received = b""
        settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW_SIZE, _MAX_WINDOW))
        payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in settings)
        write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, payload)
            + _frame(_WINDOW_UPDATE, 0, 0, (_MAX_WINDOW - _INITIAL_WINDOW).to_bytes(4, "big"))
        )

    def has_room(self) -> bool:
        """Whether the server allows one more call."""
        return len(self._numbers) < self._max_streams and self._window >= _INITIAL_WINDOW // 4

    def call(self, number: int, message: bytes) -> None:
        """Call with a message of at most 16 KiB. `received` returns `number` once the call has ended."""
        self._stream += 2
        self._numbers[self._stream] = number
        stream = self._stream.to_bytes(4, "big")
        self._window -= 5 + len(message)
        head, block = self._head
        data = _frame_head(5 + len(message), _DATA, _END_STREAM)
        self._write(b"%b%b%b%b%b\0%b%b" % (head, stream, block, data, stream, len(message).to_bytes(4, "big"), message))

    def received(self, data: bytes) -> Sequence[tuple[int, str]]:
        """The numbers of the calls that `data` completes, each with its gRPC status code.

        STREAM_REFUSED instead of a code for a call beyond the server's limit of concurrent streams: the server may
        count a call for a moment after the client has its response.
        """
        data = self._received + data
        completed: list[tuple[int, str]] = []
        at = 0
        while len(data) >= at + 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if len(data) < end:
                break
            frame_type, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            self._handle(frame_type, flags, stream, data[at + 9 : end], completed)
            at = end
        self._received = data[at:]
        return completed

    def _handle(
        self, frame_type: int, flags: int, stream: int, payload: bytes, completed: list[tuple[int, str]]
    ) -> None:
        if frame_type == _SETTINGS and not flags & _ACK:
            for start in range(0, len(payload), 6):
                if int.from_bytes(payload[start : start + 2], "big") == _MAX_CONCURRENT_STREAMS:
                    self._max_streams = int.from_bytes(payload[start + 2 : start + 6], "big")
            self._write(_frame(_SETTINGS, _ACK, 0, b""))
        elif frame_type == _PING and not flags & _ACK:
            self._write(_frame(_PING, _ACK, 0, payload))
        elif frame_type == _WINDOW_UPDATE and not stream:
            self._window += int.from_bytes(payload, "big")
        elif frame_type == _GOAWAY:
            self._max_streams = 0
        elif frame_type == _RST_STREAM:
            self._complete(stream, STREAM_REFUSED if payload[-1] == _REFUSED_STREAM else "reset", completed)
        elif frame_type == _HEADERS and flags & _END_STREAM:
            status = _STATUS.search(payload)
            self._complete(stream, status[1].decode() if status else "no status", completed)

    def _complete(self, stream: int, status: str, completed: list[tuple[int, str]]) -> None:
        number = self._numbers.pop(stream, None)
        if number is not None:
            completed.append((number, status))


def _frame(frame_type: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _frame_head(len(payload), frame_type, flags) + stream.to_bytes(4, "big") + payload


def _frame_head(length: int, frame_type: int, flags: int) -> bytes:
    return length.to_bytes(3, "big") + bytes((frame_type, flags))


def _literal(text: str, prefix: bytes = b"\0") -> bytes:
    """A name, or with an empty prefix the value that follows it, neither indexed nor compressed."""
    encoded = text.encode()
    if len(encoded) >= 127:
        raise ValueError("names and values of 127 bytes or more need another length encoding")
    return prefix + bytes((len(encoded),)) + encoded
