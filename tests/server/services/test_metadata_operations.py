"""Operations as messages: they are the same as in JSON, and no more of them is read than an update may have."""

from typing import Any

import pytest
from google.protobuf.struct_pb2 import ListValue, Value
from userfold.v1.metadata_operation_pb2 import MetadataOperation as Message

from server import limits
from server.errors import InvalidRequest
from server.model import MetadataOperation, OperationKind, UserUpdate
from server.services import metadata_operations
from server.services.metadata_from_struct import StructReader
from server.services.metadata_operations import operations_from_messages
from server.users.update import plan_update


def _list(*items: Any) -> ListValue:
    values = ListValue()
    values.extend(items)
    return values


def _refused(*messages: Message) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refusal:
        plan_update("app", UserUpdate("u", metadata_operations=operations_from_messages(messages)), 1)
    return [(item.field, item.reason) for item in refusal.value.violations]


def _nested(levels: int) -> Any:
    return [_nested(levels - 1)] if levels else 1


def test_an_operation_is_read_whole() -> None:
    sent = Message(path=["a", ""], union=_list(None, 1.5, True, "", {"b": [{}]}))
    (operation,) = operations_from_messages([sent])
    assert (list(operation.path), operation.kind) == (["a", ""], OperationKind.UNION)
    assert operation.value == [None, 1.5, True, "", {"b": [{}]}]


@pytest.mark.parametrize("keys", [1, 2, 10])
def test_values_have_the_levels_that_their_path_leaves(keys: int) -> None:
    path = ["k"] * keys
    # `metadata` is a level.
    levels = limits.METADATA_LEVELS - keys
    (operation,) = operations_from_messages([Message(path=path, union=_list(*_nested(levels)))])
    assert operation.value == _nested(levels)
    for deeper in (1, 2, 5):
        ((field, reason),) = _refused(Message(path=path, union=_list(*_nested(levels + deeper))))
        assert (field.partition("[0][0]")[0], reason) == ("metadata_operations[0].union", "TOO_DEEP")


def test_values_beyond_the_limit_are_not_read() -> None:
    operations = [Message(path=[f"{number}"], remove=_list(*[0] * 6_000)) for number in range(2)]
    assert _refused(*operations) == [("metadata", "TOO_MANY_VALUES")]


def test_operations_and_keys_beyond_the_limit_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    from_message = metadata_operations._from_message

    def count(message: Message, index: int, reader: StructReader) -> MetadataOperation:
        read.append(index)
        return from_message(message, index, reader)

    monkeypatch.setattr(metadata_operations, "_from_message", count)
    one = Message(path=["k"] * 10_000, set_once=Value(number_value=1))
    assert _refused(*[one] * 5_000) == [("metadata_operations", "TOO_MANY")]
    assert len(read) == limits.METADATA_OPERATIONS + 1
    (operation,) = operations_from_messages([one])
    assert len(operation.path) == limits.METADATA_LEVELS + 1


@pytest.mark.parametrize("sent", [Message(path=["a"]), Message()], ids=str)
def test_an_operation_that_does_nothing_is_refused(sent: Message) -> None:
    assert _refused(Message(path=["a"], union=_list()), sent) == [("metadata_operations[1]", "NOT_EXACTLY_ONE")]


def test_a_value_without_a_kind_is_refused() -> None:
    assert _refused(Message(path=["a"], minimum=Value())) == [("metadata_operations[0].minimum", "NO_VALUE")]
    assert _refused(Message(path=["a"], union=ListValue(values=[Value()]))) == [
        ("metadata_operations[0].union[0]", "NO_VALUE")
    ]
