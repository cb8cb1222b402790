"""Protobuf messages to plain values for JSON, with the proto's own (snake_case) names."""

from base64 import b64encode
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from gateway import status, timestamps

_INT64 = 2.0**63


def plain(message: Message) -> Any:
    """The JSON-ready value of a message: a dict for every message of ours.

    Fields that are not set are left out; those that cannot be "not set" (a plain scalar, a list) are always there.
    """
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Struct":
            return _object(cast("Struct", message))
        case "google.protobuf.Timestamp":
            return timestamps.text_of(cast("Timestamp", message))
        case "google.rpc.Status":
            return status.as_json(cast("Status", message))
        case name if name.startswith("google.protobuf."):
            return MessageToDict(message, preserving_proto_field_name=True)
    fields = cast("list[FieldDescriptor]", message.DESCRIPTOR.fields)
    return {
        field.name: _field(field, getattr(message, field.name))
        for field in fields
        if not field.has_presence or message.HasField(field.name)
    }


def number(value: float) -> int | float:
    """A Struct's double as it was sent: 24000, never 24000.0. -0.0 and what no int64 can hold stay floats."""
    if value.is_integer() and abs(value) < _INT64 and (value or str(value) == "0.0"):
        return int(value)
    return value


def _field(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _single(inner, each) for key, each in value.items()}
    return [_single(field, each) for each in value] if field.is_repeated else _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b64encode(value).decode()
    return value


def _object(struct: Struct) -> dict[str, Any]:
    return {key: _value(value) for key, value in struct.fields.items()}


def _list(values: ListValue) -> list[Any]:
    return [_value(value) for value in values.values]


def _value(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return _object(value.struct_value)
        case "list_value":
            return _list(value.list_value)
    return None
