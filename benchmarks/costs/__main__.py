"""`python -m benchmarks.costs`: where the time of an update goes. `make costs` runs it, in a minute, on Linux.

Three tables: what each kind of thread costs an update, and how long it waits for a core; what an exchange between two
gRPC programs costs; what a group costs MongoDB.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import grpc
import uvloop
from pymongo import MongoClient, UpdateOne, WriteConcern

from benchmarks.comparison.rounds import CONNECTIONS
from benchmarks.contenders.grpc_echo import EACH, METHOD
from benchmarks.environment.machine import CORES, machine
from benchmarks.environment.paths import BUILD, PUBLISHED
from benchmarks.environment.processes import BenchmarkFailed, Service, cpu_seconds
from benchmarks.load.users import Load, update_of
from benchmarks.runs import Sample, over_grpc, over_http, updates_for
from benchmarks.stack import Stack
from server.model import UserUpdate
from server.mongo.update_document import dotted_update
from server.users.update import plan_update

_SECONDS: Final = 6.0
_ROUNDS: Final = 3
_KINDS: Final = {"conn": "connections", "event_engine": "gRPC's own", "JournalFlus": "journal", "OplogVi": "oplog"}
"""Threads by the beginning of their names. Others have none that tells."""

_MESSAGE_BYTES: Final = 13_000
"""What a group of 32 updates takes."""
_PAUSE_SECONDS: Final = 0.01
"""About as long is between two groups: both programs, and the cores, have gone to sleep meanwhile."""
_EXCHANGES: Final = 250
_AT_ONCE: Final = 2

_GROUPS: Final = (1, 8, 32, 100)
_WRITING_SECONDS: Final = 1.5

_Operation: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""A filter and an update."""


class Threads:
    """The CPU time of programs' threads while the block runs, and the time in which one could run but had no core: in
    microseconds, by program and kind of thread."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.ran: Counter[str] = Counter()
        self.waited: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._look(-1)
        return self

    def __exit__(self, *_: object) -> None:
        self._look(1)

    def _look(self, sign: int) -> None:
        for program, pid in self._pids.items():
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):  # It may end at any time.
                    name = (task / "comm").read_text()
                    kind = next((kind for start, kind in _KINDS.items() if name.startswith(start)), "others")
                    key = f"{program}, {'main' if task.name == str(pid) else kind}"
                    ran, waited, _ = (int(word) for word in (task / "schedstat").read_text().split())
                    self.ran[key] += sign * ran // 1000
                    self.waited[key] += sign * waited // 1000


@dataclass(frozen=True, slots=True)
class Run:
    """A load on Userfold, and what the threads did meanwhile, in microseconds for each update."""

    title: str
    rate: float
    cores: float
    ran: Mapping[str, float]
    waited: Mapping[str, float]


def run_of(stack: Stack, title: str, services: Sequence[Service], load: Callable[[Threads], Sample]) -> Run:
    """Send a load, and tell what it cost these services and MongoDB."""
    threads = Threads({each.name.rpartition("-")[2]: each.pid for each in services} | {"mongod": stack.mongod_pid})
    sample = load(threads)
    updates = sample.rate * _SECONDS
    spent = sum(sample.cpu_us.values()) * sample.rate / 1e6
    ran, waited = ({key: us / updates for key, us in each.items()} for each in (threads.ran, threads.waited))
    return Run(title, sample.rate, spent, ran, waited)


def runs(stack: Stack) -> list[Run]:
    """Single updates, over HTTP and over gRPC."""
    updates = updates_for(_SECONDS, batched=False)

    def http(threads: Threads) -> Sample:
        load = Load("costs-http", updates)
        return over_http(
            stack,
            stack.userfold,
            load,
            batched=False,
            connections=CONNECTIONS,
            seconds=_SECONDS,
            meanwhile=threads,
        )

    def rpc(threads: Threads) -> Sample:
        load = Load("costs-rpc", updates)
        return over_grpc(stack, load, stream=False, concurrency=CONNECTIONS, seconds=_SECONDS, meanwhile=threads)

    services = stack.userfold.services
    return [
        run_of(stack, f"`POST /v1/users`, {CONNECTIONS} connections", services, http),
        run_of(stack, f"gRPC `UpdateUser`, {CONNECTIONS} callers", services[:1], rpc),
    ]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a message and its answer cost: CPU time in microseconds, and milliseconds until the answer is there."""

    client_us: float
    server_us: float
    ms: float


async def exchanges(echo: Service, target: str) -> dict[str, Exchange]:
    """A group's message to a bare server and back, as a call of its own and on a stream that is open."""
    message = bytes(_MESSAGE_BYTES)
    channel: Any
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary(METHOD)

        async def unary() -> None:
            await call(message, timeout=10)

        def streamed() -> Callable[[], Awaitable[None]]:
            stream = channel.stream_stream(EACH)()

            async def exchange() -> None:
                await stream.write(message)
                await stream.read()

            return exchange

        found: dict[str, list[Exchange]] = {"a call": [], "on an open stream": []}
        for _ in range(_ROUNDS):
            found["a call"].append(await _measured(echo, [unary] * _AT_ONCE))
            found["on an open stream"].append(await _measured(echo, [streamed() for _ in range(_AT_ONCE)]))
    return {name: _median(each) for name, each in found.items()}


