"""The CPU time of each kind of thread per update, and how long it waits for a core."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from benchmarks.environment.processes import Service
from benchmarks.load.users import Load
from benchmarks.runs import CONNECTIONS, Sample, over_grpc, over_http, updates_for
from benchmarks.stack import Stack

_SECONDS: Final = 6.0
_KINDS: Final = {"conn": "connections", "event_engine": "gRPC's own", "JournalFlus": "journal", "OplogVi": "oplog"}
"""Kinds of threads by the beginning of their names. The names of other threads do not say what they do."""


class Threads:
    """Measures the threads of programs during the block, in microseconds by program and kind of thread.

    `ran` is their CPU time, `waited` the time in which they were ready to run without a core.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.ran: Counter[str] = Counter()
        self.waited: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._add(-1)
        return self

    def __exit__(self, *_: object) -> None:
        self._add(1)

    def _add(self, sign: int) -> None:
        for program, pid in self._pids.items():
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):  # A thread may end at any time.
                    name = (task / "comm").read_text()
                    kind = next((kind for start, kind in _KINDS.items() if name.startswith(start)), "others")
                    key = f"{program}, {'main' if task.name == str(pid) else kind}"
                    ran, waited, _ = (int(word) for word in (task / "schedstat").read_text().split())
                    self.ran[key] += sign * ran // 1000
                    self.waited[key] += sign * waited // 1000


@dataclass(frozen=True, slots=True)
class Run:
    """A load on Userfold, and what its threads did, in microseconds per update. `cores` is the mean number of busy
    cores."""

    title: str
    rate: float
    cores: float
    ran: Mapping[str, float]
    waited: Mapping[str, float]


def runs(stack: Stack) -> list[Run]:
    """Single updates, over HTTP and over gRPC."""
    updates = updates_for(_SECONDS, batched=False)

    def http(threads: Threads) -> Sample:
        return over_http(
            stack,
            stack.userfold,
            Load("costs-http", updates),
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
        _run(stack, f"`POST /v1/users`, {CONNECTIONS} connections", services, http),
        _run(stack, f"gRPC `UpdateUser`, {CONNECTIONS} callers", services[:1], rpc),
    ]


def _run(stack: Stack, title: str, services: Sequence[Service], send: Callable[[Threads], Sample]) -> Run:
    threads = Threads({service.program: service.pid for service in services} | {"mongod": stack.mongod_pid})
    sample = send(threads)
    updates = sample.rate * _SECONDS
    cores = sum(sample.cpu_us.values()) * sample.rate / 1e6
    ran, waited = ({key: us / updates for key, us in counter.items()} for counter in (threads.ran, threads.waited))
    return Run(title, sample.rate, cores, ran, waited)
