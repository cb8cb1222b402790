"""The gateway's application under uvicorn instead of `gateway/http`, with the same interpreter and the same packages.

`python -m benchmarks.contenders.uvicorn_gateway SITE_PACKAGES`, with the settings of the gateway. As in the gateway,
the event loop is that of uvloop and the parser is httptools. uvicorn does less than `gateway/http`: it has no limits on
sizes and times, no strict checks of a request's head, and no call ends when its client disconnects.
"""

import asyncio
import importlib
import os
import site
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import uvloop

from gateway.app import Application
from gateway.http.handler import Handler
from gateway.http.listener import bind, listener_url
from gateway.http.messages import Request, Response
from gateway.settings import Settings, split_address
from gateway.upstream.channel import Channel
from runtime import memory

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]


def asgi(handler: Handler) -> Callable[[_Message, _Receive, _Send], Awaitable[None]]:
    """An ASGI application that passes every request to a handler of `gateway/http`."""

    async def application(scope: _Message, receive: _Receive, send: _Send) -> None:
        method, path, headers = scope["method"], scope["raw_path"], dict(scope["headers"])
        exchange = handler.begin(method, path, headers)
        body, more_body = b"", True
        while more_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more_body = body + message["body"], message["more_body"]
        responded: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        request = Request(method, path, scope["query_string"], headers, body, scope["client"][0])
        exchange.handle(request, responded.set_result)
        response = await responded
        await send({"type": "http.response.start", "status": response.status, "headers": _headers(response)})
        await send({"type": "http.response.body", "body": response.body})

    return application


def _headers(response: Response) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    return [*headers, (b"content-length", b"%d" % len(response.body)), (b"access-control-allow-origin", b"*")]


async def _run(uvicorn: Any, settings: Settings) -> None:
    async with Channel(settings.grpc_address, connections=settings.workers) as channel:
        config = uvicorn.Config(
            asgi(Application(settings, channel)),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        listening = bind(*split_address("USERFOLD_HTTP_ADDRESS", settings.http_address))
        memory.settle()
        host, port = listening.getsockname()[:2]
        print(f"userfold-uvicorn ready http={listener_url(host, port, 'http')}", flush=True)
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    # Last on the path: packages that both environments have are imported from the gateway's.
    site.addsitedir(sys.argv[1])
    uvloop.run(_run(importlib.import_module("uvicorn"), Settings.from_environment(os.environ)))
