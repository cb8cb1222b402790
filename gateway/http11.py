"""HTTP/1.1 on one connection: uvicorn's protocol, where it does less than RFC 9110 asks or than our clients need."""

import asyncio
from typing import Any, cast

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import metrics
from gateway.answer import answer_from_refusal
from gateway.cors import ORIGIN
from gateway.status import refusal


class JsonHttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 that answers even what is no HTTP in the one shape of errors, and declines every upgrade.

    A server may ignore an offer to upgrade (`Upgrade: h2c`, as `curl --http2` sends it), says RFC 9110, section 7.8.
    The parser instead ends the message at its head: the body would be lost, or taken for a request of its own.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn has it.
        """Begin with a connection."""
        super().connection_made(cast("asyncio.Transport", _OneWrite(transport)))

    def data_received(self, data: bytes) -> None:
        """Take bytes of the connection."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(rest=data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Begin with a request, but for one whose head is to be read again."""
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request, but for one whose head is to be read again."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _decline(self, rest: bytes) -> None:
        """Read the head again as if nothing had been offered, and then the rest."""
        method = self.parser.get_method()
        if method == b"CONNECT":  # It is nothing but an upgrade.
            self.send_400_response("")
            return
        head = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        head += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        # As uvicorn has it.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join(head) + b"\r\n\r\n" + rest)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP request, and close."""
        answer = answer_from_refusal(refusal("HTTP_MALFORMED"))
        metrics.REFUSALS.labels("none", "HTTP_MALFORMED").inc()
        self.logger.warning("Invalid HTTP request received.")
        text = orjson.dumps(answer.body)
        head = (
            f"HTTP/1.1 {answer.http} Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n"
            f"{ORIGIN[0]}: {ORIGIN[1]}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + text)
        self.transport.close()


class _OneWrite:
    """A transport that sends at once what is written in one turn of the event loop.

    uvicorn writes an answer's head and its body apart, which would be two packets and two system calls.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        self._held.clear()
