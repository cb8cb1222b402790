import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.merge.field_names import escape_key, unescape_key, unescape_object
from tests.support.strategies import KEYS, METADATA


@pytest.mark.parametrize(
    ("key", "stored"),
    [
        ("plain_key", "plain_key"),
        ("Größe", "Größe"),
        ("", "%"),
        ("a.b", "a%2Eb"),
        ("$set", "%24set"),
        ("a$b", "a$b"),
        ("0", "%30"),
        ("1500000", "%31500000"),
        ("1a", "1a"),
        ("٣", "٣"),
        ("%", "%25"),
        ("%2E", "%252E"),
        ("a\0b", "a%00b"),
        ("_id", "_id"),
        ("__proto__", "__proto__"),
    ],
)
def test_a_key_is_stored_as_an_ordinary_field_name(key: str, stored: str) -> None:
    assert escape_key(key) == stored
    assert unescape_key(stored) == key


@given(KEYS | st.text())
def test_every_key_survives_a_round_trip(key: str) -> None:
    stored = escape_key(key)
    assert unescape_key(stored) == key
    assert stored
    assert not (stored.isascii() and stored.isdigit())
    assert not stored.startswith("$")
    assert "." not in stored
    assert "\0" not in stored


@given(st.lists(KEYS | st.text(), min_size=2, max_size=2, unique=True))
def test_no_two_keys_are_stored_as_one(keys: list[str]) -> None:
    assert escape_key(keys[0]) != escape_key(keys[1])


@given(METADATA)
def test_every_object_survives_a_round_trip_through_bson(value: dict[str, object]) -> None:
    stored = _escaped(value)
    assert isinstance(stored, dict)
    assert unescape_object(bson.decode(bson.encode(stored))) == value


def _escaped(value: object) -> object:
    if isinstance(value, dict):
        return {escape_key(key): _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
