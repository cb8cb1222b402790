"""The HTTP/1.1 listener: accepts connections until it is told to stop, then lets those end that are under way."""

import asyncio
import contextlib
import ctypes
import resource
import socket
import ssl
import struct
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from gateway.errors.rendering import refusal
from gateway.http import limits
from gateway.http.connection import HttpConnection
from gateway.http.connection_pool import Connections
from gateway.http.handler import Handler, Respond
from gateway.http.request import Request
from gateway.settings import InvalidSetting, Settings, split_address

STOP_SECONDS: Final = 26
"""How long requests in flight may take to end, all in all, when the listener stops: a report may take 25."""

_BACKLOG = 2048
_SO_ATTACH_FILTER = 26
_ACCEPTED_AT_ONCE = 100
_REFUSED_AT_ONCE = 100  # Beyond the most connections: only who is read from can be told anything.
_OTHER_FILES = 256  # That the process needs, besides its connections.
_PAUSE_SECONDS = 0.1
_TICK_SECONDS = 1.0
_LAST_TICKS_SECONDS = 0.1  # When it stops, somebody waits for the end.


class Listener:
    """Serves a handler on a bound socket until `stop` is called, with TLS if there is a context for it, on at most so
    many connections at once. Calls `ready` with the URL once it does.
    """

    def __init__(
        self,
        handler: Handler,
        listening: socket.socket,
        ready: Callable[[str], None],
        tls: ssl.SSLContext | None,
        connections: int,
        drain_seconds: float = 0.0,
    ) -> None:
        self._handler = handler
        self._listening = listening
        self._ready = ready
        self._tls = tls
        self._drain_seconds = drain_seconds
        self._stopped = asyncio.Event()
        self._most = most_connections(connections)
        self._connections = Connections(self._most)
        self._is_accepting = True

    def stop(self) -> None:
        """Be no longer ready, after `drain_seconds` accept nothing more, and let the requests in flight end."""
        self._stopped.set()

    async def run_until_stopped(self) -> None:
        """Serve, then let the requests in flight end."""
        loop = asyncio.get_running_loop()
        ticking = loop.create_task(self._tick())
        self._listening.setblocking(False)
        self._resume_accepting()
        host, port = self._listening.getsockname()[:2]
        self._ready(listener_url(host, port, "https" if self._tls else "http"))
        await self._stopped.wait()
        self._handler.stop()
        # From here on each answer is the last one on its connection.
        self._connections.is_stopping = True
        await asyncio.sleep(self._drain_seconds)
        until = loop.time() + STOP_SECONDS
        await self._stop_accepting(until)
        self._connections.stop()
        await self._connections.closed(until)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._handler.finished()
        ticking.cancel()

    async def _stop_accepting(self, until: float) -> None:
        """Accept what is connected already, and close the socket: the kernel would cut those off, and we do not."""
        loop = asyncio.get_running_loop()
        self._is_accepting = False
        loop.remove_reader(self._listening)
        _connect_no_more(self._listening)
        # Who connects all the time must not keep it open.
        for _ in range(2 * _BACKLOG // _ACCEPTED_AT_ONCE):
            accepted = self._accept_some()
            if accepted is None and loop.time() < until - STOP_SECONDS / 2:
                await asyncio.sleep(_PAUSE_SECONDS)
            elif accepted is None or accepted < _ACCEPTED_AT_ONCE:
                break
            await asyncio.sleep(0)
        self._listening.close()

    def _resume_accepting(self) -> None:
        if self._is_accepting:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        if self._accept_some() is None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listening)
            loop.call_later(_PAUSE_SECONDS, self._resume_accepting)

    def _accept_some(self) -> int | None:
        """How many connections were accepted: fewer than can be at once where no more wait; None where the machine has
        no files left, or no memory."""
        # Not asyncio's own server, which accepts whatever comes.
        for number in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _ = self._listening.accept()
            except BlockingIOError:
                return number
            except ConnectionError:  # It is gone already.
                continue
            except OSError:
                return None
            if self._connections.make_room():
                _Handshake(self._handler, self._connections, accepted, self._tls)
            elif len(self._connections.open) < self._most + _REFUSED_AT_ONCE:
                _Handshake(_Refusing(self._handler), self._connections, accepted, self._tls)
            else:
                accepted.close()
        return _ACCEPTED_AT_ONCE

    async def _tick(self) -> None:
        while True:
            self._connections.second(formatdate(usegmt=True))
            await asyncio.sleep(_LAST_TICKS_SECONDS if self._connections.is_closing else _TICK_SECONDS)


