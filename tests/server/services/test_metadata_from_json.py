"""Metadata from JSON text: its limits, and every digit of its integers."""

import json

import pytest

from server import limits
from server.errors import InvalidRequest
from server.services import metadata_from_json
from server.users.metadata.tree import LongInteger

_TOO_MANY = [("metadata", "TOO_MANY_VALUES", "more than 10,000 values in one update")]
_TOO_LARGE = [("metadata", "TOO_LARGE", "values and their paths take more than 4,194,304 bytes")]


def test_json_text_that_is_too_long_or_has_too_many_values_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_from_json, "orjson", None)
    for text, refused in (
        (b'{"a": "' + b"x" * limits.UPDATE_BYTES + b'"}', _TOO_LARGE),
        (b'{"a": [' + b"[]," * 1_390_000 + b"[]]}", _TOO_MANY),
        (b'{"a": [' + b"[0]," * 10_001 + b"[]]}", _TOO_MANY),
        (b'{"a": ' + b"[" * 20_000, _TOO_MANY),
        (b'{"a": [' + b'"",' * 1_000_000 + b'""]}', _TOO_MANY),
        (b'{"a": ' + b'""' * 1_000_000, _TOO_MANY),
        (b"{" + b'"\\"": {},' * 20_000 + b'"": 0}', _TOO_MANY),
    ):
        with pytest.raises(InvalidRequest) as refusal:
            metadata_from_json.object_from_json(text, "metadata_json")
        assert [(item.field, item.reason, item.description) for item in refusal.value.violations] == refused


@pytest.mark.parametrize(
    "value",
    [
        ",[{" * 200_000,
        '\\",' * 200_000,
        "\\\\" * 200_000,
        ['",\\'] * 9_999,
        [[[]]] * 4_999,
        {"\\,": '"' * 100_000},
        ["\\", "," * 20_000],
    ],
    ids=range(7),
)
def test_commas_and_brackets_in_strings_are_not_counted(value: object) -> None:
    assert metadata_from_json.object_from_json(json.dumps({"a": value}).encode(), "metadata_json") == {"a": value}


def test_json_text_keeps_every_digit() -> None:
    numbers = [2**53 + 1, 2**64, -(2**63) - 1, 10**300 + 1, 1.5, "1" * 30]
    assert metadata_from_json.object_from_json(json.dumps({"a": numbers}).encode(), "metadata_json") == {"a": numbers}
    text = b'{"a":[%b,-%b,-%b,1.5,"\\ud83d\\ude00"]}' % (b"9" * 5000, b"9" * 400, b"1" + b"0" * 308)
    long = [LongInteger("9" * 5000), LongInteger("-" + "9" * 400), -(10**308), 1.5, "\U0001f600"]
    read = metadata_from_json.object_from_json(text, "metadata_json")["a"]
    assert isinstance(read, list)
    assert [(number, type(number)) for number in read] == [(number, type(number)) for number in long]


@pytest.mark.parametrize(
    "wrong", [b"1e400", b"NaN", b'"\\ud800"', b'"\xff"', b'"\n"', b"01", b"1.", b"}", b"[" * 5000], ids=str
)
def test_text_with_a_long_integer_is_parsed_as_strictly(wrong: bytes) -> None:
    for text in (b'{"a":%b,"b":%b}' % (b"9" * 400, wrong), b'{"b":%b}' % wrong):
        with pytest.raises(InvalidRequest) as refusal:
            metadata_from_json.object_from_json(text, "metadata_json")
        (violation,) = refusal.value.violations
        assert (violation.field, violation.reason) == ("metadata_json", "NOT_A_JSON_OBJECT")
