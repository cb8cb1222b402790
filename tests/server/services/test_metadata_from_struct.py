"""Metadata from a Struct: counted before it is visited."""

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from userfold.v1 import user_pb2

from server import limits
from server.errors import InvalidRequest
from server.model import UserUpdate
from server.services import metadata_from_struct
from server.services.convert import update_from_message
from server.services.metadata_from_struct import object_from_struct
from server.users.update import plan_update


def _struct(**fields: object) -> Struct:
    struct = Struct()
    struct.update(fields)  # type: ignore[arg-type] # The stub's type for a JSON object says more than `object`.
    return struct


def _refused(struct: Struct) -> list[tuple[str, str, str]]:
    message = user_pb2.UserUpdate(user_id="u", metadata=struct)
    with pytest.raises(InvalidRequest) as refusal:
        plan_update("app", update_from_message(message, None), 1)
    return [(item.field, item.reason, item.description) for item in refusal.value.violations]


def _nested(levels: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(levels - 1):
        value = {"k": value}
    return value


def test_a_struct_is_read_whole() -> None:
    value = {"a": "x", "b": {"": None, "c": [1.0, True, {}, [], ""]}, "d": False}
    assert object_from_struct(_struct(**value)) == value


def test_values_of_a_struct_beyond_the_limit_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    value_of = metadata_from_struct.StructReader.value

    def count(
        reader: metadata_from_struct.StructReader, value: Value, path: list[str | int], part: str | int
    ) -> object:
        nonlocal read
        read += 1
        return value_of(reader, value, path, part)

    monkeypatch.setattr(metadata_from_struct.StructReader, "value", count)
    struct = _struct(**{name: [0] * 6_000 for name in "abc"})
    assert _refused(struct) == [("metadata", "TOO_MANY_VALUES", "more than 10,000 values in one update")]
    assert 6_000 <= read <= limits.METADATA_VALUES


def test_a_struct_that_is_nested_too_deep_is_refused_as_json_is() -> None:
    for levels in (21, 25, 30):
        with pytest.raises(InvalidRequest) as refusal:
            plan_update("app", UserUpdate("u", metadata=_nested(levels)), 1)
        expected = [(item.field, item.reason, item.description) for item in refusal.value.violations]
        assert _refused(_struct(**_nested(levels))) == expected
    assert object_from_struct(_struct(**_nested(20))) == _nested(20)
    assert object_from_struct(_struct(**_nested(30))) == _nested(21)


def test_an_integer_that_no_double_holds_has_a_warning() -> None:
    text = b'{"a": 9007199254740993, "b": [18446744073709551617, 36893488147419103232], "c": {"d": 1e20}}'
    message = user_pb2.UserUpdate(user_id="u", metadata_json=text)
    planned = plan_update("app", update_from_message(message, None), 1)
    assert planned.write.patch["metadata"] == {
        "a": "9007199254740993",
        "b": ["18446744073709551617", 2.0**65],
        "c": {"d": 1e20},
    }
    assert [(item.field, item.reason) for item in planned.warnings] == [
        ("metadata.a", "INTEGER_KEPT_AS_TEXT"),
        ("metadata.b[0]", "INTEGER_KEPT_AS_TEXT"),
    ]
