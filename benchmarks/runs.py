"""One run: store the users that must exist, send the load, measure its cost, and verify what is stored."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contenders.clients import Contender
from benchmarks.contenders.grpc_echo import METHOD
from benchmarks.environment.paths import PEERS_PYTHON, REPOSITORY
from benchmarks.environment.processes import BenchmarkFailed, Service, cpu_seconds, run_load
from benchmarks.load import wrk
from benchmarks.load.frames import write_frames
from benchmarks.load.messages import (
    LOOKUP_USERS,
    STREAM_UPDATE_USERS,
    UPDATE_USER,
    lookup_frame,
    stream_frame,
    unary_frame,
)
from benchmarks.load.users import BATCH, Load, token_of
from benchmarks.load.wrk import Measured, raw_request
from benchmarks.stack import Stack
from server.users.ids import alias_digest

CONNECTIONS = 64
BATCH_CONNECTIONS = 8

# More than any contender reaches, because all requests of a run are built before it.
_SINGLES_PER_SECOND = 10_000
_BATCHED_PER_SECOND = 40_000
_SETTLING_SECONDS = 10
"""How long the requests in flight at the end of a load may take."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run measured. `cpu_us` holds the CPU time of each program in microseconds per update; `load` is the
    load generator."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    offered: float | None = None
    """The rate at which requests were due in an open loop, of which `refused` and `unsent` were not served. Percentiles
    among these are infinite."""
    refused: float = 0.0
    unsent: float = 0.0

    @property
    def gateway_us(self) -> float:
        """The CPU time of the gateway."""
        return self.cpu_us["gateway"]

    @property
    def userfold_us(self) -> float:
        """The CPU time of gateway and server."""
        return self.cpu_us["gateway"] + self.cpu_us["server"]


