"""`python -m benchmarks.overload`: three times what Userfold can take, for a minute. `make overload` runs it.

Clients that wait for nobody send single updates, over HTTP and then over gRPC. First the peak is looked for, then three
times as much is offered, then half of it. What was accepted must be stored, and what was refused must not be.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.environment.machine import machine
from benchmarks.environment.paths import BUILD, PUBLISHED, REPOSITORY
from benchmarks.environment.processes import BenchmarkFailed, resident_bytes
from benchmarks.load.messages import UPDATE_USER, unary_frame
from benchmarks.load.open_loop import ACCEPTED, REFUSED
from benchmarks.load.users import Load
from benchmarks.load.wrk import raw_request, write_frames
from benchmarks.runs import store_base
from benchmarks.stack import Stack

_FIRST_RATE = 600.0
_STEP = 1.25
_TIMES = 3
_LEAST_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Face:
    """One of the two ways in, and how many connections its clients have."""

    name: str
    title: str
    connections: int
    is_http: bool


FACES: Final = (
    Face("http", "`POST /v1/users`", 4000, is_http=True),
    Face("grpc", "gRPC `UpdateUser`", 4, is_http=False),
)


class Overload:
    """The load on one face, and the processes under it."""

    def __init__(self, stack: Stack, face: Face) -> None:
        self._stack = stack
        self._face = face
        self._runs = 0
        services = stack.userfold.services if face.is_http else stack.userfold.services[:1]
        self.pids = {each.name.rpartition("-")[2]: each.pid for each in services}

    def run(self, *phases: tuple[float, float]) -> list[dict[str, Any]]:
        """Offer rates, one after the other, for so many seconds each, and verify what became of it."""
        userfold, directory = self._stack.userfold, self._stack.directory
        self._runs += 1
        updates = min(100_000, int(sum(rate * seconds for rate, seconds in phases)))
        load = Load(f"overload-{self._face.name}{self._runs}", updates)
        store_base(userfold, load)
        frames, statuses = directory / "requests", directory / "statuses"
        options = {"face": self._face.name, "connections": self._face.connections, "phases": phases}
        options |= {
            "frames": str(frames),
            "statuses": str(statuses),
            "watched": self.pids | {"mongod": self._stack.mongod_pid},
        }
        if self._face.is_http:
            options |= {"address": userfold.url.removeprefix("http://")}
            write_frames(
                (raw_request(userfold.url, userfold.headers, userfold.single(each)) for each in load.ids), frames
            )
        else:
            options |= {"address": self._stack.grpc, "method": UPDATE_USER, "metadata": userfold.headers}
            write_frames(map(unary_frame, load.ids), frames)
        command = [sys.executable, "-m", "benchmarks.load.open_loop", json.dumps(options)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=REPOSITORY)
        found: list[dict[str, Any]] = json.loads(ended.stdout)
        self._verify(load, found, statuses.read_bytes())
        return found

    def _verify(self, load: Load, found: Sequence[dict[str, Any]], statuses: bytes) -> None:
        for phase in found:
            if {*phase["outcomes"]} - {ACCEPTED, REFUSED}:
                raise BenchmarkFailed(f"neither accepted nor refused: {phase['outcomes']}")
        ids = load.ids[: len(statuses)]
        accepted = {each for each, status in zip(ids, statuses, strict=True) if status == 2}
        # Those of the base were there before.
        refused = {*ids} - accepted - {*load.base}
        stored = {
            each["user_id"]
            for each in self._stack.userfold.collection.find(
                {"user_id": {"$gte": f"{load.name}-", "$lt": f"{load.name}."}}, {"user_id": 1}
            )
        }
        if accepted - stored or refused & stored:
            raise BenchmarkFailed(
                f"{len(accepted - stored)} accepted and lost, {len(refused & stored)} refused and stored"
            )


class Memory:
    """The resident memory of processes, looked at while the block runs: at its start, and the most."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.first = self._now()
        self.most = dict(self.first)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _now(self) -> dict[str, float]:
        return {name: round(resident_bytes(pid) / 1e6, 1) for name, pid in self._pids.items()}

    def _look(self) -> None:
        while not self._ended.wait(0.25):
            now = self._now()
            self.most = {name: max(most, now[name]) for name, most in self.most.items()}


