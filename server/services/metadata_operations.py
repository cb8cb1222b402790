"""Operations on metadata, from messages and from JSON."""

from collections.abc import Sequence
from typing import Any, Final

from userfold.v1 import metadata_operation_pb2 as pb

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import MetadataOperation, OperationKind
from server.services.metadata_from_struct import Path, StructReader

_FIELD: Final = "metadata_operations"
_LISTS: Final = (OperationKind.UNION, OperationKind.REMOVE)
_MEMBERS: Final = frozenset(pb.MetadataOperation.DESCRIPTOR.fields_by_name)
_VALUE_TYPES: Final = {
    "string_value": (str,),
    "number_value": (int, float),
    "bool_value": (bool,),
    "struct_value": (dict,),
    "list_value": (list,),
}
"""The types of a JSON value, by the kind of a `google.protobuf.Value`. A null is as no value."""


def operations_from_messages(messages: Sequence[pb.MetadataOperation]) -> Sequence[MetadataOperation]:
    """The operations in messages, of which no more than the plan refuses are read.

    Raises InvalidRequest for values that protobuf allows and JSON does not.
    """
    # With the shortest path, of one key, a value has one part more than the same value in the metadata.
    reader = StructReader(limits.METADATA_LEVELS + 1)
    return [_from_message(each, index, reader) for index, each in enumerate(messages[: limits.METADATA_OPERATIONS + 1])]


def _from_message(message: pb.MetadataOperation, index: int, reader: StructReader) -> MetadataOperation:
    name = message.WhichOneof("operation")
    if name is None:
        raise _not_one(index)
    sent: Any = getattr(message, name)
    at: Path = [_FIELD, index]
    kind = OperationKind(name)
    value = reader.list(sent, [*at, name]) if kind in _LISTS else reader.value(sent, at, name)
    # One more key than the limit, so that the plan refuses it.
    return MetadataOperation(message.path[: limits.METADATA_LEVELS + 1], kind, value)


def operations_from_json(sent: object) -> Sequence[MetadataOperation]:
    """The operations in the JSON of an update. Raises InvalidRequest for anything else."""
    if type(sent) is not list:
        raise _wrong_type()
    return [_from_json(each, index) for index, each in enumerate(sent[: limits.METADATA_OPERATIONS + 1])]


def _from_json(sent: Any, index: int) -> MetadataOperation:
    if type(sent) is not dict or not sent.keys() <= _MEMBERS:
        raise _wrong_type()
    path = sent.get("path") or []
    if type(path) is not list or any(type(key) is not str for key in path[: limits.METADATA_LEVELS + 1]):
        raise _wrong_type()
    kinds = [kind for kind in OperationKind if sent.get(kind) is not None]
    if len(kinds) != 1:
        raise _not_one(index)
    value = sent[kinds[0]]
    if kinds[0] not in _LISTS:
        value = _value(value)
    elif type(value) is not list:
        raise _wrong_type()
    return MetadataOperation(path[: limits.METADATA_LEVELS + 1], kinds[0], value)


def _value(sent: Any) -> object:
    if type(sent) is not dict or len(sent) != 1:
        raise _wrong_type()
    ((name, value),) = sent.items()
    if type(value) not in _VALUE_TYPES.get(name, ()):
        raise _wrong_type()
    return value


def _not_one(index: int) -> InvalidRequest:
    description = "must have exactly one of set_once, union, remove, minimum and maximum"
    return InvalidRequest([Violation(f"{_FIELD}[{index}]", "NOT_EXACTLY_ONE", description)])


def _wrong_type() -> InvalidRequest:
    return InvalidRequest([Violation(_FIELD, "WRONG_TYPE", "has another type than in an update")])
