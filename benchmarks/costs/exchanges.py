"""The cost of sending a message of a group to another gRPC program and receiving its response."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc

from benchmarks.contenders.grpc_echo import METHOD, STREAM_METHOD
from benchmarks.environment.processes import Service, cpu_seconds

MESSAGE_BYTES: Final = 13_000
"""The size of a group of 32 updates."""
PAUSE_SECONDS: Final = 0.01
"""About the time between two groups, long enough for both programs to become idle."""
_ROUNDS: Final = 3
_EXCHANGES: Final = 250
_CONCURRENT: Final = 2


@dataclass(frozen=True, slots=True)
class Exchange:
    """The cost of one message and its response: CPU time in microseconds, and the latency in milliseconds."""

    client_us: float
    server_us: float
    ms: float


async def exchanges(echo: Service, target: str) -> dict[str, Exchange]:
    """Exchange messages with the bare echo, as unary calls and on an open stream."""
    message = bytes(MESSAGE_BYTES)
    channel: Any
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary(METHOD)

        async def unary() -> None:
            await call(message, timeout=10)

        def streamed() -> Callable[[], Awaitable[None]]:
            stream = channel.stream_stream(STREAM_METHOD)()

            async def exchange() -> None:
                await stream.write(message)
                await stream.read()

            return exchange

        measured: dict[str, list[Exchange]] = {"unary call": [], "message on an open stream": []}
        for _ in range(_ROUNDS):
            measured["unary call"].append(await _measured(echo, [unary] * _CONCURRENT))
            measured["message on an open stream"].append(
                await _measured(echo, [streamed() for _ in range(_CONCURRENT)])
            )
    return {name: _median(of_kind) for name, of_kind in measured.items()}


async def _measured(echo: Service, callers: Sequence[Callable[[], Awaitable[None]]]) -> Exchange:
    latencies: list[float] = []

    async def repeat(exchange: Callable[[], Awaitable[None]]) -> None:
        for _ in range(_EXCHANGES):
            started = time.perf_counter()
            await exchange()
            latencies.append(time.perf_counter() - started)
            await asyncio.sleep(PAUSE_SECONDS)

    client, server = time.process_time(), cpu_seconds(echo.pid)
    await asyncio.gather(*(repeat(caller) for caller in callers))
    client, server = time.process_time() - client, cpu_seconds(echo.pid) - server
    count = len(latencies)
    return Exchange(client / count * 1e6, server / count * 1e6, statistics.median(latencies) * 1e3)


def _median(rounds: Sequence[Exchange]) -> Exchange:
    return Exchange(
        *(statistics.median(getattr(one, name) for one in rounds) for name in ("client_us", "server_us", "ms"))
    )
