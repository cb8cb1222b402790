"""The items of a large array are found as a parser finds them, whatever their strings contain."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import content_encoding
from gateway.transcoding import json_array
from gateway.transcoding.json_array import JsonArray, NotAnArray, TooManyItems, has_too_many_values
from gateway.transcoding.json_parser import NotJson

_STRINGS = st.text(alphabet='ab"\\,[]{}é\n\U0001f600', max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_STRINGS, inner, max_size=3),
    max_leaves=12,
)


def scanned(text: bytes) -> JsonArray:
    found = JsonArray(text)
    for _ in found.windows():
        pass
    return found


def texts(text: bytes) -> list[bytes]:
    found = scanned(text)
    return [found.item(index).strip() for index in range(len(found))]


@given(
    value=st.lists(_VALUES, max_size=4),
    window=st.integers(2, 9),
    ascii=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_the_items_are_those_that_a_parser_finds_whatever_the_windows(
    value: list[Any], window: int, ascii: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "WINDOW", window)
        assert [json.loads(each) for each in texts(text)] == value
        # An incomplete text is refused.
        for end in range(len(text)):
            with pytest.raises((NotJson, NotAnArray)):
                scanned(text[:end])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b" [ ] ", []),
        (b"\xef\xbb\xbf[1]", [b"1"]),
        (b'[{"a":"\xff"},NaN,"\\ud83d",1e999,{"a" 1}]', [b'{"a":"\xff"}', b"NaN", b'"\\ud83d"', b"1e999", b'{"a" 1}']),
    ],
)
def test_an_invalid_value_does_not_affect_other_items(text: bytes, expected: list[bytes]) -> None:
    assert texts(text) == expected


@pytest.mark.parametrize(
    ("text", "byte"),
    [(b"[1,,2]", 3), (b"[1,]", 3), (b"[,1]", 1), (b"[1]]", 3), (b"[1] x", 4), (b'[1]"', 3), (b"[1}", 2), (b"[[1]", 4)],
)
def test_an_invalid_structure_is_reported_with_its_byte(text: bytes, byte: int) -> None:
    with pytest.raises(NotJson) as caught:
        scanned(text)
    assert caught.value.byte == byte


@pytest.mark.parametrize("text", [b"", b"  ", b"{}", b"1", b"null"])
def test_a_text_that_is_no_array_is_not_scanned(text: bytes) -> None:
    with pytest.raises(NotAnArray):
        next(JsonArray(text + b" " * 100_000).windows())


@pytest.mark.unmeasured
def test_the_work_of_each_window_is_bounded() -> None:
    text = b"[" + b"[]," * 1_000_000 + b"1]"
    found = JsonArray(b'[{"a":' + text + b"},2]")
    windows = sum(1 for _ in found.windows())
    assert windows == -(-len(found.text) // json_array.WINDOW)
    assert (len(found), found.flaws) == (2, {0: "TOO_MANY_VALUES"})


@pytest.mark.parametrize(
    ("item", "flaw"),
    [
        (b"[" + b"[]," * 9_998 + b"1]", None),
        (b"[" + b"0," * 24_999 + b"1]", None),
        (b"[" + b"0," * 25_000 + b"1]", "TOO_MANY_VALUES"),
        (b"[" * 1000 + b"]" * 1000, "TOO_DEEP"),
        (b"[" * 999 + b"]" * 999, None),
        (b'"' + b"," * (4 * 2**20 - 2) + b'"', None),
        (b'"' + b"," * (4 * 2**20 - 1) + b'"', "TOO_LARGE"),
    ],
)
def test_an_item_beyond_a_limit_has_a_flaw(item: bytes, flaw: str | None) -> None:
    assert scanned(b"[0, " + item + b",0]").flaws == ({1: flaw} if flaw else {})


@pytest.mark.unmeasured
def test_the_limit_of_items_is_the_number_of_updates_in_a_body() -> None:
    update = b'{"userId":1},'
    most = content_encoding.ARRAY_BYTES // len(update)
    assert len(scanned(b"[" + update * (most - 1) + b"0]")) == most
    with pytest.raises(TooManyItems):
        scanned(b"[" + b"0," * most + b"0]")


@pytest.mark.parametrize(
    ("text", "is_too_much"),
    [
        (b"[" + b"0," * 24_999 + b"0]" + b" " * 20_000, False),
        (b"[" + b"0," * 25_000 + b"0]" + b" " * 20_000, True),
        (orjson.dumps({"a": "x, [y], {z} " * 50_000}), False),
        (b"[" + b"[]," * 300_000 + b"0]", True),
    ],
)
def test_the_values_of_a_single_object_have_a_limit(text: bytes, is_too_much: bool) -> None:
    assert has_too_many_values(text) == is_too_much
