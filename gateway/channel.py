"""The gateway's connection to the server."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeAlias

import grpc

MESSAGE_BYTES: Final = 72 * 1024 * 1024
"""A gRPC message. A JSON array of digits grows 5.5-fold as a `Struct`, so a 12 MiB batch can be 66 MiB."""

_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    # By default a channel waits up to two minutes before it tries a restarted server again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # The server is the operator's own; a proxy that the environment names is for the world outside.
    ("grpc.enable_http_proxy", 0),
)


def open_channel(address: str, *, connections: int = 1) -> "Channel":
    """A channel to a gRPC target. It connects by itself, and again after a loss.

    A channel is one connection, and leads to one of the processes that share an address: several are used in turn.
    """
    if connections == 1:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    # Else gRPC would give them all the same connection.
    options = (*_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
    return ChannelsInTurn([grpc.aio.insecure_channel(address, options=options) for _ in range(connections)])


class ChannelsInTurn:
    """Several channels as one: each call takes the next."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._channels = channels

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close(None)

    def unary_unary(self, method: str, **serializers: Any) -> Callable[..., Any]:
        """As a channel's own."""
        calls = itertools.cycle([channel.unary_unary(method, **serializers) for channel in self._channels])

        def call(request: Any, **options: Any) -> Any:
            return next(calls)(request, **options)

        return call


Channel: TypeAlias = grpc.aio.Channel | ChannelsInTurn
"""What the gateway calls through."""
