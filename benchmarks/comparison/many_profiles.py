"""Many stored profiles: single updates, and look-ups by session token."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.comparison.growth import Grown
from benchmarks.comparison.steps import Bench, Step
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.load import wrk
from benchmarks.load.frames import write_frames
from benchmarks.load.wrk import raw_request
from benchmarks.runs import CONNECTIONS, Sample, cpu_of, echo_look_up, find_one, look_up, sample_of, updates_for

FEW: Final = 1000


def profiles(bench: Bench) -> Sequence[Step]:
    """Single updates with few, with a tenth of many, and with many profiles stored."""
    return [_throughput(bench, bench.grown(count), key) for key, count in _counts(bench).items()]


def stored(bench: Bench) -> dict[str, Mapping[str, int]]:
    """What the profiles take on disk, by the keys of the steps, as far as they were stored."""
    counts = _counts(bench).items()
    return {key: bench.databases[count].stored for key, count in counts if count in bench.databases}


def _counts(bench: Bench) -> dict[str, int]:
    return {"profiles/few": FEW, "profiles/tenth": bench.many // 10, "profiles/many": bench.many}


def _throughput(bench: Bench, grown: Grown, key: str) -> Step:
    """Updates of random stored users, one per request."""
    userfold, frames = grown.userfold, bench.stack.directory / "requests"

    def run(number: int) -> Sample:
        sent = _drawn(bench, grown, number)
        requests = (raw_request(userfold.url, userfold.headers, userfold.single(user_id)) for user_id in sent)
        write_frames(requests, frames)
        before = userfold.collection.estimated_document_count()
        with cpu_of(bench.stack, userfold.services) as cpu:
            measured = wrk.send(userfold.url, frames, CONNECTIONS, bench.seconds)
        if userfold.collection.estimated_document_count() != before:
            raise BenchmarkFailed("updates of stored users created new ones")
        for user_id in sent[:20]:
            userfold.check_profile(user_id)
        return sample_of(measured, 1, cpu(measured.calls))

    return Step(key, run)


def look_ups(bench: Bench) -> Sequence[Step]:
    """Look-ups by session token: in Userfold's server, with the bare driver's `find_one`, and in the bare echo."""
    stack, seconds, grown = bench.stack, bench.seconds, bench.grown(bench.many)

    def ours(ids: Sequence[str], callers: int) -> Sample:
        return look_up(stack, grown.userfold, grown.target, ids, concurrency=callers, seconds=seconds)

    def bare(ids: Sequence[str], callers: int) -> Sample:
        return find_one(stack, grown.userfold, ids, concurrency=callers, seconds=seconds)

    def echo(ids: Sequence[str], callers: int) -> Sample:
        return echo_look_up(stack, ids, concurrency=callers, seconds=seconds)

    def step(key: str, callers: int, send: Callable[[Sequence[str], int], Sample]) -> Step:
        return Step(key, lambda number: send(_drawn(bench, grown, number), callers))

    return [
        step("lookup-1/userfold", 1, ours),
        step("lookup-1/find", 1, bare),
        step("lookup-1/echo", 1, echo),
        step("lookup/userfold", CONNECTIONS, ours),
        step("lookup/find", CONNECTIONS, bare),
    ]


def _drawn(bench: Bench, grown: Grown, number: int) -> Sequence[str]:
    draw = random.Random(number)  # noqa: S311 - Not a secret.
    return draw.choices(grown.ids, k=updates_for(bench.seconds, batched=False))
