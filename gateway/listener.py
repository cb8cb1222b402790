"""The HTTP/1.1 listener: uvicorn, without its access log and its own ways of stopping."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from gateway.http11 import JsonHttpProtocol
from gateway.settings import InvalidSetting, Settings, split_address

STOP_SECONDS: Final = 10
"""How long requests in flight may take to end after the listener was told to stop."""

_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048


class Listener(uvicorn.Server):
    """Serves an application on a bound socket until `should_exit` is set. Calls `ready` with the URL once it does."""

    def __init__(self, app: ASGIApp, listening: socket.socket, ready: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=JsonHttpProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # X-Forwarded-For is the application's matter: uvicorn would believe every local process.
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._listening = listening
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        host, port = self._listening.getsockname()[:2]
        self._ready(listener_url(host, port))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program: uvicorn would raise them again after a graceful stop."""
        yield

    async def run_until_stopped(self) -> None:
        """Serve, then let the requests in flight end."""
        await self.serve(sockets=[self._listening])


def listener_url(host: str, port: int) -> str:
    """The URL of an address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bind(settings: Settings, *, shares_address: bool = False) -> socket.socket:
    """The socket to listen on, as other processes may do too if it `shares_address`.

    Raises InvalidSetting where the address cannot be had.
    """
    host, port = split_address("USERFOLD_HTTP_ADDRESS", settings.http_address)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shares_address)
    except OSError as error:
        raise cannot_listen(error) from None
    # Connections inherit it, and asyncio would set it only on sockets that say they are TCP, which this one does not.
    # Without, an answer's second packet waits 40 ms for the client's delayed acknowledgement of the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def cannot_listen(error: OSError) -> InvalidSetting:
    """What to raise where the address of the gateway cannot be had."""
    return InvalidSetting(f"USERFOLD_HTTP_ADDRESS: cannot listen there: {error.strerror}")
