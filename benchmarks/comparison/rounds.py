"""The parts of `make bench`. Each returns the steps that run in every round, in interleaved order."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from benchmarks.contenders.clients import Contender, Userfold
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.load import wrk
from benchmarks.load.frames import write_frames
from benchmarks.load.users import BATCH, Load, body_of
from benchmarks.load.wrk import Request, measured_from, raw_request
from benchmarks.runs import (
    BATCH_CONNECTIONS,
    CONNECTIONS,
    Sample,
    bare_driver,
    cpu_of,
    echo,
    over_grpc,
    over_http,
    sample_of,
    store_base,
    updates_for,
    verify,
)
from benchmarks.stack import Stack

_FLOOD_CONNECTIONS = 32
_ALIAS_USERS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a round: the key of its samples, and the function that makes one for the number of a round."""

    key: str
    run: Callable[[int], Sample]


def single(stack: Stack, seconds: float) -> Sequence[Step]:
    """One update per request, 64 connections."""
    _, *peers = stack.contenders
    return [*http(stack, seconds), *(_single(stack, contender, seconds) for contender in peers)]


def http(stack: Stack, seconds: float) -> Sequence[Step]:
    """The steps of `single` that compare the gateway's HTTP server with uvicorn."""
    return [_single(stack, contender, seconds) for contender in (stack.userfold, stack.uvicorn)]


def _single(stack: Stack, contender: Contender, seconds: float) -> Step:
    def run(number: int) -> Sample:
        load = Load(f"single{number}", updates_for(seconds, batched=False))
        return over_http(stack, contender, load, batched=False, connections=CONNECTIONS, seconds=seconds)

    return Step(f"single/{contender.name}", run)


def batch(stack: Stack, seconds: float) -> Sequence[Step]:
    """100 updates per request, per message of a stream, and per bulk write of the bare driver."""
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

    ours, *others = [step(contender) for contender in stack.contenders]
    return [
        ours,
        Step("batch/bare", bare(BATCH_CONNECTIONS)),
        Step("stream/userfold", stream),
        Step("batch/bare-1", bare(1)),
        *others,
    ]


def rpc(stack: Stack, seconds: float) -> Sequence[Step]:
    """One update per call, 64 concurrent callers."""
    updates = updates_for(seconds, batched=False)

    def ours(number: int) -> Sample:
        load = Load(f"rpc{number}", updates)
        return over_grpc(stack, load, stream=False, concurrency=CONNECTIONS, seconds=seconds)

    def bare(number: int) -> Sample:
        return echo(stack, Load(f"rpc{number}", updates), concurrency=CONNECTIONS, seconds=seconds)

    return [Step("rpc/userfold", ours), Step("rpc/echo", bare)]


def latency(stack: Stack, seconds: float) -> Sequence[Step]:
    """One update per request, one connection."""

    def step(contender: Contender) -> Step:
        def run(number: int) -> Sample:
            load = Load(f"latency{number}", updates_for(seconds, batched=False))
            return over_http(stack, contender, load, batched=False, connections=1, seconds=seconds)

        return Step(f"latency/{contender.name}", run)

    return [step(contender) for contender in stack.contenders[:2]]


def fairness(stack: Stack, seconds: float) -> Sequence[Step]:
    """The updates of one connection while 32 connections send batches, in Userfold those of another application."""
    userfold = stack.userfold
    other = stack.new_application(Userfold, userfold.url, userfold.services, userfold.collection.database.name)

    def step(contender: Contender, flooding: Contender) -> Step:
        def run(number: int) -> Sample:
            load = Load(f"flooded{number}", updates_for(seconds, batched=False))
            meanwhile = _flood(
                stack, flooding, Load(f"flood{number}", updates_for(seconds + 2, batched=True)), seconds + 2
            )
            sample = over_http(
                stack, contender, load, batched=False, connections=1, seconds=seconds, meanwhile=meanwhile
            )
            # Most of the CPU time was spent on the flood.
            return replace(sample, cpu_us={})

        return Step(f"flooded/{contender.name}", run)

    return [step(userfold, other), step(stack.plain, stack.plain)]


@contextmanager
def _flood(stack: Stack, flooding: Contender, load: Load, seconds: float) -> Iterator[None]:
    """Send batches from 32 connections, starting a second before the block."""
    store_base(flooding, load)
    frames = stack.directory / "flood"
    requests = (raw_request(flooding.url, flooding.headers, flooding.batch(ids)) for ids in load.batches())
    write_frames(requests, frames)
    command = wrk.command(flooding.url, frames, _FLOOD_CONNECTIONS, seconds)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(1)
        yield
        if process.poll() is not None:
            raise BenchmarkFailed("the flood ended before the run that it should disturb")
        output, _ = process.communicate(timeout=60)
    verify(flooding, load, measured_from(output.rstrip().rpartition("\n")[2]), BATCH)


def aliases(stack: Stack, seconds: float) -> Sequence[Step]:
    """Updates of users with 10 and with 1,000 session tokens, one connection."""
    userfold = stack.userfold
    users = {count: [f"aliases{count}-{number}" for number in range(_ALIAS_USERS)] for count in (10, 1000)}
    for count, ids in users.items():
        for user_id in ids:
            bodies = [_with_token(user_id, str(token)) for token in range(1, count)] + [body_of(user_id)]
            userfold.send(Request("POST", "/v1/users/batch", f"[{','.join(bodies)}]"))

    def step(key: str, count: int, body: Callable[[str, int, int], str]) -> Step:
        def run(number: int) -> Sample:
            frames = stack.directory / "requests"
            bodies = (body(users[count][index % _ALIAS_USERS], number, index) for index in range(int(seconds * 1000)))
            requests = (Request("POST", "/v1/users", text) for text in bodies)
            write_frames((raw_request(userfold.url, userfold.headers, request) for request in requests), frames)
            with cpu_of(stack, userfold.services) as cpu:
                measured = wrk.send(userfold.url, frames, 1, seconds)
            for user_id in users[count]:
                userfold.check_profile(user_id, count)
            return sample_of(measured, 1, cpu(measured.calls))

        return Step(f"aliases/{key}", run)

    return [
        step("10", 10, lambda user_id, *_: body_of(user_id)),
        step("1000", 1000, lambda user_id, *_: body_of(user_id)),
        step("1000-new", 1000, lambda user_id, number, index: _with_token(user_id, f"new-{number}-{index}")),
    ]


def _with_token(user_id: str, token: str) -> str:
    """The update of a user with another session token."""
    return body_of(user_id).replace(f"token-of-{user_id}", f"{token}-of-{user_id}")


def in_turn(steps: Sequence[Step], number: int) -> Sequence[Step]:
    """The steps in the order of a round: each round starts with another step, so that none is always first."""
    start = number % len(steps)
    return [*steps[start:], *steps[:start]]


def warm_up(stack: Stack, seconds: float) -> None:
    """Send a load to every contender before the first round, so that all have connected and filled their caches."""
    for contender in (*stack.contenders, stack.uvicorn):
        load = Load("warm", updates_for(seconds, batched=False))
        over_http(stack, contender, load, batched=False, connections=CONNECTIONS, seconds=seconds)
