"""The HTTP/1.1 listener: accepts connections until `stop`, then lets the requests in flight end."""

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Final

from gateway.http.acceptor import BACKLOG, Acceptor
from gateway.http.connection_pool import Connections
from gateway.http.handler import Exchange, Handler
from gateway.http.handshake import Handshake
from gateway.http.messages import Fault, Rejection

STOP_SECONDS: Final = 26
"""How long all requests in flight may take to end when the listener stops: a report may take 25."""

_REFUSED = 100  # Connections beyond the limit that are read from, since only those can get a response.
_OTHER_FILES = 256  # That the process needs besides its connections.
_TICK_SECONDS = 1.0
_STOPPING_TICK_SECONDS = 0.1  # An operator waits for the end.


class Listener:
    """Serves a handler on a bound socket until `stop` is called, on at most `connections` connections, with TLS if
    there is a context for it. Calls `ready` with the URL when it begins, and `count_cut` with the reason for which it
    cuts off a connection.
    """

    def __init__(
        self,
        handler: Handler,
        listening: socket.socket,
        ready: Callable[[str], None],
        tls: ssl.SSLContext | None,
        connections: int,
        drain_seconds: float = 0.0,
        count_cut: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._handler = handler
        self._listening = listening
        self._ready = ready
        self._tls = tls
        self._drain_seconds = drain_seconds
        self._stopped = asyncio.Event()
        self._limit = connection_limit(connections)
        self._connections = Connections(self._limit, count_cut=count_cut)
        self._acceptor = Acceptor(listening, self._take)

    @property
    def load(self) -> tuple[int, int, int]:
        """Open connections, their limit, and the bytes of requests and responses that they hold."""
        return len(self._connections.open), self._limit, self._connections.held

    def stop(self) -> None:
        """Report "not ready", after `drain_seconds` accept no more connections, and let the requests in flight end."""
        self._stopped.set()

    async def run_until_stopped(self) -> None:
        """Serve, then let the requests in flight end."""
        loop = asyncio.get_running_loop()
        ticking = loop.create_task(self._tick())
        self._acceptor.start()
        host, port = self._listening.getsockname()[:2]
        self._ready(listener_url(host, port, "https" if self._tls else "http"))
        await self._stopped.wait()
        self._handler.stop()
        # From here on, each response is the last one on its connection.
        self._connections.is_stopping = True
        await asyncio.sleep(self._drain_seconds)
        until = loop.time() + STOP_SECONDS
        await self._acceptor.stop(until - STOP_SECONDS / 2)
        self._connections.stop()
        await self._connections.closed(until)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._handler.finished()
        ticking.cancel()

    def _take(self, accepted: socket.socket) -> None:
        if self._connections.make_room():
            Handshake(self._handler, self._connections, accepted, self._tls)
        elif len(self._connections.open) < self._limit + _REFUSED:
            Handshake(_Refusing(self._handler), self._connections, accepted, self._tls)
        else:
            accepted.close()

    async def _tick(self) -> None:
        while True:
            self._connections.tick(formatdate(usegmt=True))
            await asyncio.sleep(_STOPPING_TICK_SECONDS if self._connections.is_closing else _TICK_SECONDS)


class _Refusing:
    """Refuses each request of a connection beyond the limit."""

    def __init__(self, handler: Handler) -> None:
        self.reject = handler.reject
        self.turn_away = handler.turn_away
        self.stop = handler.stop
        self.finished = handler.finished

    def begin(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> Exchange:
        return self.reject(Rejection(Fault.TOO_MANY_CONNECTIONS))


def connection_limit(wanted: int) -> int:
    """As many connections as are wanted, or as the process may have open files for (`ulimit -n`)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return needed - _OTHER_FILES


def listener_url(host: str, port: int, scheme: str) -> str:
    """The URL of an address."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def bind(host: str, port: int, *, shares_address: bool = False) -> socket.socket:
    """The socket to listen on; other processes may listen there as well if it `shares_address`.

    Raises OSError where the address cannot be used.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listening = socket.create_server(
        (host, port),
        family=family,
        backlog=BACKLOG,
        reuse_port=shares_address,
        # `[::]` is every address of the machine, those of IPv4 included.
        dualstack_ipv6=family == socket.AF_INET6 and socket.has_dualstack_ipv6(),
    )
    # Connections inherit it; asyncio does not set it on sockets with protocol 0, such as this one. Without it, a
    # response's second packet waits 40 ms for the client's delayed acknowledgement of the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
