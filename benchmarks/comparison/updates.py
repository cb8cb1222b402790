"""Updates of users: one or 100 in a request, by many clients and by one."""

from collections.abc import Callable, Sequence

from benchmarks.comparison.steps import Bench, Step
from benchmarks.contenders.clients import Contender
from benchmarks.load.users import Load
from benchmarks.runs import (
    BATCH_CONNECTIONS,
    CONNECTIONS,
    Sample,
    bare_driver,
    echo,
    over_grpc,
    over_http,
    updates_for,
)


def single(bench: Bench) -> Sequence[Step]:
    """One update per request, 64 connections."""
    _, *peers = bench.stack.contenders
    return [*http(bench), *(_single(bench, contender) for contender in (bench.stack.companies, *peers))]


def http(bench: Bench) -> Sequence[Step]:
    """The steps of `single` that compare the gateway's HTTP server with uvicorn."""
    return [_single(bench, contender) for contender in (bench.stack.userfold, bench.stack.uvicorn)]


def _single(bench: Bench, contender: Contender) -> Step:
    return _unbatched(bench, contender, "single", CONNECTIONS)


def latency(bench: Bench) -> Sequence[Step]:
    """One update per request, one connection."""
    contenders = (bench.stack.userfold, bench.stack.plain, bench.stack.plain_pymongo)
    return [_unbatched(bench, contender, "latency", 1) for contender in contenders]


def _unbatched(bench: Bench, contender: Contender, name: str, connections: int) -> Step:
    def run(number: int) -> Sample:
        load = Load(f"{name}{number}", updates_for(bench.seconds, batched=False))
        return over_http(bench.stack, contender, load, batched=False, connections=connections, seconds=bench.seconds)

    return Step(f"{name}/{contender.name}", run)


def batch(bench: Bench) -> Sequence[Step]:
    """100 updates per request, per message of a stream, and per bulk write of the bare driver."""
    stack, seconds = bench.stack, bench.seconds
    updates = updates_for(seconds, batched=True)

    def step(contender: Contender) -> Step:
        def run(number: int) -> Sample:
            load = Load(f"batch{number}", updates, all_new=contender.inserts_only_in_batches)
            return over_http(stack, contender, load, batched=True, connections=BATCH_CONNECTIONS, seconds=seconds)

        return Step(f"batch/{contender.name}", run)

    def bare(concurrency: int) -> Callable[[int], Sample]:
        return lambda number: bare_driver(
            stack, Load(f"bare{concurrency}x{number}", updates), concurrency=concurrency, seconds=seconds
        )

    def stream(number: int) -> Sample:
        return over_grpc(stack, Load(f"stream{number}", updates), stream=True, concurrency=1, seconds=seconds)

    return [
        step(stack.userfold),
        step(stack.companies),
        Step("batch/bare", bare(BATCH_CONNECTIONS)),
        Step("stream/userfold", stream),
        Step("batch/bare-1", bare(1)),
        # The batcher of plain_batcher does nothing for batches.
        *map(step, (stack.plain_schema, stack.plain, stack.plain_pymongo, stack.parse, stack.eve)),
    ]


def rpc(bench: Bench) -> Sequence[Step]:
    """One update per call, 64 concurrent callers."""
    stack, seconds = bench.stack, bench.seconds
    updates = updates_for(seconds, batched=False)

    def ours(number: int) -> Sample:
        load = Load(f"rpc{number}", updates)
        return over_grpc(stack, load, stream=False, concurrency=CONNECTIONS, seconds=seconds)

    def bare(number: int) -> Sample:
        return echo(stack, Load(f"rpc{number}", updates), concurrency=CONNECTIONS, seconds=seconds)

    return [Step("rpc/userfold", ours), Step("rpc/echo", bare)]
