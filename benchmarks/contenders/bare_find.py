"""The floor under every look-up: the driver's `find_one` on an index, in a process of its own.

`python -m benchmarks.contenders.bare_find '{"uri": ..., ...}'`. What it looks for is read beforehand.
"""

import asyncio
import gc
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.read_concern import ReadConcern


async def _run(options: dict[str, Any], digests: Sequence[bytes]) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(options["uri"])
    # The read concern of the server, which sees what a majority has.
    profiles = client[options["database"]].get_collection("profiles", read_concern=ReadConcern("majority"))
    numbers = itertools.count()
    latencies: list[float] = []
    started, cpu_started = time.perf_counter(), time.process_time()
    deadline = started + options["seconds"]

    async def caller() -> None:
        now = time.perf_counter()
        while now < deadline:
            if await profiles.find_one({"aliases": digests[next(numbers) % len(digests)]}) is None:
                sys.exit("a profile was not found")
            before, now = now, time.perf_counter()
            latencies.append(now - before)

    await asyncio.gather(*(caller() for _ in range(options["concurrency"])))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    found = {"calls": len(latencies), "sent": len(latencies), "seconds": seconds, "p50_ms": p50, "p99_ms": p99}
    print(json.dumps(found | {"cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    wanted = [bytes.fromhex(each) for each in Path(given["digests"]).read_text().split()]
    gc.freeze()
    uvloop.run(_run(given, wanted))
