"""The values that the decoder accepts, rule by rule, and those that it refuses."""

from typing import Any

import orjson
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from userfold.v1 import user_pb2
from userfold.v1 import user_service_pb2 as pb

from gateway.errors import violations
from gateway.errors.violations import Findings, field_path, schema_name
from gateway.routing.descriptors import UnsupportedBinding
from gateway.transcoding import json_encoder, json_parser
from gateway.transcoding.json_decoder import ObjectDecoder
from tests.gateway.protos import message_type

USER = ObjectDecoder(user_pb2.UserUpdate.DESCRIPTOR)


def decoded(value: dict[str, Any]) -> tuple[user_pb2.UserUpdate, list[tuple[str, str]]]:
    """The message, with `metadata` in place of its JSON, and the field and reason of each warning.

    There must be no violation.
    """
    findings = Findings()
    message = USER.message(value, (), findings)
    assert findings.violations == []
    assert isinstance(message, user_pb2.UserUpdate)
    assert not message.HasField("metadata")
    if message.HasField("metadata_json"):
        metadata = orjson.loads(message.metadata_json)
        message.metadata.SetInParent()
        message.metadata.update(metadata)
    return message, [(each.field, each.reason) for each in findings.warnings]


def refused(value: dict[str, Any]) -> list[tuple[str, str]]:
    findings = Findings()
    assert USER.message(value, (), findings) is None
    return [(each.field, each.reason) for each in findings.violations]


@pytest.mark.parametrize(
    ("sent", "message", "warnings"),
    [
        ({}, {}, []),
        ({"user_id": None, "metadata": None, "campaign": None, "modified_time": None}, {}, []),
        ({"userId": "1", "companyId": "2"}, {"user_id": "1", "company_id": "2"}, []),
        ({"userId": "1", "user_id": "2"}, {"user_id": "2"}, [("userId", "IGNORED")]),
        ({"user_id": None, "userId": "1"}, {}, [("userId", "IGNORED")]),
        ({"user_id": 12345}, {"user_id": "12345"}, []),
        ({"session_token": -5}, {"session_token": "-5"}, []),
        ({"user_id": 2**64 + 1}, {"user_id": "18446744073709551617"}, []),
        ({"metadata": []}, {"metadata": {}}, []),
        ({"campaign": []}, {"campaign": {}}, []),
        ({"campaign": {}}, {"campaign": {}}, []),
        ({"campaign": {"gclid": None}}, {"campaign": {}}, []),
        ({"campaign": {"utmSource": "x"}}, {"campaign": {"utm_source": "x"}}, []),
        ({"campaign": {"utm_term": 5}}, {"campaign": {"utm_term": "5"}}, []),
        ({"campaign": {"utm_term": 1.5}}, {"campaign": {"utm_term": "1.5"}}, [("campaign.utm_term", "KEPT_AS_TEXT")]),
        ({"campaign": {"gclid": True}}, {"campaign": {"gclid": "true"}}, [("campaign.gclid", "KEPT_AS_TEXT")]),
        ({"campaign": {"a.b": 1}}, {"campaign": {}}, [('campaign["a.b"]', "UNKNOWN_FIELD")]),
        ({"extra": {"deep": 1}}, {}, [("extra", "UNKNOWN_FIELD")]),
        ({"x" * 200: 1}, {}, [('["' + "x" * 63 + '…"]', "UNKNOWN_FIELD")]),
        ({"clear_fields": ["campaign"], "etag": "x"}, {"clear_fields": ["campaign"], "etag": "x"}, []),
        ({"clearFields": ["campaign", 5]}, {"clear_fields": ["campaign", "5"]}, []),
        ({"alias_count": 3, "user_agent": {"os": 1}, "stored_time": "soon", "avatar_url": []}, {}, []),
        ({"aliasCount": 3, "userAgent": {}, "initialCampaign": {"x": 1}, "observedIpAddress": 1}, {}, []),
        (
            {"alias_counts": 3, "aliascount": 1},
            {},
            [(each, "UNKNOWN_FIELD") for each in ("alias_counts", "aliascount")],
        ),
        ({"campaign": {"alias_count": 3}}, {"campaign": {}}, [("campaign.alias_count", "UNKNOWN_FIELD")]),
        ({"ip_address": "1", "observed_ip_address": "1"}, {}, []),
        ({"ip_address": "1", "observed_ip_address": "2"}, {"ip_address": "1"}, []),
        ({"ipAddress": "1", "observedIpAddress": "1"}, {}, []),
        ({"ipAddress": "1", "observed_ip_address": "1"}, {}, []),
        ({"ip_address": None, "observed_ip_address": "1"}, {}, []),
        ({"modified_time": ""}, {}, [("modified_time", "IGNORED")]),
        (
            {"modified_time": "1970-01-01T00:00:01Z"},
            {"modified_time": Timestamp(seconds=1)},
            [],
        ),
        ({"metadata": {"a": [], "b": {"c": []}}}, {"metadata": {"a": [], "b": {"c": []}}}, []),
        ({"metadata": {"n": None}}, {"metadata": {"n": None}}, []),
        (
            {"email": "a@b", "metadata": {"x": 1}},
            {"metadata": {"x": 1, "email": "a@b"}},
            [("email", "MOVED_TO_METADATA")],
        ),
        ({"phone": 5}, {"metadata": {"phone": 5}}, [("phone", "MOVED_TO_METADATA")]),
        ({"phone": 5, "metadata": []}, {"metadata": {"phone": 5}}, [("phone", "MOVED_TO_METADATA")]),
        ({"name": "x", "metadata": {"name": None}}, {"metadata": {"name": None}}, [("name", "IGNORED")]),
        ({"name": None}, {}, []),
        ({"name": None, "metadata": {}}, {"metadata": {}}, []),
        ({"metadata": {"i": 2**53}}, {"metadata": {"i": 2**53}}, []),
        ({"metadata": {"i": 2**53 + 2}}, {"metadata": {"i": 2**53 + 2}}, []),
        (
            {"metadata": {"i": 2**53 + 1}},
            {"metadata": {"i": "9007199254740993"}},
            [("metadata.i", "INTEGER_KEPT_AS_TEXT")],
        ),
        (
            {"metadata": {"l": [{"a b": -(2**63) - 1}, 10**400]}},
            {"metadata": {"l": [{"a b": "-9223372036854775809"}, str(10**400)]}},
            [('metadata.l[0]["a b"]', "INTEGER_KEPT_AS_TEXT"), ("metadata.l[1]", "INTEGER_KEPT_AS_TEXT")],
        ),
        ({"metadata": {"": 1, "a.b": 2, "$set": 3, "0": 4}}, {"metadata": {"": 1, "a.b": 2, "$set": 3, "0": 4}}, []),
        ({"metadata": {"l": [{}] * 30}}, {"metadata": {"l": [{}] * 30}}, []),
        (
            {"metadata": {"l": [{}] * 30, "i": 2**53 + 1}},
            {"metadata": {"l": [{}] * 30, "i": "9007199254740993"}},
            [("metadata.i", "INTEGER_KEPT_AS_TEXT")],
        ),
        ({"metadata": {"t": "{" * 30}}, {"metadata": {"t": "{" * 30}}, []),
    ],
)
def test_accepted_values(sent: dict[str, Any], message: dict[str, Any], warnings: list[tuple[str, str]]) -> None:
    assert decoded(sent) == (user_pb2.UserUpdate(**message), warnings)


