"""Times in a filter: the same strings as over HTTP, and the same instants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding import timestamps
from server.query.timestamps import nanoseconds_from_text


def _over_http(text: str) -> int | None:
    time = timestamps.parse(text)
    return None if time is None else time.seconds * 1_000_000_000 + time.nanos


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.000000001z", 1_000_000_001),
        ("1970-01-01 01:00:00.5+01:00", 500_000_000),
        ("1970-01-01T00:00:00,5Z", 500_000_000),
        ("1970-01-01T00:00:01.Z", 1_000_000_000),
        ("1970-01-01 05:30:00 +0530", 0),
        ("1970-01-01T05:00:00+05", 0),
        ("1970-01-01T00:01Z", 60_000_000_000),
        ("1970-01-01 00:00:00 UTC", 0),
        ("1970-01-01 00:00:00 GMT", 0),
        ("1970-01-01T00:00:00.0000000019Z", 1),
        ("1970-01-01T00:00:00.00000000199999999999999Z", 1),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
        ("1969-12-31T23:59:60Z", 0),
        ("1969-12-31T23:59:60.5Z", 500_000_000),
        ("1970-01-01T05:29:60+05:30", 0),
        ("1969-12-31T23:59:60-00:01", None),
        ("1969-12-31T23:58:60Z", None),
        ("1969-12-31T23:59:61Z", None),
        ("1969-12-31T23:60:00Z", None),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000_000),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59.999999999Z", 253_402_300_799_999_999_999),
        ("9999-12-31T23:59:59-01:00", None),
        ("9999-12-31T23:59:60Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-01-01T24:00:00Z", None),
        ("2026-01-01T00:00:00+24:00", None),
        ("2026-01-01T00Z", None),
        ("2026-01-01Z", None),
        ("2026-01-01T00:00:00Z\n", None),
        ("٢٠٢٦-01-01T00:00:00Z", None),
        ("1767323045", None),
        ("", None),
    ],
)
def test_a_time_is_the_same_in_a_filter_and_over_http(text: str, nanoseconds: int | None) -> None:
    assert nanoseconds_from_text(text) == nanoseconds
    assert _over_http(text) == nanoseconds


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T00:00", "2026-01-01T00:00:00", "2026-01-01 00:00:00.5"])
def test_only_a_filter_requires_the_zone(text: str) -> None:
    assert nanoseconds_from_text(text) is None
    assert _over_http(text) == nanoseconds_from_text(f"{text}{'' if ':' in text else 'T00:00'}Z")


_ZONES = ["Z", "z", " UTC", "GMT", "+01", "-0130", " +05:30", "-23:59", "+24:00", "+1", "CET"]


@given(
    st.sampled_from(["0000-01-01", "0001-01-01", "1970-01-01", "2024-02-29", "2025-02-29", "9999-12-31"]),
    st.sampled_from("Tt _"),
    st.sampled_from(
        ["00:00", "00:00:00", "23:59:59", "23:59:60", "00:29:60", "12:00:60", "24:00:00", "00:00:61", "1:00"]
    ),
    st.sampled_from(["", ".", ".5", ",123", ".1234567890123", ".x"]),
    st.sampled_from(_ZONES),
)
def test_whatever_the_form_both_read_the_same(day: str, between: str, time: str, fraction: str, zone: str) -> None:
    text = f"{day}{between}{time}{fraction}{zone}"
    assert nanoseconds_from_text(text) == _over_http(text)
