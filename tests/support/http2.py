"""A client of HTTP/2 that sends any frames, also those that no gRPC client would send."""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

import hpack

from tests.support.http1 import host_and_port

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_BYTES: Final = 9
_CALL: Final = {
    ":method": "POST",
    ":scheme": "http",
    ":authority": "userfold",
    "te": "trailers",
    "content-type": "application/grpc",
}


@dataclass(frozen=True)
class Frame:
    """A frame that the server sent."""

    kind: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def field(name: str, value: str) -> bytes:
    """A header as a literal that is not indexed (RFC 7541, section 6.2.2)."""
    return b"\0" + _literal(name) + _literal(value)


def call_fields(path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The header block of a gRPC call: a header replaces the default of its name, and an empty one removes it."""
    fields = {**_CALL, ":path": path, **(headers or {})}
    # Those of HTTP/2 itself must be first.
    ordered = sorted(fields.items(), key=lambda item: not item[0].startswith(":"))
    return b"".join(field(name, value) for name, value in ordered if value)


def _literal(text: str) -> bytes:
    data = text.encode()
    rest = len(data) - 127
    if rest < 0:
        return bytes([len(data)]) + data
    length = bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([*length, rest]) + data


class Peer:
    """A connection to a server. Reading raises TimeoutError after `seconds`."""

    def __init__(self, address: str, seconds: float = 60) -> None:
        self._socket = socket.create_connection(host_and_port(address), seconds)
        self._received = b""
        self.send(_PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Send as much as the server reads. Returns whether it has read all."""
        try:
            self._socket.sendall(data)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def frames(self) -> Iterator[Frame]:
        """The frames that arrive until the connection ends."""
        while len(head := self._read(_HEAD_BYTES)) == _HEAD_BYTES:
            yield Frame(head[3], int.from_bytes(head[5:9]), self._read(int.from_bytes(head[:3])))

    def frames_until(self, *kinds: int) -> list[Frame]:
        """The frames up to the first of one of these kinds, or to the end."""
        frames = []
        for received in self.frames():
            frames.append(received)
            if received.kind in kinds:
                break
        return frames

    def response(self) -> dict[str, str]:
        """The headers and trailers of the first call. `reset` holds the error code of a stream that was reset.

        Less where the connection ends or `seconds` pass before the response is complete.
        """
        decoder = hpack.Decoder()
        fields: dict[str, str] = {}
        try:
            for received in self.frames():
                if received.kind == HEADERS:
                    fields |= {str(name): str(value) for name, value in decoder.decode(received.payload)}
                elif received.kind == RST_STREAM:
                    fields["reset"] = str(int.from_bytes(received.payload))
                if {"grpc-status", "reset"} & fields.keys():
                    break
        except TimeoutError:
            pass
        return fields

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            try:
                more = self._socket.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                return b""
            self._received += more
        data, self._received = self._received[:size], self._received[size:]
        return data
