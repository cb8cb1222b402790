"""The checker: what clients did, and what must be stored afterwards.

Each operation is one update of one user of one application. It adds an alias that no other operation adds, and sets
`metadata.counter` to its number among the operations of that user. One client sends all operations of a user, each
after the outcome of the one before, or behind it in the same batch or stream. So their order is known.

The checker applies these rules to the stored profiles:

LOST     The alias of an acknowledged operation is missing.
STALE    An earlier operation replaced the effect of an acknowledged one. The counter may be that of an earlier
         operation only if its outcome was unknown (see LATE). Aliases are stored in the order of their commits, so
         those of acknowledged operations must be in the order of these.
PHANTOM  A wrong effect: of a refused operation, of another user's operation, of an operation that was not sent, or
         only one of the two effects of an operation, as an update is atomic.
CYCLE    A pointer leads in a circle, so that no profile has the values of its user (see `stored.py`).
LATE     No error, but counted: the counter is that of an operation of unknown outcome, which MongoDB applied after a
         later one was acknowledged. A request in the socket of a frozen MongoDB is executed when MongoDB resumes.

An operation of unknown outcome may be stored or not.

A conditional operation names the profile that was read, by its etag. At its commit, the profile must hold as many
aliases as were read; else it was applied to a profile that has changed, and is a PHANTOM. It is never LATE, but STALE.
A rival is sent at about the same time as a conditional operation, in no known order, and sets no counter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise


class Outcome(Enum):
    """The outcome that the client knows of an operation."""

    ACKNOWLEDGED = auto()
    REFUSED = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class Operation:
    """One update. `alias` is stored for `token`. `is_doubtful` if the outcome of any attempt was unknown.

    `base` is the number of aliases that a conditional update was based on.
    """

    profile: str
    user_id: str
    counter: int
    token: str
    alias: bytes
    outcome: Outcome = Outcome.UNKNOWN
    is_doubtful: bool = True
    settled: float = 0.0
    base: int | None = None
    is_rival: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """The aliases of a profile in their order, and its counter."""

    aliases: Sequence[bytes]
    counter: int | None


@dataclass(slots=True)
class Verdict:
    """The findings. Each names its operation."""

    lost: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    cycle: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.stale or self.phantom or self.cycle)


class History:
    """The log of all operations. Each is added before it is sent. `clock` counts seconds.

    `merged` has the profiles of each pair of users of whom a merge was acknowledged.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.operations: list[Operation] = []
        self.merged: set[frozenset[str]] = set()

    def begin(self, profile: str, user_id: str, counter: int, token: str, alias: bytes) -> Operation:
        operation = Operation(profile, user_id, counter, token, alias)
        self.operations.append(operation)
        return operation

    def settle(self, operation: Operation, outcome: Outcome, *, is_first: bool) -> None:
        """Record the outcome of an attempt. An operation of unknown outcome stays doubtful after a refusal."""
        was_doubtful = operation.is_doubtful and not is_first
        operation.is_doubtful = was_doubtful or outcome is Outcome.UNKNOWN
        if operation.outcome is Outcome.ACKNOWLEDGED:
            return  # It stays so, whatever the outcome of its repetition.
        is_settled = outcome is Outcome.ACKNOWLEDGED or not operation.is_doubtful
        operation.outcome = outcome if is_settled else Outcome.UNKNOWN
        operation.settled = self._clock()

    def count(self, outcome: Outcome) -> int:
        return sum(operation.outcome is outcome for operation in self.operations)

    def acknowledgements(self) -> list[float]:
        """The times of the acknowledgements, in order."""
        return sorted(each.settled for each in self.operations if each.outcome is Outcome.ACKNOWLEDGED)

    def longest_gap(self, start: float, end: float) -> float:
        """The longest time without an acknowledgement between `start` and `end`, in seconds."""
        within = [moment for moment in self.acknowledgements() if start < moment < end]
        return max(later - earlier for earlier, later in pairwise([start, *within, end]))


def check(operations: Iterable[Operation], stored: Mapping[str, Stored]) -> Verdict:
    """Check the stored profiles against all operations."""
    verdict = Verdict()
    sent: dict[str, list[Operation]] = {profile: [] for profile in stored}
    for operation in operations:
        sent.setdefault(operation.profile, []).append(operation)
    nothing = Stored((), None)
    for profile, of_profile in sent.items():
        _check_profile(profile, of_profile, stored.get(profile, nothing), verdict)
    return verdict


def _check_profile(profile: str, sent: Sequence[Operation], stored: Stored, verdict: Verdict) -> None:
    by_alias = {operation.alias: operation for operation in sent}
    by_counter = {operation.counter: operation for operation in sent if not operation.is_rival}
    present = set(stored.aliases)
    places = {alias: place for place, alias in enumerate(stored.aliases)}
    for operation in sent:
        name = f"{operation.user_id} #{operation.counter}"
        if operation.outcome is Outcome.ACKNOWLEDGED and operation.alias not in present:
            verdict.lost.append(name)
        elif operation.outcome is Outcome.REFUSED and operation.alias in present:
            verdict.phantom.append(f"{name} was refused")
        if operation.base is not None and places.get(operation.alias, operation.base) != operation.base:
            verdict.phantom.append(f"{name} was applied to a profile that had changed")
    if len(present) != len(stored.aliases):
        verdict.phantom.append(f"{profile} holds an alias twice")
    verdict.phantom += [f"{profile} holds an alias of no one's" for alias in stored.aliases if alias not in by_alias]
    last = 0
    for operation in [by_alias[alias] for alias in stored.aliases if alias in by_alias]:
        if operation.outcome is Outcome.ACKNOWLEDGED and not operation.is_doubtful and not operation.is_rival:
            if operation.counter < last:
                verdict.stale.append(f"{operation.user_id} #{operation.counter} came after #{last}")
            last = max(last, operation.counter)
    _check_counter(profile, sent, stored, by_counter, verdict)


def _check_counter(
    profile: str, sent: Sequence[Operation], stored: Stored, by_counter: Mapping[int, Operation], verdict: Verdict
) -> None:
    acknowledged = max(
        (each.counter for each in sent if not each.is_rival and each.outcome is Outcome.ACKNOWLEDGED), default=0
    )
    if stored.counter is None:
        if {*stored.aliases} - {each.alias for each in sent if each.is_rival}:
            verdict.phantom.append(f"{profile} has aliases and no counter")
        return
    written = by_counter.get(stored.counter)
    if written is None:
        verdict.phantom.append(f"{profile} has a counter of no one's")
    elif written.alias not in stored.aliases:
        verdict.phantom.append(f"{written.user_id} #{written.counter} is there by half")
    elif stored.counter < acknowledged:
        is_late = written.is_doubtful and written.base is None
        (verdict.late if is_late else verdict.stale).append(
            f"{written.user_id} #{written.counter} instead of #{acknowledged}"
        )
