"""The lower bound of a batch: the bare driver writes operations that were built before the clock starts.

`python -m benchmarks.contenders.bare_driver '{"uri": ..., ...}'`. The operations are those of the plain application.
The first batch is written before the clock starts.
"""

import asyncio
import gc
import itertools
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import UpdateOne, WriteConcern

from benchmarks.contenders.plain_app import User
from benchmarks.contenders.plain_updates import operation
from benchmarks.load.summary import print_summary
from benchmarks.load.users import body_of


@dataclass(frozen=True, slots=True)
class _Batch:
    """The operations of one bulk write, and the fields that each of them sets."""

    operations: list[UpdateOne]
    fields: list[dict[str, Any]]


def _batch(ids: list[str]) -> _Batch:
    pairs = [operation(User.model_validate_json(body_of(user_id)), "127.0.0.1") for user_id in ids]
    return _Batch([UpdateOne(*pair, upsert=True) for pair in pairs], [update["$set"] for _, update in pairs])


async def _run(options: dict[str, Any], base: _Batch, batches: list[_Batch]) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(options["uri"])
    users = client["bare"].get_collection("users", write_concern=WriteConcern(w="majority", j=True))
    await users.bulk_write(base.operations, ordered=False)
    numbers = itertools.count()
    latencies: list[float] = []
    started, cpu_started = time.perf_counter(), time.process_time()
    deadline = started + options["seconds"]

    async def writer() -> None:
        now = time.perf_counter()
        while now < deadline:
            batch = batches[next(numbers) % len(batches)]
            # A new time for each write, because MongoDB skips the write of an update that changes nothing.
            modified_time = datetime.now(UTC)
            for fields in batch.fields:
                fields["modified_time"] = modified_time
            await users.bulk_write(batch.operations, ordered=False)
            before, now = now, time.perf_counter()
            latencies.append(now - before)

    await asyncio.gather(*(writer() for _ in range(options["concurrency"])))
    print_summary(latencies, time.perf_counter() - started, time.process_time() - cpu_started)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    first, *remaining = [_batch(ids) for ids in json.loads(Path(given["ids"]).read_text())]
    gc.freeze()
    uvloop.run(_run(given, first, remaining))
