"""Fields of any value, in repeated messages: they are read as they are, within the limits of a Struct together."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from userfold.v1.user_pb2 import UserUpdate

from gateway.errors.violations import Findings
from gateway.transcoding.json_decoder import ObjectDecoder
from gateway.transcoding.json_parser import LongInteger

_USER = ObjectDecoder(UserUpdate.DESCRIPTOR)


def _decoded(*operations: Any, name: str = "metadata_operations") -> tuple[Any, Findings]:
    findings = Findings()
    return _USER.message({name: list(operations)}, (), findings), findings


def _refused(*operations: Any) -> list[tuple[str, str]]:
    message, findings = _decoded(*operations)
    assert message is None
    return [(each.field, each.reason) for each in findings.violations]


@pytest.mark.parametrize(
    "value", ["", "x", 0, 1.5, True, False, {}, {"a": [None, {"": 1}]}, [], [1, "x", None]], ids=str
)
def test_any_value_is_read(value: Any) -> None:
    operations = {"path": ["a", 5], "setOnce": value}, {"path": None, "maximum": value, "union": None}
    message, findings = _decoded(*operations, name="metadataOperations")
    assert findings == Findings()
    read = MessageToDict(message, preserving_proto_field_name=True)["metadata_operations"]
    assert read == [{"path": ["a", "5"], "set_once": value}, {"maximum": value}]


def test_what_is_sent_to_the_server_names_the_kind_of_a_value() -> None:
    operations: list[dict[str, Any]] = [{"path": ["a"], "minimum": 24000}, {"path": ["b"], "remove": [1, "x", {}]}]
    sent = json.loads(_USER.as_json({"user_id": "u", "metadata_operations": operations}, (), Findings()))
    operations[0]["minimum"] = {"number_value": 24000}
    assert sent["metadata_operations"] == operations


def test_integers_that_no_double_holds_become_strings() -> None:
    message, findings = _decoded({"path": ["a"], "set_once": 2**53 + 1}, {"union": [LongInteger("9" * 400), 2**60]})
    assert message.metadata_operations[0].set_once.string_value == "9007199254740993"
    assert [each.WhichOneof("kind") for each in message.metadata_operations[1].union.values] == [
        "string_value",
        "number_value",
    ]
    assert [(each.field, each.reason) for each in findings.warnings] == [
        ("metadata_operations[0].set_once", "INTEGER_KEPT_AS_TEXT"),
        ("metadata_operations[1].union[0]", "INTEGER_KEPT_AS_TEXT"),
    ]


def test_of_a_oneof_one_field_is_sent() -> None:
    assert _refused({"union": [], "remove": []}, {"minimum": 1, "maximum": 2}) == [
        ("metadata_operations[0]", "NOT_EXACTLY_ONE"),
        ("metadata_operations[1]", "NOT_EXACTLY_ONE"),
    ]


def test_all_values_together_have_the_limits_of_a_struct() -> None:
    assert _decoded({"union": [0] * 9_998})[0]
    assert _refused({"union": [0] * 9_999}) == [("metadata_operations", "TOO_MANY_VALUES")]
    assert _refused(*({"set_once": [0] * 999} for _ in range(11))) == [("metadata_operations", "TOO_MANY_VALUES")]
    assert _refused(*[{}] * 100_000) == [("metadata_operations", "TOO_MANY_VALUES")]


def test_values_have_20_levels() -> None:
    value: Any = 1
    for _ in range(20):
        value = [value]
    message, _ = _decoded({"set_once": value})
    assert UserUpdate.FromString(message.SerializeToString()) == message
    ((field, reason),) = _refused({"set_once": [value]})
    assert (field.partition("[0][0]")[0], reason) == ("metadata_operations[0].set_once", "TOO_DEEP")
