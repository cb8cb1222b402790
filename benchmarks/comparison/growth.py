"""Many profiles: a Userfold that holds them, its memory while it stored them, and what they take on disk."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contenders.clients import Contender
from benchmarks.environment.processes import BenchmarkFailed, resident_bytes
from benchmarks.load import wrk
from benchmarks.load.frames import write_frames
from benchmarks.load.users import BATCH, Load
from benchmarks.load.wrk import raw_request
from benchmarks.runs import BATCH_CONNECTIONS, verify
from benchmarks.stack import Stack

_SLICE_SECONDS = 10.0
_UPDATES_PER_SECOND = 15_000
_MAX_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Grown:
    """A Userfold with a database of its own, and the users in it. Each row of `memory` holds the number of updates so
    far and the resident bytes of each process."""

    userfold: Contender
    target: str
    ids: Sequence[str]
    memory: Sequence[dict[str, int]]
    stored: Mapping[str, int]
    """The number of `profiles`, and the `data_bytes` and `index_bytes` that they take on disk."""


def grow(stack: Stack, database: str, profiles: int) -> Grown:
    """Start a new server and gateway, and store this many profiles over HTTP, 100 per request."""
    userfold, target = stack.start_userfold(database)
    ids: list[str] = []
    memory = [_memory(userfold, 0)]
    deadline = time.monotonic() + _MAX_SECONDS
    updates = part = 0
    while len(ids) < profiles:
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"only {len(ids)} of {profiles} profiles were stored in {_MAX_SECONDS} seconds")
        load = Load(
            f"{database}{part}", min(int(_SLICE_SECONDS * _UPDATES_PER_SECOND), profiles - len(ids)), all_new=True
        )
        frames = stack.directory / "requests"
        requests = (userfold.batch(batch) for batch in load.batches())
        write_frames((raw_request(userfold.url, userfold.headers, request) for request in requests), frames)
        # A load that ends early is sent again from its beginning.
        seconds = max(1.0, min(_SLICE_SECONDS, len(load.ids) / _UPDATES_PER_SECOND))
        measured = wrk.send(userfold.url, frames, BATCH_CONNECTIONS, seconds)
        load.base.clear()  # It was not stored.
        verify(userfold, load, measured, BATCH)
        # Some of the last requests may not be stored, because they were in flight when the load ended.
        in_flight = measured.sent - measured.calls
        ids += load.ids[: max(0, measured.sent - 4 * in_flight) * BATCH]
        updates += measured.calls * BATCH
        part += 1
        memory.append(_memory(userfold, updates))
    stack.client.admin.command("fsync")  # As after every step.
    return Grown(userfold, target, ids, memory, _stored(userfold))


def _stored(userfold: Contender) -> dict[str, int]:
    """What the profiles take on disk, as MongoDB compresses them, after a checkpoint."""
    found = userfold.collection.database.command("collStats", userfold.collection.name)
    return {"profiles": found["count"], "data_bytes": found["storageSize"], "index_bytes": found["totalIndexSize"]}


def _memory(userfold: Contender, updates: int) -> dict[str, int]:
    services = {service.program: resident_bytes(service.pid) for service in userfold.services}
    return {"updates": updates, **services}
