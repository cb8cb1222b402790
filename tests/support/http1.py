"""A client of HTTP/1.1 that sends any bytes: blocking as `Connection`, in an event loop as `AsyncConnection`."""

import asyncio
import io
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

_READ_BYTES: Final = 65_536
_NO_BODY: Final = frozenset({204, 304})


@dataclass(frozen=True)
class Response:
    """A response. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The value in the body; None where there is no body."""
        if not self.body:
            return None
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


def request_bytes(method: str, target: str, headers: Mapping[str, object], body: bytes = b"") -> bytes:
    """A request with a Host and exactly these headers."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in {"Host": "x", **headers}.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def host_and_port(address: str) -> tuple[str, int]:
    """Of `HOST:PORT` or a URL."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    assert parts.hostname
    return parts.hostname, parts.port or 80


class Connection:
    """A blocking connection to `HOST:PORT` or a URL. Each operation raises TimeoutError after `seconds`."""

    def __init__(self, address: str, seconds: float = 60) -> None:
        self.socket = socket.create_connection(host_and_port(address), seconds)
        self._received: io.BufferedReader = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish_sending(self) -> None:
        """Send no more; responses can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def exchange(self, request: bytes) -> Response:
        """Send a request and return its response."""
        self.send(request)
        return self.response(request.partition(b" ")[0].decode())

    def response(self, method: str = "POST") -> Response:
        """The next response, to a request of this method. Raises EOFError where the connection ends."""
        head = b"".join(iter(self._received.readline, b"\r\n")) if self._received.peek(1) else b""
        status, headers = _parse_head(head)
        if "chunked" in headers.get("transfer-encoding", ""):
            chunks = []
            while size := int(self._received.readline(), 16):
                chunks.append(self._exactly(size))
                self._exactly(2)
            self._exactly(2)
            return Response(status, headers, b"".join(chunks))
        return Response(status, headers, self._exactly(_body_bytes(method, status, headers)))

    def responses(self, method: str = "POST") -> list[Response]:
        """Every response until the connection ends, the first one to a request of this method."""
        responses: list[Response] = []
        while self._received.peek(1):
            responses.append(self.response("POST" if responses else method))
        return responses

    def read_to_end(self) -> bytes:
        """All bytes until the connection ends."""
        return self._received.read()

    def _exactly(self, size: int) -> bytes:
        data = self._received.read(size)
        if len(data) < size:
            raise EOFError("the connection ended within a response")
        return data

    def reset(self) -> None:
        """Close the connection with RST, as a failing network does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._received.close()
        self.socket.close()


class AsyncConnection:
    """A connection in an event loop. `open` makes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_open = True

    @classmethod
    async def open(cls, address: str) -> Self:
        """Connect to `HOST:PORT` or a URL."""
        return cls(*await asyncio.open_connection(*host_and_port(address), limit=2**20))

    async def exchange(self, request: bytes) -> Response:
        """Send a request while its response, which may come early, is read. Closes on an error and where asked to."""
        sending = asyncio.create_task(self._send(request))
        try:
            response = await self._response(request.partition(b" ")[0].decode())
        except BaseException:
            self.close()
            raise
        finally:
            sending.cancel()
        if response.headers.get("connection") == "close":
            self.close()
        return response

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        # The response, or its absence, says what happened.
        with suppress(OSError):
            await self._writer.drain()

    async def _response(self, method: str) -> Response:
        status, headers = _parse_head(await self._reader.readuntil(b"\r\n\r\n"))
        if "chunked" in headers.get("transfer-encoding", ""):
            chunks = []
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                chunks.append(await self._reader.readexactly(size))
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
            return Response(status, headers, b"".join(chunks))
        return Response(status, headers, await self._reader.readexactly(_body_bytes(method, status, headers)))

    def close(self) -> None:
        """Close immediately, without sending what is pending."""
        self._writer.transport.abort()
        self.is_open = False


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    if not head:
        raise EOFError("the connection ended before a response")
    line, *fields = head.decode("latin-1").strip().split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return int(line.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


def _body_bytes(method: str, status: int, headers: Mapping[str, str]) -> int:
    if method == "HEAD" or status < 200 or status in _NO_BODY:
        return 0
    return int(headers.get("content-length", "0"))
