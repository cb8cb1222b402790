"""One row of the table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.stalls.calls import Attack, Call, Who

WRITE = ("201", "400", "413", "OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION")
"""A write is stored, or refused as invalid or too large."""

READ = ("200", "OK")
"""A read never fails as a whole."""

UNAUTHENTICATED = ("401", "UNAUTHENTICATED")
BUSY = ("429", "RESOURCE_EXHAUSTED")
"""Allowed where one application sends more than its share. The response must have a reason."""

LATE = ("503",)
"""Allowed where a batch may exceed its deadline on a slow machine. Its outcome is then unknown."""


@dataclass(frozen=True, slots=True)
class Row:
    """An expensive input: how to build its calls, and the allowed responses, by their first word."""

    name: str
    what: str
    build: Callable[[Who], Attack]
    may: Sequence[str] = WRITE
    of: str = "A"
    """The application that sends it: `A`, which has no users, or one of `dense_profiles.py`."""

    flood: int = field(default=0)
    """The number of updates that B sends meanwhile as fast as it can, instead of at its pace. All must be stored."""


def one(call: Callable[[Who], Call], count: int = 1, concurrency: int = 1) -> Callable[[Who], Attack]:
    """The same call `count` times."""
    return lambda who: Attack([call(who)] * count, concurrency)


def many(call: Callable[[Who, int], Call], count: int, concurrency: int = 1) -> Callable[[Who], Attack]:
    """`count` calls, each made from its number."""
    return lambda who: Attack([call(who, number) for number in range(count)], concurrency)