async def _measured(echo: Service, callers: Sequence[Callable[[], Awaitable[None]]]) -> Exchange:
    latencies: list[float] = []

    async def repeat(exchange: Callable[[], Awaitable[None]]) -> None:
        for _ in range(_EXCHANGES):
            started = time.perf_counter()
            await exchange()
            latencies.append(time.perf_counter() - started)
            await asyncio.sleep(_PAUSE_SECONDS)

    client, server = time.process_time(), cpu_seconds(echo.pid)
    await asyncio.gather(*(repeat(each) for each in callers))
    client, server = time.process_time() - client, cpu_seconds(echo.pid) - server
    count = len(latencies)
    return Exchange(client / count * 1e6, server / count * 1e6, statistics.median(latencies) * 1e3)


def _median(each: Sequence[Exchange]) -> Exchange:
    return Exchange(
        *(statistics.median(getattr(one, name) for one in each) for name in ("client_us", "server_us", "ms"))
    )


def groups(stack: Stack) -> dict[str, list[list[float]]]:
    """What groups of each size cost MongoDB, one after the other: milliseconds, and its CPU time in microseconds for
    each update. First as the driver has it sent again after an error, numbered so that it is never applied twice."""
    load = Load("costs-groups", 20_000)
    operations = cycle([_operation(each) for each in [*load.base, *load.ids]])
    found: dict[str, list[list[float]]] = {}
    titles = {True: "numbered by the driver, to be sent again safely", False: "sent once"}
    with ExitStack() as open_clients:
        clients = {
            title: open_clients.enter_context(MongoClient[dict[str, Any]](stack.uri, retryWrites=retried))
            for retried, title in titles.items()
        }
        for size in _GROUPS:
            rounds = [
                {title: _written(stack, client, operations, size) for title, client in clients.items()}
                for _ in range(_ROUNDS)
            ]
            for title in clients:
                of_each = zip(*(each[title] for each in rounds), strict=True)
                found.setdefault(title, []).append([statistics.median(values) for values in of_each])
    return found


def _written(
    stack: Stack, client: MongoClient[dict[str, Any]], operations: Iterator[_Operation], size: int
) -> tuple[float, float]:
    """Write group after group for a while: the milliseconds of one, and MongoDB's microseconds for each update."""
    database = client[stack.userfold.collection.database.name]
    profiles = database.get_collection("profiles", write_concern=WriteConcern(w="majority", j=True))
    latencies = []
    spent, deadline = cpu_seconds(stack.mongod_pid), time.perf_counter() + _WRITING_SECONDS
    while (started := time.perf_counter()) < deadline:
        modified_time = datetime.now(UTC)
        group = list(islice(operations, size))
        for _, update in group:
            update["$set"]["modified_time"] = modified_time
        profiles.bulk_write([UpdateOne(*each, upsert=True) for each in group], ordered=False)
        latencies.append(time.perf_counter() - started)
    spent = cpu_seconds(stack.mongod_pid) - spent
    return statistics.median(latencies) * 1e3, spent / len(latencies) / size * 1e6


def _operation(user_id: str) -> _Operation:
    write = plan_update("costs", UserUpdate(**update_of(user_id)), time.time_ns()).write
    return {"_id": write.profile_id}, dotted_update(write)


def markdown(results: Mapping[str, Any]) -> str:
    """The tables, from what `main` gathered."""
    lines = []
    for run in results["runs"]:
        lines += [
            f"{run['title']}: {run['rate']:,.0f}/s, {run['cores']:.2f} of {CORES} cores busy.",
            "",
            "| threads | CPU time an update | ready, but without a core |",
            "| --- | ---: | ---: |",
        ]
        by_cost = sorted(run["ran"].items(), key=lambda item: -item[1])
        lines += [f"| {key} | {us:.0f} us | {run['waited'][key]:.0f} us |" for key, us in by_cost if us >= 1]
        lines.append("")
    size = f"{_MESSAGE_BYTES:,} bytes, {_PAUSE_SECONDS * 1000:g} ms apart"
    lines += [f"| {size} | client | server | answered after |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {each['client_us']:.0f} us | {each['server_us']:.0f} us | {each['ms']:.2f} ms |"
        for name, each in results["exchanges"].items()
    ]
    sizes = " | ".join(f"groups of {size}" for size in _GROUPS)
    lines += ["", f"| MongoDB, an update | {sizes} |", f"| --- |{' ---: |' * len(_GROUPS)}"]
    lines += [
        f"| {title} | {' | '.join(f'{us:.0f} us ({ms:.1f} ms a group)' for ms, us in each)} |"
        for title, each in results["groups"].items()
    ]
    about = results["machine"]
    shared = f"{about['cpu']}, {about['cores']} cores shared by all, the load included"
    return "\n".join([*lines, "", f"{shared}; {results['date']}.", ""])


def main() -> int:
    """Measure, and print the tables. The results go to build/, or with --publish to results/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("--publish", action="store_true", help="write the results into the repository, not into build/")
    options = parser.parse_args()
    build = BUILD
    build.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="costs-", dir=build))
    try:
        with Stack(directory, peers=False) as stack:
            measured = runs(stack)
            written = groups(stack)
            echo = stack.start("echo", [sys.executable, "-m", "benchmarks.contenders.grpc_echo"])
            exchanged = uvloop.run(exchanges(echo, echo.ready_field("grpc")))
    except BenchmarkFailed as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    results = {
        "runs": [asdict(each) for each in measured],
        "exchanges": {name: asdict(each) for name, each in exchanged.items()},
        "groups": written,
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
    }
    kept = PUBLISHED if options.publish else build
    (kept / "costs.json").write_text(json.dumps(results, indent=1) + "\n")
    (kept / "costs.md").write_text(markdown(results))
    print(markdown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
