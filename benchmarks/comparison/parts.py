"""The parts of `make bench`, in the order in which they run in every round."""

from collections.abc import Mapping
from typing import Final

from benchmarks.comparison import aliases, fairness, many_profiles, offered, reads, updates
from benchmarks.comparison.steps import Part

PARTS: Final[Mapping[str, Part]] = {
    "single": updates.single,
    "http": updates.http,
    "batch": updates.batch,
    "rpc": updates.rpc,
    "latency": updates.latency,
    "offered": offered.offered,
    "aliases": aliases.aliases,
    "fairness": fairness.fairness,
    "profiles": many_profiles.profiles,
    "lookup": many_profiles.look_ups,
    "reads": reads.reads,
}
"""By the names that `ONLY=` takes. `single` includes the steps of `http`."""
