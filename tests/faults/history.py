"""What clients did, and what must be stored after it: the checker, which knows no process and no network.

Each operation is one update of one user of one application. It adds an alias that no other operation adds, and sets
`metadata.counter` to its number among the operations of that user. One client sends all operations of a user, and does
not send one before the former is settled, or else in the same batch or stream behind it: so their order is known.

What is stored is judged by these rules:

LOST     An acknowledged operation whose alias is not there.
STALE    An acknowledged effect that an earlier one replaced. The counter may be that of an earlier operation only if
         that one's outcome was ever unknown (below). Aliases are stored in the order of their commits, so
         acknowledged operations must stand there in theirs.
PHANTOM  An effect that must not be: of an operation that was refused, of another user's, of none that was sent, or
         one without the other (an update is applied whole).
LATE     No error, but counted: the counter is that of an operation which a client was told to be of unknown outcome,
         and which MongoDB applied after a later one was acknowledged. "May have been applied" includes "may yet be":
         a request that waits in the socket of a frozen MongoDB is carried out when it thaws.

An operation of unknown outcome may be there or not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise


class Outcome(Enum):
    """What a client was told at last."""

    ACKNOWLEDGED = auto()
    REFUSED = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class Operation:
    """One update. `alias` is stored for `token`; `is_doubtful` where its outcome was unknown after any attempt."""

    profile: str
    user_id: str
    counter: int
    token: str
    alias: bytes
    outcome: Outcome = Outcome.UNKNOWN
    is_doubtful: bool = True
    settled: float = 0.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What a profile holds: its aliases in their order, and its counter."""

    aliases: Sequence[bytes]
    counter: int | None


@dataclass(slots=True)
class Verdict:
    """The findings, each as a text that names the operation."""

    lost: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.stale or self.phantom)


class History:
    """The log of all operations. Each is written here before it is sent. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.operations: list[Operation] = []

    def begin(self, profile: str, user_id: str, counter: int, token: str, alias: bytes) -> Operation:
        operation = Operation(profile, user_id, counter, token, alias)
        self.operations.append(operation)
        return operation

    def settle(self, operation: Operation, outcome: Outcome, *, is_first: bool) -> None:
        """Note what the client was told of an attempt. What is refused after a doubt stays in doubt."""
        was_doubtful = operation.is_doubtful and not is_first
        operation.is_doubtful = was_doubtful or outcome is Outcome.UNKNOWN
        if operation.outcome is Outcome.ACKNOWLEDGED:
            return  # And stays so, whatever became of it when it was sent again.
        is_settled = outcome is Outcome.ACKNOWLEDGED or not operation.is_doubtful
        operation.outcome = outcome if is_settled else Outcome.UNKNOWN
        operation.settled = self._clock()

    def count(self, outcome: Outcome) -> int:
        return sum(operation.outcome is outcome for operation in self.operations)

    def acknowledgements(self) -> list[float]:
        """When they came, in order."""
        return sorted(each.settled for each in self.operations if each.outcome is Outcome.ACKNOWLEDGED)

    def longest_gap(self, start: float, end: float) -> float:
        """The most seconds between `start` and `end` in which nothing was acknowledged."""
        within = [moment for moment in self.acknowledgements() if start < moment < end]
        return max(later - earlier for earlier, later in pairwise([start, *within, end]))


def judge(operations: Iterable[Operation], stored: Mapping[str, Stored]) -> Verdict:
    """Hold what is stored, by profile, against all operations that were ever sent there."""
    verdict = Verdict()
    sent: dict[str, list[Operation]] = {profile: [] for profile in stored}
    for operation in operations:
        sent.setdefault(operation.profile, []).append(operation)
    nothing = Stored((), None)
    for profile, of_profile in sent.items():
        _judge_profile(profile, of_profile, stored.get(profile, nothing), verdict)
    return verdict


def _judge_profile(profile: str, sent: Sequence[Operation], stored: Stored, verdict: Verdict) -> None:
    by_alias = {operation.alias: operation for operation in sent}
    by_counter = {operation.counter: operation for operation in sent}
    present = set(stored.aliases)
    for operation in sent:
        name = f"{operation.user_id} #{operation.counter}"
        if operation.outcome is Outcome.ACKNOWLEDGED and operation.alias not in present:
            verdict.lost.append(name)
        elif operation.outcome is Outcome.REFUSED and operation.alias in present:
            verdict.phantom.append(f"{name} was refused")
    if len(present) != len(stored.aliases):
        verdict.phantom.append(f"{profile} holds an alias twice")
    verdict.phantom += [f"{profile} holds an alias of no one's" for alias in stored.aliases if alias not in by_alias]
    last = 0
    for operation in [by_alias[alias] for alias in stored.aliases if alias in by_alias]:
        if operation.outcome is Outcome.ACKNOWLEDGED and not operation.is_doubtful:
            if operation.counter < last:
                verdict.stale.append(f"{operation.user_id} #{operation.counter} came after #{last}")
            last = max(last, operation.counter)
    _judge_counter(profile, sent, stored, by_counter, verdict)


def _judge_counter(
    profile: str, sent: Sequence[Operation], stored: Stored, by_counter: Mapping[int, Operation], verdict: Verdict
) -> None:
    acknowledged = max((each.counter for each in sent if each.outcome is Outcome.ACKNOWLEDGED), default=0)
    if stored.counter is None:
        if stored.aliases:
            verdict.phantom.append(f"{profile} has aliases and no counter")
        return
    written = by_counter.get(stored.counter)
    if written is None:
        verdict.phantom.append(f"{profile} has a counter of no one's")
    elif written.alias not in stored.aliases:
        verdict.phantom.append(f"{written.user_id} #{written.counter} is there by half")
    elif stored.counter < acknowledged:
        (verdict.late if written.is_doubtful else verdict.stale).append(
            f"{written.user_id} #{written.counter} instead of #{acknowledged}"
        )
