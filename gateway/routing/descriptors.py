"""Questions about methods, messages and fields, answered from protobuf's descriptors."""

from collections.abc import Mapping
from typing import Final, TypeGuard

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

STATUS: Final = "google.rpc.Status"
TIMESTAMP: Final = "google.protobuf.Timestamp"

INTEGERS: Final[Mapping[int, tuple[int, int]]] = {
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32), (-(2**31), 2**31 - 1)
    ),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64), (-(2**63), 2**63 - 1)
    ),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32), (0, 2**32 - 1)),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64), (0, 2**64 - 1)),
}
"""The minimum and the maximum of each integer type of protobuf."""

FLOATS: Final = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
SCALARS: Final = frozenset({*INTEGERS, *FLOATS, FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BOOL})
"""The types that a path or a query can hold, besides TIMESTAMP."""


class UnsupportedBinding(Exception):
    """The protos declare a route that the gateway cannot serve. The message names the method, for the developer."""


def rpc_path(method: MethodDescriptor) -> str:
    """The path of a method in gRPC, such as `/userfold.v1.UserService/GetUser`."""
    return f"/{method.containing_service.full_name}/{method.name}"


def is_streaming(method: MethodDescriptor) -> bool:
    """Whether the client or the server streams."""
    return method.client_streaming or method.server_streaming


def is_message(field: FieldDescriptor | None) -> TypeGuard[FieldDescriptor]:
    """Whether the field exists and is a singular message."""
    return field is not None and field.message_type is not None and not field.is_repeated


def is_repeated_string(field: FieldDescriptor | None) -> bool:
    """Whether the field exists and is a repeated string."""
    return field is not None and field.is_repeated and field.type == FieldDescriptor.TYPE_STRING


def is_timestamp(field: FieldDescriptor) -> bool:
    """Whether the type of a field is Timestamp."""
    return field.message_type is not None and field.message_type.full_name == TIMESTAMP


def response_of_outcome(message: Descriptor) -> Descriptor | None:
    """The type of `response` in a message with a `oneof outcome { response; error }`, whose `error` is a Status.

    None for any other message.
    """
    outcome = message.oneofs_by_name.get("outcome")
    fields = {field.name: field for field in outcome.fields} if outcome is not None else {}
    if fields.keys() != {"response", "error"} or not all(map(is_message, fields.values())):
        return None
    error = fields["error"].message_type
    return fields["response"].message_type if error is not None and error.full_name == STATUS else None


def response_of_result(method: MethodDescriptor) -> Descriptor | None:
    """The type of `response` in a method's `results`. None where the response has no result for each item."""
    results = method.output_type.fields_by_name.get("results")
    if results is None or not results.is_repeated or results.message_type is None:
        return None
    return response_of_outcome(results.message_type)
