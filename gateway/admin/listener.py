"""The admin listener: an ASGI application on uvicorn, in the gateway's event loop, with limits."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from gateway.admin.connection import BoundedConnection
from gateway.http import limits
from gateway.http.acceptor import Acceptor
from gateway.http.listener import STOP_SECONDS, listener_url

CONNECTIONS: Final = 100
"""The limit of open connections. A further one is closed at once: the public listener needs the file descriptors."""


class AdminListener:
    """Serves an application on a bound socket until `stop` is called. Belongs to the running event loop."""

    def __init__(
        self, application: ASGIApp, listening: socket.socket, tls: ssl.SSLContext | None, drain_seconds: float = 0.0
    ) -> None:
        host, port = listening.getsockname()[:2]
        self.url: Final = listener_url(host, port, "https" if tls else "http")
        self._tls = tls
        self._drain_seconds = drain_seconds
        self._stopped = asyncio.Event()
        self._acceptor = Acceptor(listening, self._take)
        self._config = uvicorn.Config(
            application,
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=limits.HEAD_BYTES,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._config.load()
        self._server = _Server(self._config)
        self._beginning: set[asyncio.Task[None]] = set()
        """Connections that are not made yet: their clients have to agree on TLS."""

    def stop(self) -> None:
        """After `drain_seconds`, accept no more connections, and let the requests in flight end."""
        self._stopped.set()

    async def run_until_stopped(self) -> None:
        """Serve, then let the requests in flight end."""
        # No sockets for uvicorn: asyncio's own server, which it uses, has no limit of connections.
        serving = asyncio.create_task(self._server.serve(sockets=[]))
        self._acceptor.start()
        await self._stopped.wait()
        await asyncio.sleep(self._drain_seconds)
        await self._acceptor.stop(asyncio.get_running_loop().time() + STOP_SECONDS / 2)
        self._server.should_exit = True
        await serving
        for connection in [*self._server.server_state.connections]:
            connection.transport.abort()
        for task in self._beginning:
            task.cancel()

    def _take(self, accepted: socket.socket) -> None:
        if len(self._server.server_state.connections) + len(self._beginning) >= CONNECTIONS:
            accepted.close()
            return
        task = asyncio.get_running_loop().create_task(self._begin(accepted))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        seconds: Any = limits.HANDSHAKE_SECONDS if self._tls else None
        with contextlib.suppress(OSError):  # The client speaks no TLS, or takes too long, or has gone.
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: BoundedConnection(self._config, self._server.server_state, {}),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the gateway: uvicorn would end its process with status 143."""
        yield