def nested(levels: int, inner: Any = 1) -> dict[str, Any]:
    value: Any = inner
    for level in range(levels):
        value = {"a": value} if level % 2 or level == levels - 1 else [value]
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("sent", "violations"),
    [
        ({"user_id": 1.5}, [("user_id", "WRONG_TYPE")]),
        ({"user_id": True}, [("user_id", "WRONG_TYPE")]),
        ({"session_token": ["x"]}, [("session_token", "WRONG_TYPE")]),
        ({"metadata": "x"}, [("metadata", "WRONG_TYPE")]),
        ({"metadata": ["x"], "email": "x"}, [("metadata", "WRONG_TYPE")]),
        ({"campaign": "x"}, [("campaign", "WRONG_TYPE")]),
        ({"campaign": {"gclid": {}}}, [("campaign.gclid", "WRONG_TYPE")]),
        ({"modified_time": 1767323045}, [("modified_time", "NOT_A_TIME")]),
        ({"modified_time": "soon"}, [("modified_time", "NOT_A_TIME")]),
        ({"metadata": nested(21)}, [("metadata" + ".a[0]" * 10, "TOO_DEEP")]),
        ({"metadata": nested(900)}, [("metadata.a" + ".a[0]" * 9 + ".a", "TOO_DEEP")]),
        ({"user_id": [], "metadata": 1}, [("user_id", "WRONG_TYPE"), ("metadata", "WRONG_TYPE")]),
        ({"clear_fields": "campaign"}, [("clear_fields", "WRONG_TYPE")]),
        ({"clear_fields": {}, "etag": {}}, [("clear_fields", "WRONG_TYPE"), ("etag", "WRONG_TYPE")]),
    ],
)
def test_refused_values(sent: dict[str, Any], violations: list[tuple[str, str]]) -> None:
    found = refused(sent)
    if found[0][1] == "TOO_DEEP":
        assert [(field.partition(".")[0], reason) for field, reason in found] == [("metadata", "TOO_DEEP")]
    else:
        assert found == violations


