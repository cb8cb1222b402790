"""The gateway's connection to the server."""

from typing import Final

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


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to a gRPC target. It connects by itself, and again after a loss."""
    return grpc.aio.insecure_channel(address, options=_OPTIONS)
