"""`python -m tests.faults`: cause every fault under load, and test that the checker finds seeded bugs.

Exits with 1 if anything is lost, stale, phantom or a cycle, or if a bug is not found. The results are written to
build/, or with --publish to results/.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.cluster import Cluster
from tests.faults.faults import FAULTS, SEEDED
from tests.faults.report import fault_row, markdown
from tests.faults.trial import SECONDS, Result, try_out

_RESULTS = Path(__file__).parent / "results"
_BUILD = Path(__file__).parents[2] / "build"


def main() -> int:
    names = [*(fault.name for fault in FAULTS), *(f"seeded-{bug}" for bug in SEEDED)]
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of {','.join(names)}")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="of load before a fault and after it (default: 1)"
    )
    parser.add_argument("--publish", action="store_true", help="write the results into the repository, not into build/")
    options = parser.parse_args()
    if options.publish and options.only:
        parser.error("only a whole run can be published")
    chosen = options.only or names
    if unknown := {*chosen} - {*names}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    _BUILD.mkdir(exist_ok=True)
    started = time.monotonic()
    # On the disk of the checkout, as /tmp may be in memory, which has no journal.
    with tempfile.TemporaryDirectory(prefix="faults-", dir=_BUILD) as name:
        directory = Path(name)
        try:
            with Cluster(directory) as cluster:
                found = _faults(cluster, chosen, options.seconds)
                bugs = _seeded(cluster, chosen, options.seconds)
        except Exception:
            kept = _BUILD / "faults-failed"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(directory, kept, ignore=shutil.ignore_patterns("mongodb"))
            print(f"logs are in {kept}", file=sys.stderr)
            raise
    is_clean = all(result.verdict.is_clean for result in found.values()) and all(bugs.values())
    table = markdown(found, bugs, time.monotonic() - started)
    print(table)
    kept = _RESULTS if options.publish else _BUILD / "faults"
    kept.mkdir(exist_ok=True)
    (kept / "latest.md").write_text(table)
    shown: dict[str, Any] = {"faults": {name: asdict(result) for name, result in found.items()}, "seeded": bugs}
    (kept / "latest.json").write_text(json.dumps(shown, indent=1) + "\n")
    return 0 if is_clean else 1


def _seeded(cluster: Cluster, chosen: list[str], seconds: float) -> Mapping[str, list[str]]:
    """The findings for each bug. None if it was not found."""
    bugs = {}
    for bug, do in SEEDED.items():
        if f"seeded-{bug}" in chosen:
            cluster.seed(bug)
            verdict = try_out(cluster, do, seconds).verdict
            kinds = {"lost": verdict.lost, "stale": verdict.stale, "phantom": verdict.phantom, "cycle": verdict.cycle}
            bugs[bug] = [f"{len(findings)} {kind}" for kind, findings in kinds.items() if findings]
            print(f"{bug}: {', '.join(bugs[bug]) or 'NOT FOUND'}", file=sys.stderr, flush=True)
    return bugs


def _faults(cluster: Cluster, chosen: list[str], seconds: float) -> Mapping[str, Result]:
    found = {}
    for fault in FAULTS:
        if fault.name in chosen:
            result = found[fault.name] = try_out(cluster, fault.do, seconds)
            print(fault_row(fault, result), file=sys.stderr, flush=True)
            verdict = result.verdict
            for text in (*verdict.lost[:5], *verdict.stale[:5], *verdict.phantom[:5], *verdict.cycle[:5]):
                print(f"  {text}", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
