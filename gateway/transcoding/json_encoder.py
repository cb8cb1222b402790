"""Protobuf messages as plain values for JSON, with the field names of the protos (snake_case)."""

from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from gateway.errors import rendering
from gateway.routing.descriptors import FLOATS
from gateway.transcoding import timestamps

METADATA_FORMAT: Final = ("x-userfold-metadata-format", "json")
"""The gRPC metadata that requests the metadata of users as JSON: a Struct would be built there and read here."""

_INT64 = 2.0**63

_PROFILE = "userfold.v1.User"

_Encode: TypeAlias = Callable[[Any], Any]
_IsSet: TypeAlias = Callable[[Message, str], bool]


def plain(message: Message) -> Any:
    """The JSON-ready value of a message: a dict for every message of userfold's packages.

    Fields that are not set are left out: messages, `optional` scalars, unset members of a `oneof`, and the empty lists
    of a profile. All other fields are always there: lists and maps as `[]` and `{}`, scalars as 0, `false` and `""`.
    Integers of 64 bits are numbers; a double that is an integer has no fraction (24000). Metadata that is JSON is
    passed on unchanged.
    """
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Struct":
            return _object(cast("Struct", message))
        case "google.protobuf.Value":
            return _value(cast("Value", message))
        case "google.protobuf.ListValue":
            return _list(cast("ListValue", message))
        case "google.protobuf.Timestamp":
            return timestamps.text_of(cast("Timestamp", message))
        case "google.rpc.Status":
            return rendering.as_json(cast("Status", message))
        case name if name.startswith("google.protobuf."):
            return MessageToDict(message, preserving_proto_field_name=True)
    return {
        json_name: encode(getattr(message, name)) if encode else getattr(message, name)
        for name, json_name, is_set, encode in _fields(message.DESCRIPTOR)
        if is_set is None or is_set(message, name)
    }


def sparse(message: Message) -> dict[str, Any]:
    """As `plain`, without members that are empty, 0 or false: the client libraries expect an empty response."""
    return {name: value for name, value in plain(message).items() if value}


@lru_cache(maxsize=256)
def _fields(descriptor: Descriptor) -> list[tuple[str, str, _IsSet | None, _Encode | None]]:
    """For each field of a message its name, its name in JSON, what says whether it is set, and its encoder.

    A field with `_json` at the end of its name, next to a Struct of that name, is the Struct as JSON, and replaces it.
    """
    fields: list[tuple[str, str, _IsSet | None, _Encode | None]] = []
    by_name: dict[str, FieldDescriptor] = dict(descriptor.fields_by_name)
    for name, field in by_name.items():
        if name.removesuffix("_json") != name and _is_struct(by_name.get(name.removesuffix("_json"))):
            continue
        is_list_of_profile = field.is_repeated and descriptor.full_name == _PROFILE
        is_set = _has_elements if is_list_of_profile else _has_field if field.has_presence else None
        fields.append((name, name, is_set, _encode(field)))
        if _is_struct(field) and f"{name}_json" in by_name:
            fields.append((f"{name}_json", name, _has_field, orjson.Fragment))
    return fields


def _has_field(message: Message, name: str) -> bool:
    return message.HasField(name)


def _has_elements(message: Message, name: str) -> bool:
    return len(getattr(message, name)) > 0


def _is_struct(field: FieldDescriptor | None) -> bool:
    return field is not None and field.message_type is not None and field.message_type.name == "Struct"


def number(value: float) -> int | float:
    """A double as JSON: 24000, never 24000.0. -0.0 and numbers beyond an int64 stay floats."""
    if value.is_integer() and abs(value) < _INT64 and (value or str(value) == "0.0"):
        return int(value)
    return value


def _encode(field: FieldDescriptor) -> _Encode | None:
    """The encoder of a field's values; None where they are JSON-ready."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of_value = _encode_single(field.message_type.fields_by_name["value"])
        return lambda values: {str(key): of_value(each) if of_value else each for key, each in values.items()}
    single = _encode_single(field)
    if field.is_repeated:
        return lambda values: [single(each) for each in values] if single else list(values)
    return single


def _encode_single(field: FieldDescriptor) -> _Encode | None:
    if field.message_type is not None:
        return plain
    if field.enum_type is not None:
        names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        return lambda value: names.get(value, value)
    if field.type in FLOATS:
        return number
    return (lambda value: b64encode(value).decode()) if field.type == FieldDescriptor.TYPE_BYTES else None


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