def test_20_levels_of_metadata_can_be_parsed_by_the_receiver() -> None:
    message, _ = decoded({"metadata": nested(20)})
    assert user_pb2.UserUpdate.FromString(message.SerializeToString()) == message


def test_at_most_20_violations_and_warnings_are_kept() -> None:
    findings = Findings()
    USER.message({f"k{number}": 1 for number in range(50)}, (), findings)
    for _ in range(50):
        findings.refuse(("x",), "R", "d")
    assert (len(findings.warnings), len(findings.violations)) == (20, 20)


_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _VALUES, max_size=5))
def test_metadata_is_sent_unchanged_as_json_or_as_a_struct(metadata: dict[str, Any]) -> None:
    expected = json_parser.parse(orjson.dumps(metadata))
    message, _ = decoded({"metadata": json_parser.parse(orjson.dumps(metadata))})
    assert json_encoder.plain(message)["metadata"] == expected
    as_struct = ObjectDecoder(_STRUCT_ALONE).message({"metadata": expected}, (), Findings())
    assert as_struct is not None
    again = type(as_struct).FromString(as_struct.SerializeToString())
    assert json_encoder.plain(again)["metadata"] == expected


_STRUCT_ALONE = message_type("Alone", ("metadata", "google.protobuf.Struct"))


def test_the_json_field_of_a_struct_cannot_be_sent_by_name() -> None:
    message, warnings = decoded({"metadata_json": "{}", "metadataJson": "{}"})
    assert message == user_pb2.UserUpdate()
    assert warnings == [("metadata_json", "UNKNOWN_FIELD"), ("metadataJson", "UNKNOWN_FIELD")]


@given(st.integers())
def test_an_integer_is_kept_exactly_or_as_its_digits(number: int) -> None:
    message, warnings = decoded({"metadata": {"n": number}})
    back = json_encoder.plain(message)["metadata"]["n"]
    assert str(back) == str(number) if abs(number) < 2**63 else True
    assert bool(warnings) == isinstance(back, str)


SCALARS = message_type(
    "Scalars",
    ("count", Field.TYPE_INT32),
    ("big", Field.TYPE_UINT64),
    ("ratio", Field.TYPE_DOUBLE),
    ("on", Field.TYPE_BOOL),
    ("text", Field.TYPE_STRING),
    ("tags", Field.TYPE_STRING, "repeated"),
)


@pytest.mark.parametrize(
    ("sent", "descriptions"),
    [
        ({"count": 5, "big": 2**64 - 1, "ratio": 2, "on": True, "text": "x", "tags": ["a", 1]}, []),
        ({"count": 2**31}, ["must be an integer from -2147483648 to 2147483647"]),
        ({"big": -1}, ["must be an integer from 0 to 18446744073709551615"]),
        ({"count": True}, ["must be an integer from -2147483648 to 2147483647"]),
        ({"ratio": "1"}, ["must be a number"]),
        ({"ratio": 10**400}, ["must be a number"]),
        ({"on": 1}, ["must be true or false"]),
        ({"tags": "a"}, ["must be an array"]),
        ({"tags": ["a", {}]}, ["must be a string"]),
    ],
)
def test_scalars_of_any_message_are_read(sent: dict[str, Any], descriptions: list[str]) -> None:
    findings = Findings()
    message = ObjectDecoder(SCALARS).message(sent, (), findings)
    assert [each.description for each in findings.violations] == descriptions
    assert (message is None) == bool(descriptions)


def strictly(descriptor: Any, sent: dict[str, Any]) -> tuple[Any, list[tuple[str, str]]]:
    """The message, and the field and reason of each violation. There must be no warning."""
    found = Findings()
    message = ObjectDecoder(descriptor, is_strict=True).message(sent, (), found)
    assert found.warnings == []
    return message, [(each.field, each.reason) for each in found.violations]


REMOVE = pb.BatchRemoveAliasesRequest.DESCRIPTOR


