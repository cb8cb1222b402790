"""`python -m benchmarks.overload`: three times what Userfold can take, for a minute. `make overload` runs it.

Clients that wait for nobody send single updates over HTTP. First the peak is looked for, then three times as much is
offered, then half of it. What was accepted must be stored, and what was refused must not be.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.http_load import raw_request, write_frames
from benchmarks.processes import BenchmarkFailed, resident_bytes
from benchmarks.runs import store_base
from benchmarks.stack import HERE, Stack
from benchmarks.users import Load
from benchmarks.versions import machine

_CONNECTIONS = 2000
_FIRST_RATE = 800.0
_STEP = 1.25
_TIMES = 3
_LEAST_SHARE = 0.85


class Overload:
    """The load, and the processes under it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._runs = 0

    def run(self, *phases: tuple[float, float]) -> list[dict[str, Any]]:
        """Offer rates, one after the other, for so many seconds each, and verify what became of it."""
        userfold, directory = self._stack.userfold, self._stack.directory
        self._runs += 1
        load = Load(f"overload{self._runs}", min(100_000, int(sum(rate * seconds for rate, seconds in phases))))
        store_base(userfold, load)
        frames, statuses = directory / "requests", directory / "statuses"
        write_frames((raw_request(userfold.url, userfold.headers, userfold.single(each)) for each in load.ids), frames)
        options = {"url": userfold.url, "frames": str(frames), "statuses": str(statuses), "phases": phases}
        command = [sys.executable, "-m", "benchmarks.open_load", json.dumps(options | {"connections": _CONNECTIONS})]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent)
        found: list[dict[str, Any]] = json.loads(ended.stdout)
        self._verify(load, found, statuses.read_bytes())
        return found

    def _verify(self, load: Load, found: Sequence[dict[str, Any]], statuses: bytes) -> None:
        for phase in found:
            if {*phase["statuses"]} - {"201", "429"}:
                raise BenchmarkFailed(f"neither accepted nor refused: {phase['statuses']}")
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


def measure(stack: Stack, seconds: float) -> dict[str, Any]:
    """Find the peak, offer three times as much for so many seconds, then half of it."""
    overload = Overload(stack)
    step_seconds = max(2.0, seconds / 15)
    overload.run((_FIRST_RATE / 2, step_seconds))  # Everything is warm.
    steps: list[dict[str, Any]] = []
    rate, peak = _FIRST_RATE, 0.0
    while len(steps) < 2 or steps[-1]["goodput"] > 0.8 * rate / _STEP:
        steps += overload.run((rate, step_seconds))
        print(f"offered {rate:,.0f}/s: {_told(steps[-1])}", file=sys.stderr, flush=True)
        rate *= _STEP
    peak = max(step["goodput"] for step in steps)
    with Memory({each.name.rpartition("-")[2]: each.pid for each in stack.userfold.services}) as memory:
        over, after = overload.run((_TIMES * peak, seconds), (peak / 2, 5.0))
    share = round(over["goodput"] / peak, 3)
    found = {"peak": peak, "share": share, "recovered_after_s": after["last_refused_s"], "overload": over}
    found |= {"after": after, "memory_mb": {"at_first": memory.first, "at_most": memory.most}, "steps": steps}
    return found | {"date": time.strftime("%Y-%m-%d"), "machine": machine()}


def markdown(found: dict[str, Any]) -> str:
    """The table, from what `measure` found."""
    over, after, memory = found["overload"], found["after"], found["memory_mb"]
    met = "met" if found["share"] >= _LEAST_SHARE else "**missed**"
    rows = [
        ("peak of accepted updates", f"{found['peak']:,.0f}/s"),
        ("offered", f"{over['offered']:,.0f}/s for {over['seconds']:g} s, of which {over['unsent']:,} were not sent"),
        ("accepted of those", f"{over['goodput']:,.0f}/s: {found['share']:.2f} of the peak (>= {_LEAST_SHARE}: {met})"),
        ("latency of what is accepted", f"p50 {over['p50_ms']:.0f} ms, p99 {over['p99_ms']:.0f} ms"),
        ("latency of refusals", f"p99 {over['refused_p99_ms']:.0f} ms"),
        *(
            (f"resident memory of the {name}", f"{first:.0f} MB at first, {memory['at_most'][name]:.0f} MB at most")
            for name, first in memory["at_first"].items()
        ),
        ("last refusal after the load fell to half of the peak", f"{found['recovered_after_s']:.2f} s"),
        ("latency then", f"p50 {after['p50_ms']:.0f} ms, p99 {after['p99_ms']:.0f} ms"),
        ("CPU time of the load generator", f"{over['load_cpu']:.2f} of a core"),
    ]
    return "\n".join(["| measure | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows), ""])


def _told(phase: dict[str, Any]) -> str:
    return f"{phase['goodput']:,.0f}/s accepted, p99 {phase['p99_ms']:.0f} ms, {phase['refused']:,.0f}/s refused"


def main() -> int:
    """Measure, and print the table. Only a whole minute replaces the results that the README quotes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the overload (default: 60)")
    options = parser.parse_args()
    build = HERE.parent / "build"
    build.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="overload-", dir=build))
    try:
        with Stack(directory, peers=False) as stack:
            found = measure(stack, options.seconds)
    except BenchmarkFailed as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    results = HERE / "results" if options.seconds >= 60 else build
    (results / "overload.json").write_text(json.dumps(found, indent=1) + "\n")
    (results / "overload.md").write_text(markdown(found))
    print(markdown(found))
    return 0 if found["share"] >= _LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
