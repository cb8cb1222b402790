"""The steps of a round, and what all parts of `make bench` share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from benchmarks.comparison.growth import Grown, grow
from benchmarks.runs import Sample
from benchmarks.stack import Stack


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a round: the key of its samples, and the function that makes one for the number of a round."""

    key: str
    run: Callable[[int], Sample]


@dataclass(frozen=True, slots=True)
class Bench:
    """The running programs, the duration of a run, and the number of profiles that counts as many."""

    stack: Stack
    seconds: float
    many: int
    log: Callable[[str], None]
    databases: dict[int, Grown] = field(default_factory=dict)

    def grown(self, profiles: int) -> Grown:
        """A Userfold that holds this many profiles. It is the same one in all parts."""
        if profiles not in self.databases:
            self.log(f"storing {profiles:,} profiles ...")
            self.databases[profiles] = grow(self.stack, f"grown{profiles}", profiles)
        return self.databases[profiles]


_WARMING: Final = -1
"""The number of the round whose samples are not used."""

Part: TypeAlias = Callable[[Bench], Sequence[Step]]


def in_turn(steps: Sequence[Step], number: int) -> Sequence[Step]:
    """The steps in the order of a round: each round starts with another step, so that none is always first."""
    start = number % len(steps)
    return [*steps[start:], *steps[:start]]


def warm_up(bench: Bench, parts: Sequence[Part]) -> None:
    """Run every step once for a second, so that all programs have connected and filled their caches.

    Raises BenchmarkFailed if a contender that should keep the first campaign of a user does not.
    """
    short = replace(bench, seconds=1.0)
    run_round(short, [part(short) for part in parts], _WARMING)
    for contender in bench.stack.contenders:
        if contender.keeps_first_campaign:
            contender.check_first_campaign()


def run_round(bench: Bench, parts: Iterable[Sequence[Step]], number: int) -> dict[str, Sample]:
    """Run each step of each part once. Returns the samples by key."""
    title = "warming up" if number == _WARMING else f"round {number + 1}"
    samples = {}
    for steps in parts:
        for step in in_turn(steps, number):
            samples[step.key] = sample = step.run(number)
            # Otherwise MongoDB would write the rest of this run's data during the next run.
            bench.stack.client.admin.command("fsync")
            bench.log(f"{title}: {step.key:22} {sample.rate:8,.0f}/s, p50 {sample.p50_ms:.2f} ms")
    return samples
