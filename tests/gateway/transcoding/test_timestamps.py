"""Every form of timestamp that clients send."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding import timestamps

BASE = 1_767_323_045  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("2026-01-02T03:04:05.914", BASE, 914_000_000),
        ("2026-01-02T03:04:05Z", BASE, 0),
        ("2026-01-02t03:04:05z", BASE, 0),
        ("2026-01-02T03:04:05+0000", BASE, 0),
        ("2026-01-02T03:04:05-00:00", BASE, 0),
        ("2026-01-02T03:04:05+05:30", BASE - 19_800, 0),
        ("2026-01-02T03:04:05-0530", BASE + 19_800, 0),
        ("2026-01-02T03:04:05+05", BASE - 18_000, 0),
        ("2026-01-02 03:04:05 +0530", BASE - 19_800, 0),
        ("2026-01-02 03:04:05 UTC", BASE, 0),
        ("2026-01-02 03:04:05 GMT", BASE, 0),
        ("2026-01-02T03:04:05.1234567Z", BASE, 123_456_700),
        ("2026-01-02T03:04:05.123456789Z", BASE, 123_456_789),
        ("2026-01-02T03:04:05.1234567899999Z", BASE, 123_456_789),
        ("2026-01-02T03:04:05,5Z", BASE, 500_000_000),
        ("2026-01-02T03:04:05.Z", BASE, 0),
        ("2026-01-02T03:04", BASE - 5, 0),
        ("2026-01-02T03:04+01:00", BASE - 3605, 0),
        ("2026-01-02", BASE - 11_045, 0),
        ("1970-01-01T00:00:00.000Z", 0, 0),
        ("1969-12-31T23:59:59.5Z", -1, 500_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
        ("9999-12-31T23:59:59.999999999Z", 253_402_300_799, 999_999_999),
        ("2024-02-29", 1_709_164_800, 0),
        ("1969-12-31T23:59:60Z", 0, 0),
        ("1970-01-01T00:59:60.5+01:00", 0, 500_000_000),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text: str, seconds: int, nanos: int) -> None:
    assert timestamps.parse(text) == Timestamp(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2026",
        "2026-1-2",
        "2026-02-30",
        "2025-02-29",
        "2026-13-01",
        "0000-01-01",
        "10000-01-01",
        "2026-01-02T24:00:00Z",
        "2026-01-02T23:60:00Z",
        "2026-01-02T23:58:60Z",
        "2026-01-02T23:59:60+01:00",
        "2026-01-02Z",
        "2026-01-02T03",
        "2026-01-02T03:04.5Z",
        "2026-01-02T03:04:05+5",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05 CET",
        "2026-01-02T03:04:05Z ",
        " 2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05Z\n",
        "٢٠٢٦-01-02",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "1767323045",
    ],
)
def test_an_invalid_time_is_none(text: str) -> None:
    assert timestamps.parse(text) is None


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (BASE, 0, "2026-01-02T03:04:05Z"),
        (BASE, 500_000_000, "2026-01-02T03:04:05.500Z"),
        (BASE, 1_000, "2026-01-02T03:04:05.000001Z"),
        (BASE, 1, "2026-01-02T03:04:05.000000001Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_printed_with_0_3_6_or_9_digits(seconds: int, nanos: int, text: str) -> None:
    assert timestamps.text_of(Timestamp(seconds=seconds, nanos=nanos)) == text


@given(st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999_999))
def test_a_printed_time_is_parsed_to_the_same_time(seconds: int, nanos: int) -> None:
    time = Timestamp(seconds=seconds, nanos=nanos)
    assert timestamps.parse(timestamps.text_of(time)) == time
