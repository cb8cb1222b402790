"""Frames of HTTP/2 as no gRPC client would send them."""

import socket
from typing import Final, Self

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_REQUEST: Final = {
    ":method": "POST",
    ":scheme": "http",
    ":authority": "userfold",
    "te": "trailers",
    "content-type": "application/grpc",
}


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def field(name: str, value: str) -> bytes:
    """A header as a literal that is not indexed (RFC 7541, section 6.2.2)."""
    return b"\0" + _text(name) + _text(value)


def fields(path: str, **more: str) -> bytes:
    """The headers of a call."""
    return b"".join(field(*each) for each in {**_REQUEST, ":path": path, **more}.items())


def _text(text: str) -> bytes:
    rest = len(text) - 127
    if rest < 0:
        return bytes([len(text)]) + text.encode()
    length = bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([*length, rest]) + text.encode()


class Peer:
    """A connection to a server on which anything may be sent. What comes back is read as frames."""

    def __init__(self, address: str, seconds: float = 20) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), seconds)
        self._received = b""
        self.send(_PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, octets: bytes) -> bool:
        """Send, as far as the server lets us. Whether it still does."""
        try:
            self._socket.sendall(octets)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def frames_until(self, *kinds: int) -> list[tuple[int, int, bytes]]:
        """The kind, stream and payload of each frame, up to the first of one of these kinds or the end."""
        told: list[tuple[int, int, bytes]] = []
        while not (told and told[-1][0] in kinds):
            head = self._read(9)
            payload = self._read(int.from_bytes(head[:3])) if len(head) == 9 else b""
            if len(head) < 9:
                break
            told.append((head[3], int.from_bytes(head[5:9]), payload))
        return told

    def _read(self, count: int) -> bytes:
        while len(self._received) < count:
            try:
                more = self._socket.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                return b""
            self._received += more
        octets, self._received = self._received[:count], self._received[count:]
        return octets
