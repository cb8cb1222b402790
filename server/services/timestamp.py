"""Times of messages as nanoseconds, and times as MongoDB stores them."""

from datetime import UTC, datetime

from server.errors import InvalidRequest, Violation

_NANOSECONDS = 1_000_000_000
_YEAR_1 = -62_135_596_800
_YEAR_10000 = 253_402_300_800


def nanoseconds(field: str, seconds: int, nanos: int) -> int:
    """The nanoseconds since 1970-01-01 UTC of a Timestamp. Raises InvalidRequest outside the years 1 to 9999."""
    if not (_YEAR_1 <= seconds < _YEAR_10000 and 0 <= nanos < _NANOSECONDS):
        raise InvalidRequest([Violation(field, "NOT_A_TIME", "must be in the years 1 to 9999")])
    return seconds * _NANOSECONDS + nanos


def in_milliseconds(seconds: float) -> datetime:
    """A time since 1970-01-01 UTC in the milliseconds that MongoDB stores: a response shows what later ones do."""
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)
