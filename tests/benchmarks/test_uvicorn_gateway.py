"""The adapter that serves the gateway's application under uvicorn. uvicorn itself is not installed here."""

from collections.abc import Mapping, MutableMapping
from typing import Any

from benchmarks.contenders.uvicorn_gateway import asgi
from gateway.http.handler import Body, Exchange, Respond
from gateway.http.messages import Rejection, Request, Response

SCOPE = {
    "method": "POST",
    "raw_path": b"/v1/users%2F",
    "query_string": b"a=b",
    "headers": [(b"x-moesif-application-id", b"key")],
    "client": ("127.0.0.1", 4321),
}


class FakeHandler:
    """Keeps the requests, and responds to each of them with `response`."""

    body = Body.KEPT
    body_limit = 1000

    def __init__(self, response: Response) -> None:
        self.response = response
        self.heads: list[tuple[str, bytes, Mapping[bytes, bytes]]] = []
        self.requests: list[Request] = []

    def begin(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> Exchange:
        self.heads.append((method, path, headers))
        return self

    def handle(self, request: Request, respond: Respond) -> None:
        self.requests.append(request)
        respond(self.response)

    def abandon(self) -> None: ...

    def reject(self, rejection: Rejection) -> Exchange:
        raise NotImplementedError

    def turn_away(self, respond: Respond) -> None:
        raise NotImplementedError

    def stop(self) -> None: ...

    async def finished(self) -> None: ...


async def call(handler: FakeHandler, *received: Mapping[str, Any]) -> list[MutableMapping[str, Any]]:
    messages = iter(received)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return dict(next(messages))

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await asgi(handler)(SCOPE, receive, send)
    return sent


async def test_a_body_in_two_pieces_reaches_the_handler_whole() -> None:
    handler = FakeHandler(Response(201, {"content-type": "application/json"}, b"{}"))
    sent = await call(
        handler,
        {"type": "http.request", "body": b'{"user_id"', "more_body": True},
        {"type": "http.request", "body": b':"a"}', "more_body": False},
    )
    headers = {b"x-moesif-application-id": b"key"}
    assert handler.heads == [("POST", b"/v1/users%2F", headers)]
    assert handler.requests == [Request("POST", b"/v1/users%2F", b"a=b", headers, b'{"user_id":"a"}', "127.0.0.1")]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 201
    assert sent[0]["headers"] == [
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
        (b"access-control-allow-origin", b"*"),
    ]
    assert sent[1]["body"] == b"{}"


async def test_a_request_whose_client_disconnects_within_the_body_is_not_handled() -> None:
    handler = FakeHandler(Response(201))
    sent = await call(handler, {"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"})
    assert not sent
    assert not handler.requests
