"""One fault under load, between two states in which the cluster is complete, and the findings."""

import time
from dataclasses import dataclass
from typing import Final

from tests.faults.cluster import Cluster
from tests.faults.faults import Do
from tests.faults.history import Outcome, Verdict, check
from tests.faults.stored import found_in

SECONDS: Final = 1.0
"""The default duration of the load before the fault and after the recovery."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a fault, with times in seconds.

    `merged` is the number of pairs of users of whom a merge was acknowledged. `longest_gap` is the longest time without
    an acknowledgement. `after_primary` is the time from the moment when a new primary accepts writes to the next
    acknowledgement, `majority_after` to its first write that a majority has: late if the members are separated. Both
    are None without an election.
    """

    operations: int
    acknowledged: int
    unknown: int
    refused: int
    merged: int
    verdict: Verdict
    longest_gap: float
    after_primary: float | None
    majority_after: float | None


def try_out(cluster: Cluster, do: Do, seconds: float) -> Result:
    """Cause the fault, restore the cluster, and check the stored profiles."""
    with cluster.load() as (traffic, applications):
        history = traffic.history
        started = time.time()
        time.sleep(seconds)
        began = time.time()
        do(cluster, traffic)
        cluster.heal()
        time.sleep(seconds)
        ended = time.time()
    found = found_in(cluster.stored(applications), history.operations)
    verdict = check(history.operations, found.users)
    found.check(history.merged, verdict)
    primary_from, majority_from = cluster.last_election()
    is_new = primary_from > began
    acknowledged = next((moment for moment in history.acknowledgements() if moment >= primary_from), ended)
    return Result(
        operations=len(history.operations),
        acknowledged=history.count(Outcome.ACKNOWLEDGED),
        unknown=history.count(Outcome.UNKNOWN),
        refused=history.count(Outcome.REFUSED),
        merged=len(history.merged),
        verdict=verdict,
        longest_gap=history.longest_gap(started, ended),
        after_primary=acknowledged - primary_from if is_new else None,
        majority_after=majority_from - primary_from if is_new else None,
    )