def measure(stack: Stack, face: Face, seconds: float) -> dict[str, Any]:
    """Find the peak, offer three times as much for so many seconds, then half of it."""
    overload = Overload(stack, face)
    step_seconds = max(2.0, seconds / 15)
    overload.run((_FIRST_RATE / 2, step_seconds))  # Everything is warm.
    steps: list[dict[str, Any]] = []
    rate = _FIRST_RATE
    while len(steps) < 2 or steps[-1]["goodput"] > 0.8 * rate / _STEP:
        steps += overload.run((rate, 1.0), (rate, step_seconds))[1:]
        print(f"offered {rate:,.0f}/s: {_told(steps[-1])}", file=sys.stderr, flush=True)
        rate *= _STEP
    peak = max(step["goodput"] for step in steps)
    with Memory(overload.pids) as memory:
        over, after = overload.run((_TIMES * peak, seconds), (peak / 2, 5.0))
    share = round(over["goodput"] / peak, 3)
    found = {"peak": peak, "share": share, "recovered_after_s": after["last_refused_s"], "overload": over}
    return found | {"after": after, "memory_mb": {"at_first": memory.first, "at_most": memory.most}, "steps": steps}


def markdown(results: Mapping[str, Any]) -> str:
    """The table, from what `measure` found of each face."""
    faces = [(face, results["faces"][face.name]) for face in FACES if face.name in results["faces"]]
    titles = " | ".join(face.title for face, _ in faces)
    columns = [_column(found) for _, found in faces]
    rows = [f"| {name} | {' | '.join(column.get(name, '') for column in columns)} |" for name in columns[0]]
    lines = [f"| measure | {titles} |", f"| --- |{' --- |' * len(faces)}", *rows, ""]
    machine = results["machine"]
    shared = f"{machine['cpu']}, {machine['cores']} cores shared by all, the load included, {machine['memory_gib']} GiB"
    return "\n".join([*lines, f"{shared}; {results['date']}.", ""])


def _column(found: Mapping[str, Any]) -> dict[str, str]:
    over, after, memory = found["overload"], found["after"], found["memory_mb"]
    met = "met" if found["share"] >= _LEAST_SHARE else "**missed**"
    spent = ", ".join(f"{name} {cores:.2f}" for name, cores in over["cores"].items())
    peaks = [
        f"{name} {memory['at_most'][name]:.0f} MB ({first:.0f} before)" for name, first in memory["at_first"].items()
    ]
    return {
        "peak of accepted updates": f"{found['peak']:,.0f}/s",
        "offered": f"{over['offered']:,.0f}/s for {over['seconds']:g} s",
        "of those not sent, as no connection had room": f"{over['unsent'] / over['seconds']:,.0f}/s",
        "refused": f"{over['refused']:,.0f}/s, p99 {over['refused_p99_ms']:.0f} ms" if over["refused"] else "none",
        "accepted": f"{over['goodput']:,.0f}/s",
        "accepted, of the peak": f"**{found['share']:.2f}** (>= {_LEAST_SHARE}: {met})",
        "latency of what is accepted": f"p50 {over['p50_ms']:.0f} ms, p99 {over['p99_ms']:.0f} ms",
        "resident memory at most": ", ".join(peaks),
        "cores spent": spent,
        "last refusal after the load fell to half of the peak": f"{found['recovered_after_s']:.2f} s",
        "latency then": f"p50 {after['p50_ms']:.0f} ms, p99 {after['p99_ms']:.0f} ms",
    }


def _told(phase: dict[str, Any]) -> str:
    cores = ", ".join(f"{name} {spent:.2f}" for name, spent in phase["cores"].items())
    return (
        f"{phase['goodput']:,.0f}/s accepted, p50 {phase['p50_ms']:.0f} ms, p99 {phase['p99_ms']:.0f} ms; "
        f"{phase['refused']:,.0f}/s refused; cores: {cores}"
    )


def main() -> int:
    """Measure, and print the table. The results go to build/, or with --publish to results/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the overload (default: 60)")
    parser.add_argument("--face", choices=[face.name for face in FACES], help="measure this one alone")
    parser.add_argument("--publish", action="store_true", help="write the results into the repository, not into build/")
    options = parser.parse_args()
    if options.publish and (options.seconds < 60 or options.face):
        parser.error("only a whole minute of all can be published")
    build = BUILD
    build.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="overload-", dir=build))
    found = {}
    try:
        with Stack(directory, peers=False) as stack:
            for face in FACES:
                if options.face in (None, face.name):
                    found[face.name] = measure(stack, face, options.seconds)
    except BenchmarkFailed as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    results = {"faces": found, "machine": machine(), "date": time.strftime("%Y-%m-%d")}
    kept = PUBLISHED if options.publish else build
    (kept / "overload.json").write_text(json.dumps(results, indent=1) + "\n")
    (kept / "overload.md").write_text(markdown(results))
    print(markdown(results))
    return 0 if all(each["share"] >= _LEAST_SHARE for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
