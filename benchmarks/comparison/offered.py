"""Single updates at a fixed offered rate, as independent clients send them: `load/open_loop.py`."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.comparison.steps import Bench, Step
from benchmarks.contenders.clients import Contender
from benchmarks.environment.paths import REPOSITORY
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.load.frames import write_frames
from benchmarks.load.open_loop import ACCEPTED, REFUSED
from benchmarks.load.users import Load
from benchmarks.load.wrk import raw_request
from benchmarks.runs import Sample, store_base
from benchmarks.stack import Stack

RATES: Final = (500, 1500)
"""Updates per second. In a closed loop, two cores reach about 800 with the plain application and 2,600 with Userfold:
the first rate is what both can serve, the second is as much for Userfold as the first is for the plain application."""

_CONNECTIONS: Final = 500
_WARMING_SECONDS: Final = 1.0


def offered(bench: Bench) -> Sequence[Step]:
    """Each rate, to Userfold and to the plain application."""
    contenders = (bench.stack.userfold, bench.stack.plain)
    return [_step(bench, contender, rate) for rate in RATES for contender in contenders]


def _step(bench: Bench, contender: Contender, rate: int) -> Step:
    def run(number: int) -> Sample:
        updates = int(rate * (bench.seconds + _WARMING_SECONDS))
        load = Load(f"offered{rate}x{number}", updates)
        return _send(bench.stack, contender, load, rate, bench.seconds)

    return Step(f"offered-{rate}/{contender.name}", run)


def _send(stack: Stack, contender: Contender, load: Load, rate: int, seconds: float) -> Sample:
    store_base(contender, load)
    frames, statuses = stack.directory / "requests", stack.directory / "statuses"
    requests = (raw_request(contender.url, contender.headers, contender.single(user_id)) for user_id in load.ids)
    write_frames(requests, frames)
    services = {service.program: service.pid for service in contender.services}
    options: dict[str, Any] = {
        "protocol": "http",
        "address": contender.url.removeprefix("http://"),
        "connections": _CONNECTIONS,
        "phases": [(rate, _WARMING_SECONDS), (rate, seconds)],
        "frames": str(frames),
        "statuses": str(statuses),
        "watched": services | {"mongod": stack.mongod_pid},
    }
    command = [sys.executable, "-m", "benchmarks.load.open_loop", json.dumps(options)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=REPOSITORY)
    _, phase = json.loads(ended.stdout)
    _check(contender, load, statuses, phase)
    return sample_of_phase(phase)


def sample_of_phase(phase: dict[str, Any]) -> Sample:
    """The sample of a phase of open-loop load. Its percentiles are those of all requests that were due."""
    # Per accepted update.
    cpu_us = {name: round(cores * 1e6 / max(phase["goodput"], 1), 1) for name, cores in phase["cores"].items()}
    p50, p99 = (math.inf if phase[name] is None else phase[name] for name in ("due_p50_ms", "due_p99_ms"))
    return Sample(
        phase["goodput"],
        p50,
        p99,
        cpu_us,
        offered=phase["offered"],
        refused=phase["refused"],
        unsent=round(phase["unsent"] / phase["seconds"], 1),
    )


def _check(contender: Contender, load: Load, statuses: Path, phase: dict[str, Any]) -> None:
    """Raise BenchmarkFailed if a request failed, or if a user whose update was accepted is not stored as sent."""
    if {*phase["outcomes"]} - {ACCEPTED, REFUSED}:
        raise BenchmarkFailed(f"{contender.name} neither accepted nor refused: {phase['outcomes']}")
    accepted = [user_id for user_id, status in zip(load.ids, statuses.read_bytes(), strict=False) if status == 2]
    for user_id in accepted[:: max(1, len(accepted) // 20)]:
        contender.check_profile(user_id)
