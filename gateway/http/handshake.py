"""A connection between accept and its first byte of HTTP."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from gateway.http import limits
from gateway.http.connection import HttpConnection
from gateway.http.connection_pool import Connections
from gateway.http.handler import Handler


class Handshake:
    """An accepted connection that becomes an HttpConnection, with TLS after its client has agreed on that.

    It counts among the open connections, so that it can be cut off like any of them.
    """

    def __init__(
        self, handler: Handler, connections: Connections, accepted: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        loop = asyncio.get_running_loop()
        # Without TLS it has nothing to do: it is like any other that waits for its first request.
        self.since = connections.clock()
        self.deadline = self.since + (limits.HANDSHAKE_SECONDS if tls else limits.IDLE_SECONDS)
        self.is_sending = False
        self.held = 0
        self._is_cancelled = False
        self._connections = connections
        connections.open.add(self)

        async def agree() -> None:
            with contextlib.suppress(OSError):  # The client speaks no TLS, or has gone.
                await loop.connect_accepted_socket(
                    lambda: _AgreedConnection(handler, connections, self._end),
                    accepted,
                    ssl=tls,
                    ssl_shutdown_timeout=limits.HANDSHAKE_SECONDS if tls else None,
                )

        def end(task: asyncio.Task[None]) -> None:
            self._end()
            if task.cancelled():  # Perhaps before its first step.
                accepted.close()

        self._task = loop.create_task(agree())
        self._task.add_done_callback(end)

    def _end(self) -> bool:
        """End the handshake. Returns whether the connection may begin."""
        self._connections.remove(self)
        return not self._is_cancelled

    def expire(self) -> None:
        """Close a connection that has taken too long."""
        self._is_cancelled = True
        self._task.cancel()

    abort = expire

    def stop(self) -> None:
        """Go on: the client may have sent a request already."""

    def note_progress(self) -> None:
        """A handshake has no response that a client could receive."""


class _AgreedConnection(HttpConnection):
    """The connection that follows a handshake.

    uvloop never calls `connection_lost` of a connection whose handshake was cancelled: a cancelled one must not begin.
    """

    def __init__(self, handler: Handler, connections: Connections, begin: Callable[[], bool]) -> None:
        super().__init__(handler, connections)
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._begin():
            super().connection_made(transport)
        else:
            self._has_last = True
