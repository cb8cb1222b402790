"""Cross-origin requests from browsers: every answer may be read by every page, and no cookies are used."""

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ORIGIN: Final = ("access-control-allow-origin", "*")
"""On every answer, with an Origin or not: a cache must not serve an answer without it to a browser."""

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = "authorization, content-encoding, content-type, x-moesif-application-id, x-moesif-sdk"


class CrossOrigin:
    """ASGI middleware that allows every origin, and answers OPTIONS itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append(*ORIGIN)
            await send(message)

        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await send_allowed(_preflight(Headers(scope=scope)))
            await send({"type": "http.response.body"})
        else:
            await self._app(scope, receive, send_allowed)


def _preflight(asked: Headers) -> Message:
    headers = MutableHeaders(
        {
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": asked.get("access-control-request-headers", _HEADERS),
            "access-control-max-age": "86400",
            "vary": "access-control-request-headers",
        }
    )
    return {"type": "http.response.start", "status": 204, "headers": headers.raw}
