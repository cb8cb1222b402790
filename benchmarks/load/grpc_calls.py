"""Load over gRPC, in a process of its own: `python -m benchmarks.load.grpc_calls '{"target": ..., ...}'`.

Messages are built beforehand and sent as bytes, both to Userfold's server and to the bare echo.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import uvloop
from userfold.v1 import user_service_pb2

from benchmarks.load.frames import read_frames
from benchmarks.load.messages import STREAM_UPDATE_USERS
from benchmarks.load.summary import print_summary
from benchmarks.load.users import BATCH

_MAX_UNACKNOWLEDGED = 2000
"""The maximum number of updates in a stream that are sent and not yet acknowledged."""


async def _unary(channel: Any, options: dict[str, Any], frames: Sequence[bytes]) -> list[float]:
    """Call from a number of concurrent callers, and return the latencies once every call has its response."""
    call = channel.unary_unary(options["method"])
    metadata = tuple(options["metadata"].items())
    numbers = itertools.count()
    latencies: list[float] = []
    deadline = time.perf_counter() + options["seconds"]

    async def caller() -> None:
        now = time.perf_counter()
        while now < deadline:
            # Any status other than OK is raised here and ends the benchmark.
            await call(frames[next(numbers) % len(frames)], metadata=metadata, timeout=10)
            before, now = now, time.perf_counter()
            latencies.append(now - before)

    await asyncio.gather(*(caller() for _ in range(options["concurrency"])))
    return latencies


async def _stream(channel: Any, options: dict[str, Any], frames: Sequence[bytes]) -> list[float]:
    """Send messages of 100 updates on one stream, and return their latencies once every update is acknowledged."""
    sent_times: list[float] = []
    acknowledged = 0
    latencies: list[float] = []
    unacknowledged = asyncio.Semaphore(_MAX_UNACKNOWLEDGED // BATCH)
    deadline = time.perf_counter() + options["seconds"]

    async def messages() -> AsyncIterator[bytes]:
        for number in itertools.count():
            await unacknowledged.acquire()
            sent_times.append(time.perf_counter())
            if sent_times[-1] >= deadline:
                return
            yield frames[number % len(frames)]

    call = channel.stream_stream(
        STREAM_UPDATE_USERS, response_deserializer=user_service_pb2.StreamUpdateUsersResponse.FromString
    )
    async for response in call(messages(), metadata=tuple(options["metadata"].items())):
        now = time.perf_counter()
        for acknowledgement in response.acknowledgements:
            if not acknowledgement.HasField("response"):
                sys.exit(f"an update was refused: {acknowledgement.error.message}")
            acknowledged += 1
            if acknowledged % BATCH == 0:
                # Acknowledgements may arrive out of order. Their number is that of this many whole messages.
                latencies.append(now - sent_times[acknowledged // BATCH - 1])
                unacknowledged.release()
    if acknowledged != (len(sent_times) - 1) * BATCH:
        sys.exit(f"{(len(sent_times) - 1) * BATCH} updates were sent and {acknowledged} acknowledged")
    return latencies


async def _run(options: dict[str, Any]) -> None:
    frames = read_frames(Path(options["frames"]))
    async with grpc.aio.insecure_channel(options["target"]) as channel:
        await channel.channel_ready()
        send = _stream if options["method"] == STREAM_UPDATE_USERS else _unary
        started, cpu_started = time.perf_counter(), time.process_time()
        latencies = await send(channel, options, frames)
        print_summary(latencies, time.perf_counter() - started, time.process_time() - cpu_started)


if __name__ == "__main__":
    uvloop.run(_run(json.loads(sys.argv[1])))
