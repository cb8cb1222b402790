"""Passes requests to the application of the public listener: what both serve is implemented once."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from gateway.http import head, limits
from gateway.http.handler import Body, Exchange, Handler
from gateway.http.messages import Fault, Rejection, Request, Response

HELD_BYTES: Final = 64 * 1024 * 1024
"""The limit of the bodies that all requests together hold."""

_PIECE_BYTES: Final = 64 * 1024

_UPDATES: Final = frozenset({b"/v1/users", b"/v1/users/batch"})


class Forwarding:
    """An ASGI application that lets a handler answer every request.

    Paths and queries are passed on as they were sent. No response has `Access-Control-Allow-Origin`: only pages of this
    listener may read them.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers, repeated = _headers(scope)
        method, path = scope["method"], scope["raw_path"]
        if repeated is not None:
            exchange = self._handler.reject(Rejection(head.ONCE[repeated]))
        elif not head.is_host(headers.get(b"host", b"")):
            exchange = self._handler.reject(Rejection(Fault.HOST_INVALID))
        else:
            exchange = self._handler.begin(method, path, headers)
        body = bytearray()
        try:
            if exchange.body is not Body.UNWANTED:
                fault = await self._fault_of_body(exchange, receive, body, int(headers.get(b"content-length", b"0")))
                if fault is not None:
                    exchange = self._handler.reject(Rejection(fault, exchange.body_limit))
            client = _client(scope)
            request = Request(method, path, scope["query_string"], headers, bytes(body), client)
            response = await _response(exchange, request, receive)
        except _ClientGone:
            return
        finally:
            self._held -= len(body)
        await _send(response, request.tag, send, is_head=method == "HEAD")

    async def _fault_of_body(
        self, exchange: Exchange, receive: Receive, body: bytearray, announced: int
    ) -> Fault | None:
        """Read the body of a request into `body`, or discard it. Returns why it is refused."""
        if announced > exchange.body_limit:
            return Fault.BODY_TOO_LARGE
        size = 0
        try:
            async with asyncio.timeout(limits.BODY_SECONDS):
                async for piece in _pieces(receive):
                    size += len(piece)
                    if size > exchange.body_limit:
                        return Fault.BODY_TOO_LARGE
                    if exchange.body is Body.KEPT:
                        if self._held + len(piece) > HELD_BYTES:
                            return Fault.TOO_MANY_PIPELINED
                        body += piece
                        self._held += len(piece)
        except TimeoutError:
            return Fault.TOO_SLOW
        return None


class _ClientGone(Exception):
    """The client has closed the connection: nobody needs the response."""


def _headers(scope: Scope) -> tuple[dict[bytes, bytes], bytes | None]:
    """The headers as in Request, and one that must not be repeated and is."""
    headers: dict[bytes, bytes] = {}
    repeated = None
    for name, value in scope["headers"]:
        if name not in headers:
            headers[name] = value
        elif name in head.LISTS:
            headers[name] += head.LISTS[name] + value
        elif name in head.ONCE:
            repeated = repeated or name
    return headers, repeated


def _client(scope: Scope) -> str:
    """The address of the client. Empty for an update: it would be stored as that of the user, and is an operator's."""
    client = scope["client"]
    if not client or (scope["method"] == "POST" and scope["raw_path"] in _UPDATES):
        return ""
    return str(client[0])


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The body of a request. Raises _ClientGone."""
    has_more = True
    while has_more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        yield message.get("body", b"")
        has_more = message.get("more_body", False)


async def _response(exchange: Exchange, request: Request, receive: Receive) -> Response:
    """The response to a request. Raises _ClientGone."""
    responded: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def respond(response: Response) -> None:
        if not responded.done():
            responded.set_result(response)

    exchange.handle(request, respond)
    if responded.done():
        return responded.result()
    # What is left to receive is the end of the connection, or a body that nobody reads.
    gone = asyncio.create_task(_until_gone(receive))
    gone.add_done_callback(lambda _: responded.cancel())
    try:
        return await responded
    except asyncio.CancelledError:
        exchange.abandon()
        if gone.done():
            raise _ClientGone from None
        raise
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(response: Response, tag: bytes, send: Send, *, is_head: bool) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    headers += [(name, value) for name, _, value in (line.partition(b": ") for line in tag.splitlines())]
    if response.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if is_head else response.body
    # In pieces: each waits until the client has received enough of those before.
    for start in range(0, len(body), _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})
