"""`python -m benchmarks.overload`: offer Userfold three times its peak for a minute. `make overload` runs it.

Open-loop clients send single updates, over HTTP and then over gRPC. Accepted updates must be stored, refused ones must
not be.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.environment.machine import machine
from benchmarks.environment.paths import BUILD, PUBLISHED
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.environment.versions import commit
from benchmarks.overload.measure import INTERFACES, MIN_SHARE, measure
from benchmarks.overload.report import markdown
from benchmarks.stack import Stack
from docs.generator.figures import quote


def main() -> int:
    """Measure, print the table, and write the results to build/, or with --publish to benchmarks/results/.

    Returns 1 if less than the required share of the peak was accepted.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the overload (default: 60)")
    parser.add_argument("--interface", choices=[each.name for each in INTERFACES], help="measure only this one")
    parser.add_argument("--publish", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args()
    if options.publish and (options.seconds < 60 or options.interface):
        parser.error("only results of both interfaces and a whole minute can be published")
    BUILD.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="overload-", dir=BUILD))
    checkout = commit()
    measured = {}
    try:
        with Stack(directory, peers=False) as stack:
            for interface in INTERFACES:
                if options.interface in (None, interface.name):
                    measured[interface.name] = measure(stack, interface, options.seconds)
    except BenchmarkFailed as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    results = {"interfaces": measured, "machine": machine(), "date": time.strftime("%Y-%m-%d"), **checkout}
    output = PUBLISHED if options.publish else BUILD
    (output / "overload.json").write_text(json.dumps(results, indent=1) + "\n")
    (output / "overload.md").write_text(markdown(results))
    if options.publish:
        quote("capacity.md")
    print(markdown(results))
    return 0 if all(of_interface["share"] >= MIN_SHARE for of_interface in measured.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
