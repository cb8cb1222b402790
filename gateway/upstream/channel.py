"""The gateway's connections to the server."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any, Final, Self

import grpc

from gateway import metrics
from gateway.errors.rendering import refusal
from gateway.spans import traced_call
from runtime.certificates import NO_FILES, CertificateFiles, Pem, Reloaded
from runtime.reporting import traces

MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""The limit of a gRPC message: the server's own."""

OPTIONS: Final = (
    # `GetStatus` returns it. As a header of every call, it is sent once for each connection.
    ("grpc.primary_user_agent", f"userfold-gateway/{version('userfold')}"),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    # By default a channel waits up to two minutes before it tries a restarted server again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # By default a name is resolved again only 30 s after the last time, also where all of its addresses fail.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # Detects a server that vanished, also while no call is in flight. The server allows a ping every 20 s:
    # `server/rpc/transport.py`.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # The server's own limits.
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # The server is the operator's own: a proxy named by the environment is for hosts outside.
    ("grpc.enable_http_proxy", 0),
    # A target may have several addresses: each call and each stream uses the next one.
    ("grpc.service_config", '{"loadBalancingConfig":[{"round_robin":{}}]}'),
    # Without this, several channels would share one connection.
    ("grpc.use_local_subchannel_pool", 1),
)
"""The options of every channel."""

RENEWAL_SECONDS: Final = 10.0
"""How often the connections are replaced. gRPC resolves a name again only after a failure, and a balancer of TCP
connections directs new ones only: without that, a new server would get no calls."""

_NAME_STREAMS: Final = 4
"""The streams for a name, which has an unknown number of addresses."""

_CONNECTING_SECONDS: Final = 2.0
"""How long a call waits for a connection, and new connections are waited for before they replace others."""

_POLL_SECONDS: Final = 0.01
_SETTLING_SECONDS: Final = 0.1
"""After the first connection to an address of a target, how long the remaining ones have, before calls use them."""

_HEALTH: Final = "/grpc.health.v1.Health/Check"

_CLOSING_SECONDS: Final = 60.0
"""Longer than any call may take."""

_READY: Final = grpc.ChannelConnectivity.READY
_FAILED: Final = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)


