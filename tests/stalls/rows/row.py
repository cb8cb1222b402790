"""One row of the table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.stalls.calls import Attack, Call, Who

WRITE = ("201", "400", "413", "OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION")
"""A write is stored, or refused for what it is."""

READ = ("200", "OK")
"""A read never fails as a whole."""

NOBODY = ("401", "UNAUTHENTICATED")
BUSY = ("429", "RESOURCE_EXHAUSTED")
"""Where one application sends more at once than its share. The reason must be told."""

LATE = ("503",)
"""Where a batch may take longer than its time, on a slow machine: it is then told that its outcome is unknown."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is sent, once all bytes of it are made, and what may be answered: the first word of each answer."""

    name: str
    what: str
    build: Callable[[Who], Attack]
    may: Sequence[str] = WRITE
    of: str = "A"
    """The application that sends it: `A`, without users, or a dense one of `dense.py`."""

    flood: int = field(default=0)
    """Updates that B sends meanwhile, as fast as it can, in place of its steady pace. All must be stored."""


def one(call: Callable[[Who], Call], count: int = 1, at_once: int = 1) -> Callable[[Who], Attack]:
    """The same call, `count` times."""
    return lambda who: Attack([call(who)] * count, at_once)


def many(call: Callable[[Who, int], Call], count: int, at_once: int = 1) -> Callable[[Who], Attack]:
    """`count` calls, each with its number."""
    return lambda who: Attack([call(who, number) for number in range(count)], at_once)
