"""`python -m benchmarks`: compare Userfold with its peers on one machine. `make bench` installs the peers first."""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison import many_profiles
from benchmarks.comparison.parts import PARTS
from benchmarks.comparison.report import document, markdown
from benchmarks.comparison.steps import Bench, run_round, warm_up
from benchmarks.environment.machine import machine
from benchmarks.environment.paths import BUILD, PEERS_PYTHON, PUBLISHED, REPOSITORY
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.environment.versions import commit, versions
from benchmarks.stack import Stack
from docs.generator.figures import quote
from server.local.mongod import MongodUnavailable


def main() -> int:
    """Measure, print the tables, and write the results to build/bench/, or with --publish to benchmarks/results/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test of four minutes")
    parser.add_argument("--rounds", type=int, help="number of interleaved rounds (default: 5)")
    parser.add_argument("--seconds", type=float, help="duration of each run (default: 3)")
    parser.add_argument("--profiles", type=int, help="number of profiles that count as many (default: 1000000)")
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of {','.join(PARTS)}")
    parser.add_argument("--publish", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    options.profiles = options.profiles or (20_000 if options.quick else 1_000_000)
    parts = options.only or [*PARTS]
    if unknown := {*parts} - {*PARTS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if options.publish and (options.quick or options.only):
        parser.error("only the results of all parts can be published")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Raises SystemExit, so that every program is stopped first.
    BUILD.mkdir(exist_ok=True)
    # Not in /tmp, which may be in memory, where journaling costs nothing.
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=BUILD))
    try:
        results = _measure(directory, parts, options.rounds, options.seconds, options.profiles)
    except (BenchmarkFailed, MongodUnavailable) as error:
        logs = BUILD / "bench-failed"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
        for log in directory.glob("*.log"):
            shutil.copy(log, logs)
        print(f"benchmark failed: {error}\nlogs are in {logs}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    _write(results, PUBLISHED if options.publish else BUILD / "bench")
    if options.publish:
        quote("performance.md")
        quote("capacity.md")
    return 0


def _measure(directory: Path, parts: Sequence[str], count: int, seconds: float, profiles: int) -> dict[str, Any]:
    started = time.monotonic()

    def log(text: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {text}", file=sys.stderr, flush=True)

    # Before anything is measured: the checkout may change meanwhile.
    checkout = commit()
    log("starting all programs ...")
    with Stack(directory) as stack:
        bench = Bench(stack, seconds, profiles, log)
        # `single` includes the steps of `http`.
        chosen = [PARTS[name] for name in PARTS if name in parts and not (name == "http" and "single" in parts)]
        steps = [part(bench) for part in chosen]
        warm_up(bench, chosen)
        rounds = [run_round(bench, steps, number) for number in range(count)]
        setting = {
            "date": time.strftime("%Y-%m-%d"),
            **checkout,
            "rounds": count,
            "seconds": seconds,
            "profiles": profiles,
            "machine": machine(),
            "versions": versions(stack.client.server_info()["version"]),
            "contenders": {
                contender.name: contender.writes for contender in (*stack.contenders, stack.companies, stack.uvicorn)
            },
            "memory": bench.databases[profiles].memory if profiles in bench.databases else (),
            "stored": many_profiles.stored(bench),
        }
    order = [step.key for of_part in steps for step in of_part]
    return document({key: [samples[key] for samples in rounds] for key in order}, setting)


def _write(results: dict[str, Any], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "latest.json"
    file.write_text(json.dumps(results, indent=1) + "\n")
    (directory / "latest.md").write_text(markdown(results))
    command = [str(PEERS_PYTHON), "-m", "benchmarks.comparison.plot", str(file), str(directory / "latest.png")]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    print(markdown(results))
    print(f"written to {directory}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