@contextmanager
def cpu_of(stack: Stack, services: Sequence[Service]) -> Iterator[Callable[[int], dict[str, float]]]:
    """Measure the CPU time of the block. After it, the yielded function returns microseconds for each of N updates."""
    pids = {service.program: service.pid for service in services} | {"mongod": stack.mongod_pid}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    spent: dict[str, float] = {}
    yield lambda updates: {name: round(seconds * 1e6 / updates, 1) for name, seconds in spent.items()}
    spent |= {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    for service in services:
        service.check()


def over_http(
    stack: Stack,
    contender: Contender,
    load: Load,
    *,
    batched: bool,
    connections: int,
    seconds: float,
    meanwhile: AbstractContextManager[object] | None = None,
) -> Sample:
    """Send a load to a contender, 1 or 100 updates per request. `meanwhile` is entered only while the load is sent."""
    store_base(contender, load)
    size = BATCH if batched else 1
    requests = map(contender.batch, load.batches()) if batched else map(contender.single, load.ids)
    frames = stack.directory / "requests"
    write_frames((raw_request(contender.url, contender.headers, request) for request in requests), frames)
    with meanwhile or nullcontext(), cpu_of(stack, contender.services) as cpu:
        measured = wrk.send(contender.url, frames, connections, seconds)
    verify(contender, load, measured, size)
    return sample_of(measured, size, cpu(measured.calls * size))


def look_up(
    stack: Stack, userfold: Contender, target: str, ids: Sequence[str], *, concurrency: int, seconds: float
) -> Sample:
    """Look up users by their session tokens with Userfold's LookupUsers."""
    frames = stack.directory / "messages"
    write_frames(map(lookup_frame, ids), frames)
    with cpu_of(stack, userfold.services[:1]) as cpu:
        measured = _grpc_load(target, LOOKUP_USERS, userfold.reading, frames, concurrency, seconds)
    return sample_of(measured, 1, cpu(measured.calls))


def find_one(stack: Stack, userfold: Contender, ids: Sequence[str], *, concurrency: int, seconds: float) -> Sample:
    """Find the same profiles on the same index with the bare driver."""
    first = userfold.collection.find_one({"user_id": {"$exists": True}}) or {}
    digests = stack.directory / "digests"
    digests.write_text(" ".join(alias_digest(first["application_id"], token_of(user_id)).hex() for user_id in ids))
    options = {"uri": stack.uri, "database": userfold.collection.database.name, "digests": str(digests)} | {
        "concurrency": concurrency,
        "seconds": seconds,
    }
    with cpu_of(stack, []) as cpu:
        measured = _run_module(sys.executable, "benchmarks.contenders.bare_find", options)
    return sample_of(measured, 1, cpu(measured.calls))


def over_grpc(
    stack: Stack,
    load: Load,
    *,
    stream: bool,
    concurrency: int,
    seconds: float,
    meanwhile: AbstractContextManager[object] | None = None,
) -> Sample:
    """Send a load to Userfold's server by UpdateUser or StreamUpdateUsers. `meanwhile` is entered only while the load
    is sent."""
    store_base(stack.userfold, load)
    frames = stack.directory / "messages"
    write_frames(map(stream_frame, load.batches()) if stream else map(unary_frame, load.ids), frames)
    method = STREAM_UPDATE_USERS if stream else UPDATE_USER
    with meanwhile or nullcontext(), cpu_of(stack, stack.userfold.services[:1]) as cpu:
        measured = _grpc_load(stack.grpc, method, stack.userfold.headers, frames, concurrency, seconds)
    size = BATCH if stream else 1
    verify(stack.userfold, load, measured, size)
    return sample_of(measured, size, cpu(measured.calls * size))


def echo(stack: Stack, load: Load, *, concurrency: int, seconds: float) -> Sample:
    """Send the messages of UpdateUser to the bare echo."""
    frames = stack.directory / "messages"
    write_frames(map(unary_frame, load.ids), frames)
    with cpu_of(stack, [stack.echo]) as cpu:
        measured = _grpc_load(stack.echo_target, METHOD, stack.userfold.headers, frames, concurrency, seconds)
    return sample_of(measured, 1, cpu(measured.calls))


def echo_look_up(stack: Stack, ids: Sequence[str], *, concurrency: int, seconds: float) -> Sample:
    """Send the messages of LookupUsers to the bare echo."""
    frames = stack.directory / "messages"
    write_frames(map(lookup_frame, ids), frames)
    with cpu_of(stack, [stack.echo]) as cpu:
        measured = _grpc_load(stack.echo_target, METHOD, stack.userfold.reading, frames, concurrency, seconds)
    return sample_of(measured, 1, cpu(measured.calls))


def bare_driver(stack: Stack, load: Load, *, concurrency: int, seconds: float) -> Sample:
    """Write a load with the bare driver's `bulk_write`, 100 updates at a time."""
    ids = stack.directory / "ids.json"
    ids.write_text(json.dumps([load.base, *load.batches()]))
    options = {"uri": stack.uri, "ids": str(ids), "concurrency": concurrency, "seconds": seconds}
    with cpu_of(stack, []) as cpu:
        measured = _run_module(str(PEERS_PYTHON), "benchmarks.contenders.bare_driver", options)
    stored = stack.client.bare.users.count_documents({"_id": {"$gte": f"{load.name}-", "$lt": f"{load.name}."}})
    if stored != load.stored_after(measured.sent * BATCH):
        raise BenchmarkFailed(f"the bare driver stored {stored} users of {load.stored_after(measured.sent * BATCH)}")
    return sample_of(measured, BATCH, cpu(measured.calls * BATCH))


def store_base(contender: Contender, load: Load) -> None:
    """Store the users that must exist before a load."""
    for start in range(0, len(load.base), BATCH):
        contender.send(contender.batch(load.base[start : start + BATCH]))


def verify(contender: Contender, load: Load, measured: Measured, size: int) -> None:
    """Raise BenchmarkFailed unless every user that was sent is stored as sent."""
    maximum = load.stored_after(measured.sent * size)
    # The requests in flight at the end of the load may be stored or not.
    minimum = maximum - (measured.sent - measured.calls) * size
    deadline = time.monotonic() + _SETTLING_SECONDS
    while not minimum <= (stored := contender.count(load)) <= maximum:
        if stored > maximum or time.monotonic() > deadline:
            raise BenchmarkFailed(f"{contender.name} stored {stored} users of {load.name}, not {minimum} to {maximum}")
        time.sleep(0.1)
    for user_id in load.sample(measured.sent * size):
        _check_profile(contender, user_id, deadline)


def _check_profile(contender: Contender, user_id: str, deadline: float) -> None:
    """Check a profile again until the deadline: on a busy machine, its request may still be in flight."""
    while time.monotonic() < deadline:
        with suppress(BenchmarkFailed):
            contender.check_profile(user_id)
            return
        time.sleep(0.1)
    contender.check_profile(user_id)


def sample_of(measured: Measured, size: int, cpu_us: dict[str, float]) -> Sample:
    """The sample of a run whose calls carried `size` updates each."""
    load = {"load": round(measured.cpu_seconds * 1e6 / (measured.calls * size), 1)}
    return Sample(round(measured.rate * size, 1), round(measured.p50_ms, 3), round(measured.p99_ms, 3), cpu_us | load)


def updates_for(seconds: float, *, batched: bool) -> int:
    """The number of updates to build for a load of this duration."""
    return int(seconds * (_BATCHED_PER_SECOND if batched else _SINGLES_PER_SECOND))


def _grpc_load(
    target: str, method: str, headers: Mapping[str, str], frames: Path, concurrency: int, seconds: float
) -> Measured:
    metadata = {name.lower(): value for name, value in headers.items()}
    options: dict[str, Any] = {"target": target, "method": method, "metadata": metadata}
    options |= {"frames": str(frames), "concurrency": concurrency, "seconds": seconds}
    return _run_module(sys.executable, "benchmarks.load.grpc_calls", options)


def _run_module(python: str, module: str, options: Mapping[str, Any]) -> Measured:
    """Run a load generator for `options["seconds"]` in a process of its own."""
    command = [python, "-m", module, json.dumps(options)]
    return Measured(**json.loads(run_load(command, options["seconds"], cwd=REPOSITORY)))