@pytest.mark.parametrize(
    ("descriptor", "sent", "violations"),
    [
        (REMOVE, {"request": []}, [("request", "UNKNOWN_FIELD")]),
        (
            REMOVE,
            {"requests": [{"user_id": "1", "x": 1}, {"y.z": 1}]},
            [
                ("requests[0].x", "UNKNOWN_FIELD"),
                ('requests[1]["y.z"]', "UNKNOWN_FIELD"),
            ],
        ),
        (REMOVE, {"requests": [{"user_id": "1", "userId": "1"}]}, [("requests[0].user_id", "REPEATED")]),
        (REMOVE, {"k" * 200: 1}, [('["' + "k" * 63 + '…"]', "UNKNOWN_FIELD")]),
        (REMOVE, {f"k{number}": 1 for number in range(50)}, [(f"k{number}", "UNKNOWN_FIELD") for number in range(20)]),
        (pb.DeleteUserRequest.DESCRIPTOR, {"supress_days": None}, [("supress_days", "UNKNOWN_FIELD")]),
        (pb.DeleteUserRequest.DESCRIPTOR, {"Suppress_Days": 3}, [("Suppress_Days", "UNKNOWN_FIELD")]),
        (
            user_pb2.UserUpdate.DESCRIPTOR,
            {"alias_count": 3, "campaign": {"x": 1}},
            [
                ("alias_count", "UNKNOWN_FIELD"),
                ("campaign.x", "UNKNOWN_FIELD"),
            ],
        ),
    ],
)
def test_a_strict_decoder_refuses_unknown_names_at_every_depth(
    descriptor: Any, sent: dict[str, Any], violations: list[tuple[str, str]]
) -> None:
    assert strictly(descriptor, sent) == (None, violations)


def test_a_strict_decoder_accepts_both_cases_and_null() -> None:
    sent = {"userIds": ["1", 2], "suppress_days": 3, "validateOnly": None}
    expected = pb.BatchDeleteUsersRequest(user_ids=["1", "2"], suppress_days=3)
    assert strictly(pb.BatchDeleteUsersRequest.DESCRIPTOR, sent) == (expected, [])


def test_a_recursive_message_is_read() -> None:
    tree = message_type("Tree", ("name", Field.TYPE_STRING), ("children", "Tree", "repeated"))
    findings = Findings()
    message = ObjectDecoder(tree).message({"name": "a", "children": [{"name": "b", "children": []}, []]}, (), findings)
    assert json_encoder.plain(message) == {  # type: ignore[arg-type]  # The assertion says that it is one.
        "name": "a",
        "children": [{"name": "b", "children": []}, {"name": "", "children": []}],
    }


@pytest.mark.parametrize("kind", [Field.TYPE_BYTES, "google.protobuf.Any", "google.rpc.Status"])
def test_a_field_that_json_cannot_carry_is_refused_at_start_up(kind: Any) -> None:
    with pytest.raises(UnsupportedBinding, match="field"):
        ObjectDecoder(message_type("Odd", ("field", kind)))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("users", 3, "metadata", "sales_info", "stage"), "users[3].metadata.sales_info.stage"),
        (("metadata", "a.b", "$set", "", "0", "a-b", 'q"'), 'metadata["a.b"]["$set"][""]["0"].a-b["q\\""]'),
        (("metadata", "x" * 500), "metadata." + "x" * 150 + "…"),
        (("metadata", "é" * 500), 'metadata["' + "é" * 149 + "…"),
    ],
)
def test_a_path_names_a_field_in_160_characters(parts: tuple[str | int, ...], text: str) -> None:
    assert field_path(parts) == text
    assert len(text) <= 160


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("users[3].metadata.secret", "metadata"),
        ('metadata["a.b"]', "metadata"),
        ("campaign.utm_source", "campaign.utm_source"),
        ("campaign.mine", "campaign"),
        ("modified_time", "modified_time"),
        ("users[3]", "*"),
        ("metadata_operations[3].path[0]", "metadata_operations.path"),
        ("users[3].metadata_operations[3].union[2].secret", "metadata_operations.union"),
        ("john@acmeinc.com", "*"),
        ("user_id.x", "user_id"),
        ("campaign", "campaign"),
    ],
)
def test_logs_name_only_fields_of_the_schema(path: str, name: str) -> None:
    assert schema_name(path, user_pb2.UserUpdate.DESCRIPTOR) == name


@pytest.mark.parametrize("value", [[0] * 10_001, [[]] * 10_001, {"x": [[]] * 5_001, "y": [0] * 5_001}])
def test_metadata_with_too_many_values_is_refused_and_no_more_are_visited(value: Any) -> None:
    found = Findings()
    assert USER.message({"metadata": {"a": value}}, (), found) is None
    assert [each.reason for each in found.violations] == ["TOO_MANY_VALUES"]


def test_metadata_may_have_10_000_values() -> None:
    found = Findings()
    assert USER.message({"metadata": {"a": [0] * 9_999}}, (), found) is not None
    assert found.violations == []


def test_a_key_of_4_million_dots_is_read_no_further_than_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[int] = []

    class Plain:
        def fullmatch(self, text: str) -> None:
            matched.append(len(text))

    monkeypatch.setattr(violations, "_PLAIN", Plain())
    assert len(field_path(("." * 4_000_000,))) == 160
    assert matched == [161]
