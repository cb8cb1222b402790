"""JSON is parsed strictly, and its integers exactly."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding import json_parser


@pytest.mark.parametrize(
    ("text", "byte"),
    [
        (b"", 0),
        (b"{", 1),
        (b'{"a":NaN}', 5),
        (b'{"a":-Infinity}', 6),
        (b"[1e400]", 1),
        (b'["\\ud800"]', 2),
        (b'["\xff"]', 2),
        (b'["\xed\xa0\x80"]', 2),
        ('["ééé", x]'.encode(), 11),
        ('\ufeff["é", x]'.encode(), 10),
        (b"\xff\xfe{\x00}\x00", 0),
        (b"[" * 2000, 1025),
        (b"[" * 1010 + b"1" * 19 + b"]" * 1010, 0),
        (b'{"a":%b,"b":"\xff"}' % (b"9" * 400), 411),
        *(
            (b'{"a":%b,"b":%b}' % (b"9" * 400, wrong), 5)
            for wrong in (b"1e400", b"NaN", b'"\\ud800"', b'"\n"', b"01", b"1.", b"}", b"[" * 5000)
        ),
    ],
)
def test_invalid_json_is_refused_with_the_byte(text: bytes, byte: int) -> None:
    with pytest.raises(json_parser.NotJson) as caught:
        json_parser.parse(text)
    assert caught.value.byte == byte


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"18446744073709551616", 2**64),
        (b"-9223372036854775809", -(2**63) - 1),
        (b'{"a":[1e300,36893488147419103233]}', {"a": [1e300, 36893488147419103233]}),
        (b"1e300", 1e300),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b"null", None),
        (b"-%b" % (b"9" * 309), -int("9" * 309)),
        (b"9" * 400, json_parser.LongInteger("9" * 400)),
        (
            b'[1.5,18446744073709551617,"\\ud83d\\ude00",{"":-%b}]' % (b"9" * 5000),
            [1.5, 2**64 + 1, "\U0001f600", {"": "-" + "9" * 5000}],
        ),
        (b'"12345678901234567890123"', "12345678901234567890123"),
        (b"0.1234567890123456789012", 0.1234567890123456789012),
    ],
)
def test_values_keep_every_digit(text: bytes, value: Any) -> None:
    parsed = json_parser.parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@given(st.recursive(st.none() | st.booleans() | st.text(st.characters(exclude_categories=["Cs"])), st.lists))
def test_a_text_written_by_orjson_is_parsed_to_the_same_value(value: Any) -> None:
    assert json_parser.parse(orjson.dumps(value)) == value
