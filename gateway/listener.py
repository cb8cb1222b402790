"""The HTTP/1.1 listener: accepts connections until it is told to stop, then lets those end that are under way."""

import asyncio
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from gateway.connections import Connections
from gateway.handler import Handler
from gateway.http11 import HttpConnection
from gateway.settings import InvalidSetting, Settings, split_address

STOP_SECONDS: Final = 10
"""How long requests in flight may take to end after the listener was told to stop."""

_BACKLOG = 2048


class Listener:
    """Serves a handler on a bound socket until `stop` is called. Calls `ready` with the URL once it does."""

    def __init__(self, handler: Handler, listening: socket.socket, ready: Callable[[str], None]) -> None:
        self._handler = handler
        self._listening = listening
        self._ready = ready
        self._stopped = asyncio.Event()
        self._connections = Connections()

    def stop(self) -> None:
        """Accept nothing more, and let the requests in flight end."""
        self._stopped.set()

    async def run_until_stopped(self) -> None:
        """Serve, then let the requests in flight end."""
        loop = asyncio.get_running_loop()
        ticking = loop.create_task(self._tick())
        server = await loop.create_server(
            lambda: HttpConnection(self._handler, self._connections), sock=self._listening
        )
        self._ready(listener_url(*self._listening.getsockname()[:2]))
        await self._stopped.wait()
        server.close()
        self._connections.stop()
        await self._connections.closed(STOP_SECONDS)
        ticking.cancel()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._connections.second(loop.time(), formatdate(usegmt=True))
            await asyncio.sleep(1)


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
