"""A million profiles: the memory of Userfold while it stores them, and then its throughput and look-ups."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.comparison.rounds import Step
from benchmarks.contenders.clients import Contender
from benchmarks.environment.processes import BenchmarkFailed, resident_bytes
from benchmarks.load import wrk
from benchmarks.load.frames import write_frames
from benchmarks.load.users import BATCH, Load
from benchmarks.load.wrk import raw_request
from benchmarks.runs import (
    BATCH_CONNECTIONS,
    CONNECTIONS,
    Sample,
    cpu_of,
    find_one,
    look_up,
    sample_of,
    updates_for,
    verify,
)
from benchmarks.stack import Stack

FEW_PROFILES = 1000
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
    return Grown(userfold, target, ids, memory)


def throughput(stack: Stack, seconds: float, grown: Grown, key: str) -> Step:
    """Updates of random stored users, one per request."""

    def run(number: int) -> Sample:
        draw = random.Random(number)  # noqa: S311 - Not a secret.
        sent = draw.choices(grown.ids, k=updates_for(seconds, batched=False))
        frames = stack.directory / "requests"
        userfold = grown.userfold
        requests = (raw_request(userfold.url, userfold.headers, userfold.single(user_id)) for user_id in sent)
        write_frames(requests, frames)
        before = userfold.collection.estimated_document_count()
        with cpu_of(stack, userfold.services) as cpu:
            measured = wrk.send(userfold.url, frames, CONNECTIONS, seconds)
        if userfold.collection.estimated_document_count() != before:
            raise BenchmarkFailed("updates of stored users created new ones")
        for user_id in sent[:20]:
            userfold.check_profile(user_id)
        return sample_of(measured, 1, cpu(measured.calls))

    return Step(key, run)


def look_ups(stack: Stack, seconds: float, grown: Grown) -> Sequence[Step]:
    """Look-ups of users by session token, in Userfold's server and with the bare driver's `find_one`."""

    def drawn(number: int) -> Sequence[str]:
        draw = random.Random(number)  # noqa: S311 - Not a secret.
        return draw.choices(grown.ids, k=updates_for(seconds, batched=False))

    def ours(key: str, callers: int) -> Step:
        def run(number: int) -> Sample:
            ids = drawn(number)
            return look_up(stack, grown.userfold, grown.target, ids, concurrency=callers, seconds=seconds)

        return Step(f"{key}/userfold", run)

    def bare(key: str, callers: int) -> Step:
        def run(number: int) -> Sample:
            return find_one(stack, grown.userfold, drawn(number), concurrency=callers, seconds=seconds)

        return Step(f"{key}/find", run)

    callers_of = {"lookup": CONNECTIONS, "lookup-1": 1}
    return [step(key, callers) for key, callers in callers_of.items() for step in (ours, bare)]


def _memory(userfold: Contender, updates: int) -> dict[str, int]:
    services = {service.program: resident_bytes(service.pid) for service in userfold.services}
    return {"updates": updates, **services}
