"""Timestamps as strings: parsed in all the forms that clients send, and printed in one."""

import re
from datetime import UTC, date, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_YEAR_1 = -62_135_596_800
_YEAR_10000 = 253_402_300_800

# A time zone needs a time of day.
_FORM = re.compile(
    r"""(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})
        (?:[Tt\ ](?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d|60)(?:[.,](?P<fraction>\d*))?)?
           \ ?(?:[Zz]|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>[01]\d|2[0-3])(?::?(?P<zone_minute>[0-5]\d))?)?
        )?""",
    re.ASCII | re.VERBOSE,
)


def parse(text: str) -> Timestamp | None:
    """The time in a string, to the nanosecond (further digits are dropped); None where the string is no time.

    ISO 8601 with a date, and optionally a time and a zone (`Z`, `UTC`, `GMT`, `+05`, `+0530`, `+05:30`, after a blank
    or not); without a zone it is UTC. The years 1 to 9999 in UTC. A leap second, which is 23:59:60 in UTC, is the first
    second of the next day.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = match.groups(default="0")
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    offset = int(zone_hour) * 3600 + int(zone_minute) * 60
    seconds = days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second) + (offset if sign == "-" else -offset)
    if not _YEAR_1 <= seconds < _YEAR_10000 or (second == "60" and seconds % 86400):
        return None
    return Timestamp(seconds=seconds, nanos=int(fraction[:9].ljust(9, "0")))


def text_of(time: Timestamp) -> str:
    """RFC 3339 in UTC, `2026-01-02T03:04:05Z`, with 0, 3, 6 or 9 fraction digits."""
    whole = (_EPOCH + timedelta(seconds=time.seconds)).replace(tzinfo=None).isoformat()
    fraction = f".{time.nanos:09}" if time.nanos else ""
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{whole}{fraction}Z"
