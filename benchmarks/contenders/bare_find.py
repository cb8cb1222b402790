"""The lower bound of a look-up: the bare driver's `find_one` on the index of aliases.

`python -m benchmarks.contenders.bare_find '{"uri": ..., ...}'`. The digests to find are read before the clock starts.
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

from benchmarks.load.summary import print_summary


async def _run(options: dict[str, Any], digests: Sequence[bytes]) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(options["uri"])
    # The read concern of Userfold's server.
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
    print_summary(latencies, time.perf_counter() - started, time.process_time() - cpu_started)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    to_find = [bytes.fromhex(digest) for digest in Path(given["digests"]).read_text().split()]
    gc.freeze()
    uvloop.run(_run(given, to_find))
