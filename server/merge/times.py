"""Times as they are stored."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS_PER_MILLISECOND = 1_000_000


def stored_time(nanoseconds: int) -> tuple[datetime, int]:
    """A time since 1970-01-01 UTC as a date, which is stored to the millisecond, and the remaining nanoseconds."""
    milliseconds, remainder = divmod(nanoseconds, _NANOSECONDS_PER_MILLISECOND)
    return _date(milliseconds), remainder


# The updates of a batch have the same time, and so have updates that arrive within a millisecond.
@lru_cache(maxsize=1024)
def _date(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
