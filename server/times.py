"""Times as texts in a filter: RFC 3339, to the nanosecond."""

import re
from datetime import UTC, datetime

_FORM = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds_from_text(text: str) -> int | None:
    """The nanoseconds since 1970-01-01 UTC of a time such as `2026-01-02T03:04:05.678Z`; None where it is none.

    The years 1 to 9999 in UTC.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    day, time, fraction, zone = found.groups(default="")
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))
