"""The gateway's connections to the server."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Self

import grpc

from runtime.certificates import NO_FILES, CertificateFiles, Pem, Reloaded

MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""The limit of a gRPC message: the server's own."""

OPTIONS: Final = (
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    # By default a channel waits up to two minutes before it tries a restarted server again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
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

_CLOSING_SECONDS = 60.0  # Longer than any call may take.


class Channel:
    """Connections to a gRPC target, used in turn. Each connects by itself, and reconnects after a loss.

    One connection reaches one of the processes that share an address, so there may be several. With authorities in
    `tls`, they use TLS, and the server's certificate must be for `server_name` or the host of the address. The first
    call after the files have changed opens new connections. Raises CertificateUnusable.
    """

    def __init__(
        self,
        address: str,
        *,
        connections: int = 1,
        tls: CertificateFiles = NO_FILES,
        server_name: str | None = None,
    ) -> None:
        self._address = address
        self._options = (*OPTIONS, ("grpc.ssl_target_name_override", server_name)) if server_name else OPTIONS
        self._credentials = Reloaded(tls, _credentials) if tls.authorities else None
        self._used = self._credentials.current() if self._credentials else None
        self.connections = connections
        # A DNS name may have several addresses as well, but how many is unknown here.
        self.streams = connections * (address.count(",") + 1 if address.startswith(("ipv4:", "ipv6:")) else 1)
        """How many streams it takes to reach each process behind the target."""
        self._channels = deque(self._open() for _ in range(connections))
        self._generation = 0
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close(None)
        await asyncio.gather(*self._closing)

    def unary_unary(self, method: str, **serializers: Any) -> Callable[..., Any]:
        """As `grpc.aio.Channel.unary_unary`, on the next connection."""

        def call(request: Any, **options: Any) -> Any:
            return self._next().unary_unary(method, **serializers)(request, **options)

        return call

    def stream_stream(self, method: str, **serializers: Any) -> Callable[..., Any]:
        """As `grpc.aio.Channel.stream_stream`. A stream must end soon after `renewed` returns a new number."""

        def call(**options: Any) -> Any:
            return self._next().stream_stream(method, **serializers)(**options)

        return call

    def renewed(self) -> int:
        """Replace the connections if the certificates have changed. Returns how often that has happened."""
        if self._credentials and (newest := self._credentials.current()) is not self._used:
            self._used = newest
            self._generation += 1
            for _ in range(len(self._channels)):
                self._close(self._channels.popleft())
                self._channels.append(self._open())
        return self._generation

    def _next(self) -> grpc.aio.Channel:
        self.renewed()
        self._channels.rotate()
        return self._channels[0]

    def _open(self) -> grpc.aio.Channel:
        if self._used is None:
            return grpc.aio.insecure_channel(self._address, options=self._options)
        return grpc.aio.secure_channel(self._address, self._used, options=self._options)

    def _close(self, channel: grpc.aio.Channel) -> None:
        """Close a channel after its calls have ended."""
        task = asyncio.get_running_loop().create_task(channel.close(_CLOSING_SECONDS))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _credentials(pem: Pem) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(pem.authorities, pem.key, pem.certificate)
