"""Several connections to servers, used in turn, and names whose addresses change."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest

from gateway.errors.rendering import Refusal
from gateway.upstream.channel import Channel
from server.rpc.transport import OPTIONS
from tests.gateway.dns import running_dns
from tests.support.waiting import until


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
        # A call does not wait for the connections that are not made yet.
        async with asyncio.timeout(10):
            while len(calls) < connections:
                await call(b"x", timeout=10)
        calls.clear()
        for _ in range(6):
            assert await call(b"x", timeout=10) == b"x"
    assert sorted(calls.values()) == [6 // connections] * connections


class Named:
    """Servers with one port, each on an address of its own, and how many calls each has received."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.port = 0
        self._servers: dict[str, grpc.aio.Server] = {}

    async def start(self, address: str) -> None:
        async def count(message: bytes, _: Any) -> bytes:
            self.calls[address] += 1
            return message

        server = self._servers[address] = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers = {"Count": grpc.unary_unary_rpc_method_handler(count)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
        self.port = server.add_insecure_port(f"{address}:{self.port}")
        await server.start()

    async def stop(self, *addresses: str) -> None:
        for address in addresses or [*self._servers]:
            await self._servers.pop(address).stop(None)

    async def shares(self, call: Any, number: int = 12) -> Counter[str]:
        """How many of so many calls each server receives."""
        self.calls.clear()
        for _ in range(number):
            await call(b"x", timeout=10)
        return self.calls

    async def reached(self, call: Any, *addresses: str) -> None:
        """Call until these servers have received a call."""
        self.calls.clear()
        async with asyncio.timeout(30):
            while not all(self.calls[each] for each in addresses):
                await call(b"x", timeout=10)
                await asyncio.sleep(0.001)


@pytest.fixture
async def named() -> AsyncIterator[Named]:
    named = Named()
    await named.start("127.0.0.1")
    await named.start("127.0.0.2")
    yield named
    await named.stop()


async def test_calls_are_spread_over_all_servers_of_a_name_and_a_new_and_a_restarted_one_get_theirs(
    named: Named,
) -> None:
    one, two, three = "127.0.0.1", "127.0.0.2", "127.0.0.3"
    async with (
        running_dns(one, two) as dns,
        Channel(dns.target(named.port), renewal_seconds=0.2) as channel,
    ):
        call = channel.unary_unary("/test/Count", request_serializer=None, response_deserializer=None)
        await named.reached(call, one, two)
        await named.start(three)
        dns.addresses.append(three)
        # Nothing fails, so gRPC alone would not resolve the name again.
        await named.reached(call, three)
        # Calls during a renewal may reach the first server that is connected.
        assert min((await named.shares(call, 60)).values()) >= 10
        await named.stop(one)
        # Not one of them fails, although the name still has the address.
        assert (await named.shares(call))[one] == 0
        await named.start(one)
        await named.reached(call, one)
        await named.stop(two, three)
        dns.addresses[1:] = []
        assert (await named.shares(call))[one] == 12


async def test_a_server_that_moved_is_found_again_in_two_seconds(named: Named) -> None:
    async with (
        running_dns("127.0.0.1") as dns,
        Channel(dns.target(named.port), renewal_seconds=1000) as channel,
    ):
        call = channel.unary_unary("/test/Count", request_serializer=None, response_deserializer=None)
        await call(b"x", timeout=10)
        dns.addresses[:] = ["127.0.0.2"]
        await named.stop("127.0.0.1")
        started = time.monotonic()
        while not named.calls["127.0.0.2"]:
            with suppress(Refusal, grpc.aio.AioRpcError):
                await call(b"x", timeout=10)
            await asyncio.sleep(0.01)
        assert named.calls == {"127.0.0.1": 1, "127.0.0.2": 1}
        # By default it takes gRPC 30 s.
        assert time.monotonic() - started < 15


async def test_connections_are_not_replaced_while_new_ones_fail(named: Named) -> None:
    await named.stop("127.0.0.2")
    async with Channel(f"127.0.0.1:{named.port}", renewal_seconds=0.01) as channel:
        call = channel.unary_unary("/test/Count", request_serializer=None, response_deserializer=None)
        await call(b"x", timeout=10)
        await until(lambda: channel.renewed() >= 2)
        await named.stop("127.0.0.1")
        await asyncio.sleep(0.2)
        generation = channel.renewed()
        await asyncio.sleep(0.2)
        assert channel.renewed() == generation


@pytest.mark.parametrize(
    ("target", "streams"),
    [
        ("127.0.0.1:1", 2),
        ("[::1]:1", 2),
        ("ipv4:10.0.0.1:1,10.0.0.2:1", 4),
        ("unix:/tmp/userfold.sock", 2),
        ("servers:1", 8),
        ("dns:///servers.svc:1", 8),
    ],
)
async def test_a_name_has_several_streams_for_each_connection(target: str, streams: int) -> None:
    async with Channel(target, connections=2) as channel:
        assert channel.streams == streams


async def test_a_connection_that_ends_by_its_age_cuts_neither_calls_nor_streams() -> None:
    """The server's options, with a shorter age."""

    async def echo(messages: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> Any:
        async for message in messages:
            yield message + context.peer().encode()

    options = dict(OPTIONS)
    assert options["grpc.max_connection_age_ms"] == 300_000
    server = grpc.aio.server(options=[*(options | {"grpc.max_connection_age_ms": 200}).items()])
    handlers = {"Echo": grpc.stream_stream_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            echo_of: Any = channel.stream_stream("/test/Echo", None, None)
            old = echo_of()
            await old.write(b"")
            first = await old.read()
            peers = {first}
            async with asyncio.timeout(30):
                while len(peers) < 4:
                    new = echo_of()
                    await new.write(b"")
                    peers.add(await new.read())
                    new.cancel()
            # Three connections later, the stream is still open on its own.
            await old.write(b"")
            assert await old.read() == first
            old.cancel()
    finally:
        await server.stop(None)
