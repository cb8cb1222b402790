"""Load over gRPC, from a process of its own: `python -m benchmarks.load.grpc_calls '{"target": ..., ...}'`.

Messages are built beforehand and sent as bytes, to our server and to the bare echo alike.
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

from benchmarks.load.messages import STREAM_UPDATE_USERS
from benchmarks.load.users import BATCH

_UNACKNOWLEDGED = 2000
"""As many updates may wait for their acknowledgements in a stream."""


def read_frames(path: Path) -> list[bytes]:
    """The messages that `write_frames` wrote."""
    frames = []
    with path.open("rb") as file:
        while length := file.readline():
            frames.append(file.read(int(length)))
    return frames


async def _unary(channel: Any, options: dict[str, Any], frames: Sequence[bytes]) -> dict[str, float]:
    """Call with one message after the other from a number of callers. Ends with every call answered."""
    call = channel.unary_unary(options["method"])
    metadata = tuple(options["metadata"].items())
    numbers = itertools.count()
    latencies: list[float] = []
    started = time.perf_counter()
    deadline = started + options["seconds"]

    async def caller() -> None:
        now = time.perf_counter()
        while now < deadline:
            # An answer other than OK is raised here, and ends the benchmark.
            await call(frames[next(numbers) % len(frames)], metadata=metadata, timeout=10)
            before, now = now, time.perf_counter()
            latencies.append(now - before)

    await asyncio.gather(*(caller() for _ in range(options["concurrency"])))
    return _found(len(latencies), time.perf_counter() - started, latencies)


async def _stream(channel: Any, options: dict[str, Any], frames: Sequence[bytes]) -> dict[str, float]:
    """Send messages of a hundred updates through one stream. Ends with every update acknowledged."""
    sent_at: list[float] = []
    acknowledged = 0
    latencies: list[float] = []
    room = asyncio.Semaphore(_UNACKNOWLEDGED // BATCH)
    started = time.perf_counter()
    deadline = started + options["seconds"]

    async def messages() -> AsyncIterator[bytes]:
        for number in itertools.count():
            await room.acquire()
            sent_at.append(time.perf_counter())
            if sent_at[-1] >= deadline:
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
                # Overtaken or not, as many are answered as this many messages hold.
                latencies.append(now - sent_at[acknowledged // BATCH - 1])
                room.release()
    if acknowledged != (len(sent_at) - 1) * BATCH:
        sys.exit(f"{(len(sent_at) - 1) * BATCH} updates were sent and {acknowledged} acknowledged")
    return _found(acknowledged // BATCH, time.perf_counter() - started, latencies)


def _found(calls: int, seconds: float, latencies: list[float]) -> dict[str, float]:
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    return {"calls": calls, "sent": calls, "seconds": seconds, "p50_ms": p50, "p99_ms": p99}


async def _run(options: dict[str, Any]) -> None:
    frames = read_frames(Path(options["frames"]))
    async with grpc.aio.insecure_channel(options["target"]) as channel:
        await channel.channel_ready()
        send = _stream if options["method"] == STREAM_UPDATE_USERS else _unary
        cpu_started = time.process_time()
        found = await send(channel, options, frames)
        print(json.dumps(found | {"cpu_seconds": time.process_time() - cpu_started}))


if __name__ == "__main__":
    uvloop.run(_run(json.loads(sys.argv[1])))
