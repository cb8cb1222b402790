"""As much of HTTP/2 as it takes to call one gRPC method again and again, cheaply.

A call's header block is always the same, and of an answer nothing but its status is read. The server is asked not to
compress headers against a table, so nothing has to be remembered, and the status is there as it is.
"""

import re
from collections.abc import Callable, Mapping, Sequence

NOT_TAKEN = "not taken"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _MAX_CONCURRENT_STREAMS, _INITIAL_WINDOW_SIZE = 1, 2, 3, 4
_REFUSED_STREAM = 7
_STATUS = re.compile(rb"grpc-status[\x01\x02](\d+)")
_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65_535


class Calls:
    """The calls of one method on one connection, in frames that `write` takes whole."""

    def __init__(
        self, write: Callable[[bytes], object], authority: str, method: str, metadata: Mapping[str, str]
    ) -> None:
        self._write = write
        headers = {":method": "POST", ":scheme": "http", ":path": method, ":authority": authority}
        headers |= {"te": "trailers", "content-type": "application/grpc", "grpc-timeout": "10S", **metadata}
        block = b"".join(_literal(name.lower()) + _literal(value, b"") for name, value in headers.items())
        self._head = _frame_head(len(block), _HEADERS, _END_HEADERS), block
        self._window = _FIRST_WINDOW
        self._stream = -1
        self._most = 100  # Until the server says.
        self._numbers: dict[int, int] = {}
        self._received = b""
        settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW_SIZE, _WINDOW))
        payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in settings)
        write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, payload)
            + _frame(_WINDOW_UPDATE, 0, 0, (_WINDOW - _FIRST_WINDOW).to_bytes(4, "big"))
        )

    def has_room(self) -> bool:
        """Whether the server allows one more call."""
        return len(self._numbers) < self._most and self._window >= _FIRST_WINDOW // 4

    def call(self, number: int, message: bytes) -> None:
        """Call with a message of at most 16 KiB; `received` tells the number when it is answered."""
        self._stream += 2
        self._numbers[self._stream] = number
        stream = self._stream.to_bytes(4, "big")
        self._window -= 5 + len(message)
        head, block = self._head
        data = _frame_head(5 + len(message), _DATA, _END_STREAM)
        self._write(b"%b%b%b%b%b\0%b%b" % (head, stream, block, data, stream, len(message).to_bytes(4, "big"), message))

    def received(self, octets: bytes) -> Sequence[tuple[int, str]]:
        """The numbers of the calls that are answered by what has arrived, and their statuses as gRPC numbers them.

        NOT_TAKEN where the server says so: it counts a call for a moment longer than its caller does.
        """
        octets = self._received + octets
        answered: list[tuple[int, str]] = []
        at = 0
        while len(octets) >= at + 9:
            end = at + 9 + int.from_bytes(octets[at : at + 3], "big")
            if len(octets) < end:
                break
            kind, flags = octets[at + 3], octets[at + 4]
            stream = int.from_bytes(octets[at + 5 : at + 9], "big")
            self._take(kind, flags, stream, octets[at + 9 : end], answered)
            at = end
        self._received = octets[at:]
        return answered

    def _take(self, kind: int, flags: int, stream: int, payload: bytes, answered: list[tuple[int, str]]) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            for start in range(0, len(payload), 6):
                if int.from_bytes(payload[start : start + 2], "big") == _MAX_CONCURRENT_STREAMS:
                    self._most = int.from_bytes(payload[start + 2 : start + 6], "big")
            self._write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._write(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE and not stream:
            self._window += int.from_bytes(payload, "big")
        elif kind == _GOAWAY:
            self._most = 0
        elif kind == _RST_STREAM:
            self._answered(stream, NOT_TAKEN if payload[-1] == _REFUSED_STREAM else "reset", answered)
        elif kind == _HEADERS and flags & _END_STREAM:
            status = _STATUS.search(payload)
            self._answered(stream, status[1].decode() if status else "no status", answered)

    def _answered(self, stream: int, status: str, answered: list[tuple[int, str]]) -> None:
        number = self._numbers.pop(stream, None)
        if number is not None:
            answered.append((number, status))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _frame_head(len(payload), kind, flags) + stream.to_bytes(4, "big") + payload


def _frame_head(length: int, kind: int, flags: int) -> bytes:
    return length.to_bytes(3, "big") + bytes((kind, flags))


def _literal(text: str, prefix: bytes = b"\0") -> bytes:
    """A name, or a value behind it, as it is: neither indexed nor compressed."""
    octets = text.encode()
    if len(octets) >= 127:
        raise ValueError("longer ones are written in another way")
    return prefix + bytes((len(octets),)) + octets
