"""Several connections to the server, used in turn."""

from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest

from gateway.upstream.channel import Channel


@pytest.fixture
async def peers() -> AsyncIterator[tuple[str, Counter[str]]]:
    """The address of a server, and how often each connection has called it."""
    calls: Counter[str] = Counter()

    async def count(message: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        calls[context.peer()] += 1
        return message

    server = grpc.aio.server()
    handlers = {"Count": grpc.unary_unary_rpc_method_handler(count)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}", calls
    await server.stop(None)


@pytest.mark.parametrize("connections", [1, 3])
async def test_connections_are_used_in_turn(peers: tuple[str, Counter[str]], connections: int) -> None:
    address, calls = peers
    async with Channel(address, connections=connections) as channel:
        call = channel.unary_unary("/test/Count", request_serializer=None, response_deserializer=None)
        for _ in range(6):
            assert await call(b"x", timeout=10) == b"x"
    assert sorted(calls.values()) == [6 // connections] * connections