class _Refusing:
    """Answers each request that there are too many connections."""

    def __init__(self, handler: Handler) -> None:
        self.body_rule = handler.body_rule
        self.turn_away = handler.turn_away
        self.refuse = handler.refuse
        self.stop = handler.stop
        self.finished = handler.finished

    def handle(self, request: Request, respond: Respond) -> None:
        self.refuse(refusal("TOO_MANY_CONNECTIONS", headers={"connection": "close"}), respond)


class _Handshake:
    """A connection until it can speak HTTP, which takes as long as its client does to agree on TLS."""

    def __init__(
        self, handler: Handler, connections: Connections, accepted: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        loop = asyncio.get_running_loop()
        # Without TLS it has nothing to do, and is no worse than any other that waits for its first request.
        self.since = connections.clock()
        self.deadline = self.since + (limits.HANDSHAKE_SECONDS if tls else limits.IDLE_SECONDS)
        self.is_taking = False
        self.held = 0
        self._is_cancelled = False
        self._connections = connections
        connections.open.add(self)

        async def agree() -> None:
            with contextlib.suppress(OSError):  # No TLS of ours, or gone.
                await loop.connect_accepted_socket(
                    lambda: _Agreed(handler, connections, self._end),
                    accepted,
                    ssl=tls,
                    ssl_shutdown_timeout=limits.HANDSHAKE_SECONDS if tls else None,
                )

        def ended(task: asyncio.Task[None]) -> None:
            self._end()
            if task.cancelled():  # Before its first step, maybe.
                accepted.close()

        self._task = loop.create_task(agree())
        self._task.add_done_callback(ended)

    def _end(self) -> bool:
        """Be no more. Whether it was not cancelled until now."""
        self._connections.left(self)
        return not self._is_cancelled

    def expire(self) -> None:
        """It has taken too long."""
        self._is_cancelled = True
        self._task.cancel()

    abort = expire

    def stop(self) -> None:
        """Go on: its client may have sent a request already."""

    def look(self) -> None:
        """It has nothing that could be taken."""


class _Agreed(HttpConnection):
    """What a handshake becomes. uvloop never tells that a connection has ended whose beginning was cancelled: what is
    cancelled must not begin, and what has begun not be cancelled."""

    def __init__(self, handler: Handler, connections: Connections, begin: Callable[[], bool]) -> None:
        super().__init__(handler, connections)
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._begin():
            super().connection_made(transport)
        else:
            self._is_over = True


def _connect_no_more(listening: socket.socket) -> None:
    """Let no further client connect, while those that have can still be accepted. On Linux alone: elsewhere one that
    connects between the last look and the close is cut off."""
    # A packet filter of one instruction: take nothing of any packet. A client tries again, and finds nobody.
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(instruction)))


def most_connections(wanted: int) -> int:
    """As many connections as are wanted, or as the open files allow that a process may have (`ulimit -n`)."""
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


def bind(settings: Settings, *, shares_address: bool = False) -> socket.socket:
    """The socket to listen on, as other processes may do too if it `shares_address`.

    Raises InvalidSetting where the address cannot be had.
    """
    host, port = split_address("USERFOLD_HTTP_ADDRESS", settings.http_address)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server(
            (host, port),
            family=family,
            backlog=_BACKLOG,
            reuse_port=shares_address,
            # `[::]` is every address of the machine, those of IPv4 included.
            dualstack_ipv6=family == socket.AF_INET6 and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise cannot_listen(error) from None
    # Connections inherit it, and asyncio would set it only on sockets that say they are TCP, which this one does not.
    # Without, an answer's second packet waits 40 ms for the client's delayed acknowledgement of the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def cannot_listen(error: OSError) -> InvalidSetting:
    """What to raise where the address of the gateway cannot be had."""
    return InvalidSetting(f"USERFOLD_HTTP_ADDRESS: cannot listen there: {error.strerror}")
