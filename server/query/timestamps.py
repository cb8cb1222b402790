"""Times as strings in a filter, in the forms that HTTP requests may use, but always with a zone."""

import re
from datetime import UTC, date, datetime
from typing import Final

_EPOCH_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
_YEAR_1: Final = -62_135_596_800
_YEAR_10000: Final = 253_402_300_800

# The expression of `gateway.transcoding.timestamps`, except for the zone. A test compares the two.
_FORM: Final = re.compile(
    r"""(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})
        [Tt\ ](?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d|60)(?:[.,](?P<fraction>\d*))?)?
        \ ?(?:[Zz]|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>[01]\d|2[0-3])(?::?(?P<zone_minute>[0-5]\d))?)""",
    re.ASCII | re.VERBOSE,
)


def nanoseconds_from_text(text: str) -> int | None:
    """The nanoseconds since 1970-01-01 UTC of a time such as `2026-01-02T03:04:05.678Z`, or None if it is none.

    The year is 1 to 9999 in UTC. Digits beyond the nanosecond are dropped. A leap second is the first second of the
    next day.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = found.groups(default="0")
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    offset = int(zone_hour) * 3600 + int(zone_minute) * 60
    seconds = days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second) + (offset if sign == "-" else -offset)
    if not _YEAR_1 <= seconds < _YEAR_10000 or (second == "60" and seconds % 86400):
        return None
    return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
