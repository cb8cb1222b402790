"""`python -m benchmarks.costs`: what an update costs, and what it takes to serve many. `make costs` runs it, on Linux.

The tables: the CPU time of each kind of thread and of each stage of an update, the cost of an exchange between two gRPC
programs, the cost of a group of updates for MongoDB, rates with several workers, and memory per connection, queued
update and cached credential.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import uvloop

from benchmarks.costs.exchanges import exchanges
from benchmarks.costs.groups import groups
from benchmarks.costs.memory import memory
from benchmarks.costs.report import markdown
from benchmarks.costs.stages import stages
from benchmarks.costs.threads import runs
from benchmarks.costs.workers import workers
from benchmarks.environment.machine import machine
from benchmarks.environment.paths import BUILD, PUBLISHED
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.environment.versions import commit
from benchmarks.stack import Stack
from docs.generator.figures import quote


def main() -> int:
    """Measure, print the tables, and write the results to build/, or with --publish to benchmarks/results/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("--publish", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    checkout = commit()
    directory = Path(tempfile.mkdtemp(prefix="costs-", dir=BUILD))
    try:
        with Stack(directory, peers=False) as stack:
            of_threads = runs(stack)
            of_stages = uvloop.run(stages(stack))
            of_groups = groups(stack)
            of_workers = workers(stack)
            of_memory = memory(stack)
            echo = stack.start("echo", [sys.executable, "-m", "benchmarks.contenders.grpc_echo"])
            of_exchanges = uvloop.run(exchanges(echo, echo.ready_field("grpc")))
    except BenchmarkFailed as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    results = {
        "runs": [asdict(run) for run in of_threads],
        "stages": of_stages,
        "exchanges": {name: asdict(exchange) for name, exchange in of_exchanges.items()},
        "groups": of_groups,
        "workers": of_workers,
        "memory": of_memory,
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        **checkout,
    }
    output = PUBLISHED if options.publish else BUILD
    (output / "costs.json").write_text(json.dumps(results, indent=1) + "\n")
    (output / "costs.md").write_text(markdown(results))
    if options.publish:
        quote("capacity.md")
        quote("performance.md")
    print(markdown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