class Channel:
    """Connections to a gRPC target, used in turn. Each connects by itself, and reconnects after a loss.

    One connection reaches one of the processes that share an address, so there may be several. With authorities in
    `tls`, they use TLS, and the server's certificate must be for `server_name` or the host of the address.

    New connections replace them every `renewal_seconds`, if that is not 0, and at the first call after the files have
    changed. Raises CertificateUnusable.
    """

    def __init__(
        self,
        address: str,
        *,
        connections: int = 1,
        tls: CertificateFiles = NO_FILES,
        server_name: str | None = None,
        renewal_seconds: float = RENEWAL_SECONDS,
    ) -> None:
        self.address = address
        self._options = (*OPTIONS, ("grpc.ssl_target_name_override", server_name)) if server_name else OPTIONS
        self._credentials = Reloaded(tls, _credentials, metrics.note_certificates) if tls.authorities else None
        self._used = self._credentials.current() if self._credentials else None
        self.connections = connections
        self.streams = connections * _addresses(address)
        """How many streams it takes to reach each process behind the target."""
        # A Unix socket is one process of this machine.
        self._renewal_seconds = 0.0 if address.startswith("unix") else renewal_seconds
        self._renewing: asyncio.Task[None] | None = None
        self._channels = deque(self._open_all())
        self._generation = 0
        self._closing: dict[asyncio.Task[None], grpc.aio.Channel] = {}

    async def __aenter__(self) -> Self:
        if self._renewal_seconds:
            self._renewing = asyncio.get_running_loop().create_task(self._renew_regularly())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewing:
            self._renewing.cancel()
        for closing in self._closing:
            closing.cancel()
        for channel in (*self._closing.values(), *self._channels):
            await channel.close(None)

    def unary_unary(self, method: str, **serializers: Any) -> Callable[..., Awaitable[Any]]:
        """As `grpc.aio.Channel.unary_unary`, on the next connection.

        Raises Refusal with SERVER_UNAVAILABLE where there is no connection to a server, so that nothing was sent. Any
        AioRpcError may be of a call that was sent.
        """

        async def call(request: Any, *, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109 - The name is gRPC's.
            # gRPC has one code for a call that was never sent and for one whose connection broke.
            if not (connection := self._connected()):
                deadline = asyncio.get_running_loop().time() + timeout
                connection = await self.connection(min(timeout, _CONNECTING_SECONDS))
                timeout = deadline - asyncio.get_running_loop().time()
            return await connection.unary_unary(method, **serializers)(request, timeout=timeout, **options)

        tracer = traces.active()
        if tracer is None:
            return call

        async def traced(request: Any, *, timeout: float, metadata: Any = (), **options: Any) -> Any:  # noqa: ASYNC109
            return await traced_call(
                tracer, method, lambda sent: call(request, timeout=timeout, metadata=sent, **options), metadata
            )

        return traced

    def stream_stream(self, method: str, **serializers: Any) -> Callable[..., Any]:
        """As `grpc.aio.Channel.stream_stream`; None where there is no connection to a server.

        A stream must end soon after `renewed` returns a new number.
        """

        def call(**options: Any) -> Any:
            connection = self._connected()
            return connection and connection.stream_stream(method, **serializers)(**options)

        return call

    async def connection(self, seconds: float) -> grpc.aio.Channel:
        """The next connection, once a call is sent on it immediately.

        Raises Refusal with SERVER_UNAVAILABLE where all fail, or after so many seconds.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while not (connection := self._connected()):
            is_failed = all(each.get_state() in _FAILED for each in self._channels)
            if is_failed or asyncio.get_running_loop().time() >= deadline:
                raise refusal("SERVER_UNAVAILABLE")
            await asyncio.sleep(_POLL_SECONDS)
        return connection

    async def why_unreachable(self) -> str:
        """Why gRPC cannot connect to a server, in its own words; empty where it can."""
        try:
            await self._channels[0].unary_unary(_HEALTH, None, None)(b"", timeout=_CONNECTING_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.details() or ""
        return ""

    def renewed(self) -> int:
        """Replace the connections if the certificates have changed. Returns how often they were replaced."""
        if self._credentials and (newest := self._credentials.current()) is not self._used:
            self._used = newest
            self._replace(self._open_all())
        return self._generation

    def _connected(self) -> grpc.aio.Channel | None:
        """The next connection on which a call is sent immediately."""
        self.renewed()
        for _ in range(len(self._channels)):
            self._channels.rotate()
            if self._channels[0].get_state(try_to_connect=True) is _READY:
                return self._channels[0]
        return None

    async def _renew_regularly(self) -> None:
        while True:
            # At random, so that gateways that were started together do not connect together.
            await asyncio.sleep(self._renewal_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - No secret.
            used, opened = self._used, self._open_all()
            if await _all_connect(opened) and used is self._used:
                self._replace(opened)
            else:
                # Those in use connect again by themselves.
                for channel in opened:
                    self._close(channel)

    def _replace(self, opened: Iterable[grpc.aio.Channel]) -> None:
        self._generation += 1
        for channel in self._channels:
            self._close(channel)
        self._channels = deque(opened)

    def _open_all(self) -> list[grpc.aio.Channel]:
        return [self._open() for _ in range(self.connections)]

    def _open(self) -> grpc.aio.Channel:
        if self._used is None:
            return grpc.aio.insecure_channel(self.address, options=self._options)
        return grpc.aio.secure_channel(self.address, self._used, options=self._options)

    def _close(self, channel: grpc.aio.Channel) -> None:
        """Close a channel after its calls have ended."""
        task = asyncio.get_running_loop().create_task(channel.close(_CLOSING_SECONDS))
        self._closing[task] = channel
        task.add_done_callback(self._closing.pop)


def _addresses(target: str) -> int:
    """How many addresses a target has, as far as that can be known."""
    if target.startswith(("ipv4:", "ipv6:")):
        return target.count(",") + 1
    is_address = target.startswith(("unix", "[")) or target.partition(":")[0].replace(".", "").isdigit()
    return 1 if is_address else _NAME_STREAMS


async def _all_connect(channels: Sequence[grpc.aio.Channel]) -> bool:
    deadline = asyncio.get_running_loop().time() + _CONNECTING_SECONDS
    for channel in channels:
        while channel.get_state(try_to_connect=True) is not _READY:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
    await asyncio.sleep(_SETTLING_SECONDS)
    # A server that does not trust the gateway's certificate closes a connection after it was made.
    return all(channel.get_state() is _READY for channel in channels)


def _credentials(pem: Pem) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(pem.authorities, pem.key, pem.certificate)
