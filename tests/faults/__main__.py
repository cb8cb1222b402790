"""`python -m tests.faults`: every fault under load, and what the checker finds. `make faults` calls it."""

import sys
import tempfile
import time
from pathlib import Path

from tests.faults.cluster import Cluster
from tests.faults.faults import FAULTS, Fault
from tests.faults.history import Outcome, judge

_BEFORE = _AFTER = 2.0


def run_fault(cluster, fault):
    with cluster.load() as (traffic, applications):
        history = traffic.history
        started = time.time()
        time.sleep(_BEFORE)
        began = time.time()
        fault.do(cluster, traffic)
        cluster.heal()
        time.sleep(_AFTER)
        ended = time.time()
    verdict = judge(history.operations, cluster.stored(applications))
    elected = cluster.last_election()
    again = None
    if elected > began:
        again = next((moment - elected for moment in history.acknowledgements() if moment >= elected), None)
    print(fault.name, len(history.operations), *[history.count(each) for each in Outcome], len(verdict.lost),
      len(verdict.stale), len(verdict.phantom), len(verdict.late), round(history.longest_gap(started, ended), 2), again, verdict.lost[:3], verdict.stale[:3], verdict.phantom[:3], flush=True)


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, Cluster(Path(directory)) as cluster:
        print("ready", flush=True)
        for fault in FAULTS:
            if not sys.argv[1:] or fault.name in sys.argv[1:]:
                run_fault(cluster, fault)
    return 0

if __name__ == "__main__":
    sys.exit(main())
