"""Paths and queries as arguments, and the parameters that are refused."""

from typing import Any

import pytest
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.rendering import Refusal, as_json, reason_of
from gateway.errors.violations import Findings
from gateway.routing.http_rules import bindings_of
from gateway.transcoding.parameters import Parameters, value_from_text
from tests.gateway.messages import violations
from tests.gateway.protos import message_type, service_type

VALUES = message_type(
    "Values",
    ("count", Field.TYPE_INT32),
    ("ratio", Field.TYPE_DOUBLE),
    ("is_on", Field.TYPE_BOOL),
    ("text", Field.TYPE_STRING),
    ("time", "google.protobuf.Timestamp"),
    ("tags", Field.TYPE_STRING, "repeated"),
).fields_by_name


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "5", 5),
        ("count", "x", None),
        ("count", "5.0", None),
        ("count", "null", None),
        ("count", "2147483648", None),
        ("ratio", "1.5", 1.5),
        ("is_on", "true", True),
        ("is_on", "false", False),
        ("is_on", "yes", None),
        ("is_on", "1", None),
        ("is_on", "True", None),
        ("text", "5", "5"),
        ("time", "1970-01-01T00:00:07Z", Timestamp(seconds=7)),
        ("time", "7", None),
    ],
)
def test_values_are_read_from_strings(name: str, text: str, value: Any) -> None:
    findings = Findings()
    assert value_from_text(VALUES[name], text, findings) == value
    assert bool(findings.violations) == (value is None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("count", None), ("ratio", None), ("is_on", None), ("time", None), ("tags", None), ("text", "")],
)
def test_an_empty_value_means_absent_unless_it_is_a_string(name: str, value: Any) -> None:
    findings = Findings()
    assert value_from_text(VALUES[name], "", findings) == value
    assert (findings.violations, findings.warnings) == ([], [])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", ["a"]),
        ("a,b.c", ["a", "b.c"]),
        (",", ["", ""]),
        ("a,,b,", ["a", "", "b", ""]),
        ('metadata."a,b",company_id', ['metadata."a,b"', "company_id"]),
        (r'metadata."a\",b",c', [r'metadata."a\",b"', "c"]),
        (r'"a\\",b', [r'"a\\"', "b"]),
        (r"a\,b", ["a\\", "b"]),
        ('"a,b', ['"a,b']),
        ('"a,b\\', ['"a,b\\']),
        ('"","', ['""', '"']),
        ("日,本", ["日", "本"]),
        ("a\nb,c", ["a\nb", "c"]),
        ('"a\nb,c",d', ['"a\nb,c"', "d"]),
    ],
)
def test_commas_separate_strings_but_not_inside_quotes(text: str, values: list[str]) -> None:
    findings = Findings()
    assert value_from_text(VALUES["tags"], text, findings) == values
    assert findings.violations == []


@given(st.text(alphabet='ab,"\\', min_size=1))
def test_no_value_of_a_list_is_lost(text: str) -> None:
    assert ",".join(value_from_text(VALUES["tags"], text, Findings())) == text


def test_the_limit_of_a_list_is_checked_before_it_is_split() -> None:
    findings = Findings()
    assert len(value_from_text(VALUES["tags"], "," * 999, findings)) == 1000
    assert findings.violations == []
    assert value_from_text(VALUES["tags"], "," * 1000, findings) == []
    assert [(each.field, each.reason) for each in findings.violations] == [("tags", "TOO_MANY")]


FIELDS = [
    ("id", Field.TYPE_STRING),
    ("item", "Item"),
    ("is_on", Field.TYPE_BOOL),
    ("most_items", Field.TYPE_INT32),
    ("text", Field.TYPE_STRING),
]


def parameters(rule: HttpRule) -> Parameters:
    fields = [field for field in FIELDS if rule.body == "item" or field[0] != "item"]
    (binding,) = bindings_of([service_type([rule], fields)])
    return Parameters(binding)


