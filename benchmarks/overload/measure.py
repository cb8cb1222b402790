"""The load of an overload: find the peak, offer three times as much, then half of it, and verify what is stored."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from benchmarks.environment.paths import REPOSITORY
from benchmarks.environment.processes import BenchmarkFailed, resident_bytes
from benchmarks.load.frames import write_frames
from benchmarks.load.messages import UPDATE_USER, unary_frame
from benchmarks.load.open_loop import ACCEPTED, REFUSED
from benchmarks.load.users import Load
from benchmarks.load.wrk import raw_request
from benchmarks.runs import store_base
from benchmarks.stack import Stack

MIN_SHARE: Final = 0.85
"""The share of the peak that must still be accepted under overload."""

_FIRST_RATE = 600.0
_STEP_FACTOR = 1.25
_OVERLOAD_FACTOR = 3
_MAX_USERS = 100_000


@dataclass(frozen=True, slots=True)
class Interface:
    """One of the interfaces of Userfold, and the number of connections that its clients open."""

    name: str
    title: str
    connections: int
    is_http: bool


INTERFACES: Final = (
    Interface("http", "`POST /v1/users`", 4000, is_http=True),
    Interface("grpc", "gRPC `UpdateUser`", 4, is_http=False),
)


class Overload:
    """Sends open-loop load to one interface."""

    def __init__(self, stack: Stack, interface: Interface) -> None:
        self._stack = stack
        self._interface = interface
        self._runs = 0
        services = stack.userfold.services if interface.is_http else stack.userfold.services[:1]
        self.pids = {service.program: service.pid for service in services}

    def run(self, *phases: tuple[float, float]) -> list[dict[str, Any]]:
        """Offer each phase's rate for its number of seconds. Raises BenchmarkFailed unless every accepted update is
        stored and no refused one is."""
        userfold, directory = self._stack.userfold, self._stack.directory
        self._runs += 1
        updates = min(_MAX_USERS, int(sum(rate * seconds for rate, seconds in phases)))
        load = Load(f"overload-{self._interface.name}{self._runs}", updates)
        store_base(userfold, load)
        frames, statuses = directory / "requests", directory / "statuses"
        options: dict[str, Any] = {
            "protocol": self._interface.name,
            "connections": self._interface.connections,
            "phases": phases,
            "frames": str(frames),
            "statuses": str(statuses),
            "watched": self.pids | {"mongod": self._stack.mongod_pid},
        }
        if self._interface.is_http:
            options |= {"address": userfold.url.removeprefix("http://")}
            requests = map(userfold.single, load.ids)
            write_frames((raw_request(userfold.url, userfold.headers, request) for request in requests), frames)
        else:
            options |= {"address": self._stack.grpc, "method": UPDATE_USER, "metadata": userfold.headers}
            write_frames(map(unary_frame, load.ids), frames)
        command = [sys.executable, "-m", "benchmarks.load.open_loop", json.dumps(options)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=REPOSITORY)
        measured: list[dict[str, Any]] = json.loads(ended.stdout)
        self._verify(load, measured, statuses.read_bytes())
        return measured

    def _verify(self, load: Load, measured: Sequence[Mapping[str, Any]], statuses: bytes) -> None:
        for phase in measured:
            if {*phase["outcomes"]} - {ACCEPTED, REFUSED}:
                raise BenchmarkFailed(f"neither accepted nor refused: {phase['outcomes']}")
        ids = load.ids[: len(statuses)]
        accepted = {user_id for user_id, status in zip(ids, statuses, strict=True) if status == 2}
        # The users of the base existed before.
        refused = {*ids} - accepted - {*load.base}
        stored = {
            document["user_id"]
            for document in self._stack.userfold.collection.find(
                {"user_id": {"$gte": f"{load.name}-", "$lt": f"{load.name}."}}, {"user_id": 1}
            )
        }
        if accepted - stored or refused & stored:
            raise BenchmarkFailed(
                f"{len(accepted - stored)} accepted and lost, {len(refused & stored)} refused and stored"
            )


class Memory:
    """Watches the resident memory of processes, in MB, during the block."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self._now()
        self.highest = dict(self.before)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _now(self) -> dict[str, float]:
        return {name: round(resident_bytes(pid) / 1e6, 1) for name, pid in self._pids.items()}

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            now = self._now()
            self.highest = {name: max(highest, now[name]) for name, highest in self.highest.items()}


def measure(stack: Stack, interface: Interface, seconds: float) -> dict[str, Any]:
    """Find the peak of accepted updates, offer three times as much for this long, then half of it."""
    overload = Overload(stack, interface)
    step_seconds = max(2.0, seconds / 15)
    overload.run((_FIRST_RATE / 2, step_seconds))  # To warm up.
    steps: list[dict[str, Any]] = []
    rate = _FIRST_RATE
    # One slow step may be a checkpoint of MongoDB: two in a row are beyond the peak.
    while len(steps) < 2 or any(step["goodput"] > 0.8 * step["offered"] for step in steps[-2:]):
        steps += overload.run((rate, 1.0), (rate, step_seconds))[1:]
        print(f"offered {rate:,.0f}/s: {_summary(steps[-1])}", file=sys.stderr, flush=True)
        rate *= _STEP_FACTOR
    peak = max(step["goodput"] for step in steps)
    with Memory(overload.pids) as memory:
        over, after = overload.run((_OVERLOAD_FACTOR * peak, seconds), (peak / 2, 5.0))
    return {
        "peak": peak,
        "share": round(over["goodput"] / peak, 3),
        "recovered_after_s": after["last_refused_s"],
        "overload": over,
        "after": after,
        "memory_mb": {"before": memory.before, "highest": memory.highest},
        "steps": steps,
    }


def _summary(phase: Mapping[str, Any]) -> str:
    cores = ", ".join(f"{name} {share:.2f}" for name, share in phase["cores"].items())
    return (
        f"{phase['goodput']:,.0f}/s accepted, p50 {phase['p50_ms']:.0f} ms, p99 {phase['p99_ms']:.0f} ms; "
        f"{phase['refused']:,.0f}/s refused; cores: {cores}"
    )
