"""The shape of a string says nothing of its value."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.users.catalogue.strings import Shape, is_personal, shape_of

_SHAPES = {
    "": Shape("empty"),
    "12345": Shape("digits", 5),
    "٣٤٥": Shape("short_text"),
    "192.0.2.1": Shape("ip_address"),
    "999.0.2.1": Shape("code", pattern="999.9.9.9"),
    "2001:db8::1": Shape("ip_address"),
    "::ffff:192.0.2.1": Shape("ip_address"),
    "1:2:zz": Shape("code", pattern="9:9:aa"),
    "john@acmeinc.com": Shape("email_address"),
    "john@localhost": Shape("short_text"),
    "two@of@them.com": Shape("short_text"),
    "https://acme.com/a?b=c": Shape("url"),
    "android-app://com.acme": Shape("url"),
    "://": Shape("short_text"),
    "550e8400-e29b-41d4-a716-446655440000": Shape("uuid"),
    "2026-01-31": Shape("date"),
    "2026-01-31T10:00:00.123456789Z": Shape("time"),
    "2026-01-31 10:00:00 UTC": Shape("time"),
    "2026-01-31T10:00+01:00": Shape("time"),
    "+1 (415) 555-1212": Shape("phone_number"),
    "+1": Shape("short_text"),
    "deadbeef01234567": Shape("hexadecimal", 16),
    "DEADBEEF0123456789": Shape("hexadecimal", 18),
    "deadbeefdeadbeef": Shape("short_text"),
    "DE-123": Shape("code", pattern="AA-999"),
    "v1.2.3": Shape("code", pattern="a9.9.9"),
    "hunter2": Shape("code", pattern="aaaaaa9"),
    "DE--123": Shape("short_text"),
    "z1" * 13: Shape("short_text"),
    "Customer": Shape("short_text"),
    "Jane Doe": Shape("short_text"),
    "x" * 64: Shape("short_text"),
    "x" * 65: Shape("long_text"),
    f"https://acme.com/{'x' * 100}": Shape("url"),
    f"https://acme.com/{'x' * 2_048}": Shape("long_text"),
    "line\nline": Shape("short_text"),
    "12345\n": Shape("short_text"),
}


@pytest.mark.parametrize("text", _SHAPES, ids=lambda text: repr(text[:40]))
def test_the_shape_of_a_string(text: str) -> None:
    assert shape_of(text) == _SHAPES[text]


@given(st.text() | st.from_regex(r"[A-Za-z0-9_./:#@+ -]{0,30}"))
def test_a_shape_holds_no_character_of_a_value_but_separators(text: str) -> None:
    shape = shape_of(text)
    assert re.fullmatch(r"[aA9_./:#-]*", shape.pattern)
    assert shape.length in (0, len(text))
    assert shape.general == (shape.kind, 0, "")


@pytest.mark.parametrize(
    "key",
    [
        *("john@acmeinc.com", "@john", "12345", "2024", "2026-01-31", "550e8400-e29b-41d4-a716-446655440000"),
        *("192.0.2.1", "https://acme.com", "+1 415 555 1212", "user_12345", "cus-9-99-9-9", "k" * 65, "é" * 65),
    ],
)
def test_a_key_that_looks_like_one_of_many(key: str) -> None:
    assert is_personal(key)


@pytest.mark.parametrize("key", ["", "email", "sales_info", "a.b", "$set", "address1", "utm_2024", "é", "k" * 64, "*"])
def test_a_key_that_looks_like_a_name(key: str) -> None:
    assert not is_personal(key)
