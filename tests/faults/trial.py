"""One fault under load, from a whole cluster to a whole cluster, and what is found then."""

import time
from dataclasses import dataclass
from typing import Final

from tests.faults.cluster import Cluster
from tests.faults.faults import Do
from tests.faults.history import Outcome, Verdict, judge

SECONDS: Final = 1.0
"""Of load before a fault, and after all is whole again, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Result:
    """`longest_gap` is the longest time without an acknowledgement; `after_primary` that from the moment when a new
    primary takes writes to the next acknowledgement, `majority_after` that to its own first write which a
    majority has, as its status tells: late where the members are cut apart. None without an election. All in seconds.
    """

    operations: int
    acknowledged: int
    unknown: int
    refused: int
    verdict: Verdict
    longest_gap: float
    after_primary: float | None
    majority_after: float | None


def try_out(cluster: Cluster, do: Do, seconds: float) -> Result:
    """Bring a fault about, heal everything, and judge."""
    with cluster.load() as (traffic, applications):
        history = traffic.history
        started = time.time()
        time.sleep(seconds)
        began = time.time()
        do(cluster, traffic)
        cluster.heal()
        time.sleep(seconds)
        ended = time.time()
    primary_from, majority_from = cluster.last_election()
    is_new = primary_from > began
    acknowledged = next((moment for moment in history.acknowledgements() if moment >= primary_from), ended)
    return Result(
        operations=len(history.operations),
        acknowledged=history.count(Outcome.ACKNOWLEDGED),
        unknown=history.count(Outcome.UNKNOWN),
        refused=history.count(Outcome.REFUSED),
        verdict=judge(history.operations, cluster.stored(applications)),
        longest_gap=history.longest_gap(started, ended),
        after_primary=acknowledged - primary_from if is_new else None,
        majority_after=majority_from - primary_from if is_new else None,
    )