DELETE = HttpRule(delete="/v1/{id}")


def test_the_path_and_the_query_are_the_arguments() -> None:
    read = parameters(DELETE)
    assert read.arguments({}, b"") == {}
    assert read.arguments({"id": "a"}, b"mostItems=5&is_on=&text=%C3%A9+x") == {
        "id": "a",
        "most_items": 5,
        "is_on": None,
        "text": "é x",
    }
    assert read.arguments({"id": "a"}, b"&&is_on=true&") == {"id": "a", "is_on": True}


@pytest.mark.parametrize(
    ("rule", "query", "expected"),
    [
        (DELETE, b"validate_only=true", [("validate_only", "UNKNOWN_FIELD")]),
        (DELETE, b"MOST_ITEMS=5", [("MOST_ITEMS", "UNKNOWN_FIELD")]),
        (DELETE, b"mostitems=5&Most_Items=5", [("mostitems", "UNKNOWN_FIELD"), ("Most_Items", "UNKNOWN_FIELD")]),
        (DELETE, b"id=b", [("id", "UNKNOWN_FIELD")]),
        (DELETE, b"item=b", [("item", "UNKNOWN_FIELD")]),
        (
            DELETE,
            b"=x&%FF&%C3%A9=1&a[b]=1",
            [
                ('[""]', "UNKNOWN_FIELD"),
                ('["\ufffd"]', "UNKNOWN_FIELD"),
                ('["é"]', "UNKNOWN_FIELD"),
                ('["a[b]"]', "UNKNOWN_FIELD"),
            ],
        ),
        (DELETE, b"k" * 100, [('["' + "k" * 63 + '…"]', "UNKNOWN_FIELD")]),
        (DELETE, b"most_items=5&most_items=5", [("most_items", "REPEATED")]),
        (DELETE, b"most_items=5&mostItems=6", [("most_items", "REPEATED")]),
        (DELETE, b"text=&text=x&text=y", [("text", "REPEATED"), ("text", "REPEATED")]),
        (DELETE, b"most_items=&most_items=6", [("most_items", "REPEATED")]),
        (DELETE, b"text=%FF", [("text", "NOT_UTF8")]),
        (DELETE, b"text=%FF&text=x", [("text", "NOT_UTF8"), ("text", "REPEATED")]),
        (DELETE, b"is_on=yes&most_items=x", [("is_on", "WRONG_TYPE"), ("most_items", "WRONG_TYPE")]),
        (DELETE, b"&".join([b"text=1"] * 101), [("query", "TOO_MANY")]),
        (DELETE, b"&".join([b"x=1"] * 100), [("x", "UNKNOWN_FIELD")] * 20),
        (HttpRule(post="/v1", body="*"), b"is_on=true", [("is_on", "UNKNOWN_FIELD")]),
        (HttpRule(post="/v1", body="item"), b"item=x&is_on=true", [("item", "UNKNOWN_FIELD")]),
        (HttpRule(post="/v1", body="item"), b"is_on=true&isOn=true", [("is_on", "REPEATED")]),
    ],
)
def test_unknown_and_repeated_parameters_are_refused(
    rule: HttpRule, query: bytes, expected: list[tuple[str, str]]
) -> None:
    fields = {"id": "a"} if rule == DELETE else {}
    with pytest.raises(Refusal) as caught:
        parameters(rule).arguments(fields, query)
    refused = caught.value
    assert (refused.http_status, reason_of(refused.status)) == (400, "INVALID_REQUEST")
    assert violations(as_json(refused.status)) == expected


def test_fields_outside_the_body_are_parameters() -> None:
    read = parameters(HttpRule(post="/v1", body="item"))
    expected = {"is_on": True, "text": "x", "id": "y", "most_items": None}
    assert read.arguments({}, b"is_on=true&text=x&id=y&most_items=") == expected
