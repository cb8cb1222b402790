"""Messages and services that a test declares."""

import itertools
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pool, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, ServiceDescriptorProto
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.rpc import status_pb2
from userfold.internal.v1 import options_pb2
from userfold.v1 import user_service_pb2

_numbers = itertools.count()
_IMPORTS = (annotations_pb2, struct_pb2, timestamp_pb2, status_pb2, options_pb2, user_service_pb2)


def message_type(name: str, *fields: tuple[Any, ...]) -> Descriptor:
    """A message with these fields: `(name, kind)` or `(name, kind, "repeated")`."""
    file = _file()
    _add_message(file, name, fields)
    return _added(file).message_types_by_name[name]  # type: ignore[no-any-return]


def service_type(
    rules: list[http_pb2.HttpRule | None],
    request: list[tuple[Any, ...]],
    response: list[tuple[Any, ...]] | None = None,
    **method_options: bool,
) -> ServiceDescriptor:
    """A service with a method for each rule, all from `Request` to `Response`; `Result` has an outcome."""
    file = _file()
    _add_message(file, "Item", [("user_id", Field.TYPE_STRING)])
    _add_message(file, "Result", OUTCOME_OF_ITEM, "outcome")
    _add_message(file, "Request", request)
    _add_message(file, "Response", response or [])
    service: ServiceDescriptorProto = file.service.add(name="Service")
    for number, rule in enumerate(rules):
        method = service.method.add(
            name=f"Method{number}",
            input_type="Request",
            output_type="Response",
            **method_options,
        )
        if rule is not None:
            method.options.Extensions[annotations_pb2.http].CopyFrom(rule)
    return _added(file).services_by_name["Service"]  # type: ignore[no-any-return]


OUTCOME_OF_ITEM = [("response", "Item"), ("error", "google.rpc.Status")]


def grouped_services(
    rule: http_pb2.HttpRule | None,
    *,
    request: list[tuple[Any, ...]] | None = None,
    batch_request: list[tuple[Any, ...]],
    result: list[tuple[Any, ...]],
    oneof: str = "outcome",
    batch_of: str = "Service.PutThing",
    batches: int = 1,
    stream_request: list[tuple[Any, ...]] | None = None,
    stream_response: list[tuple[Any, ...]] | None = None,
    stream_of: str = "Internal.PutThings0",
    stream_options: dict[str, bool] | None = None,
    **batch_options: bool,
) -> tuple[ServiceDescriptor, ServiceDescriptor]:
    """`Service` with PutThing, bound by `rule`, and `Internal` with the methods declared as its batch and the batch's
    stream."""
    file = _file()
    _add_message(file, "Item", [("user_id", Field.TYPE_STRING)])
    _add_message(file, "Request", request or [("item", "Item"), ("test_only", Field.TYPE_BOOL)])
    _add_message(file, "Response", [("warnings", "Item", "repeated")])
    _add_message(file, "BatchRequest", batch_request)
    _add_message(file, "Result", result, oneof)
    _add_message(file, "BatchResponse", [("results", "Result", "repeated")])
    service: ServiceDescriptorProto = file.service.add(name="Service")
    method = service.method.add(name="PutThing", input_type="Request", output_type="Response")
    if rule is not None:
        method.options.Extensions[annotations_pb2.http].CopyFrom(rule)
    internal: ServiceDescriptorProto = file.service.add(name="Internal")
    for number in range(batches):
        batch = internal.method.add(
            name=f"PutThings{number}", input_type="BatchRequest", output_type="BatchResponse", **batch_options
        )
        batch.options.Extensions[options_pb2.batch_of] = f"{file.package}.{batch_of}"
    if stream_request is not None:
        _add_message(file, "StreamRequest", stream_request)
        _add_message(file, "StreamResponse", stream_response, "outcome")
        options = stream_options or {"client_streaming": True, "server_streaming": True}
        stream = internal.method.add(
            name="StreamThings", input_type="StreamRequest", output_type="StreamResponse", **options
        )
        stream.options.Extensions[options_pb2.stream_of] = f"{file.package}.{stream_of}"
    added = _added(file)
    return added.services_by_name["Service"], added.services_by_name["Internal"]


def _file() -> FileDescriptorProto:
    number = next(_numbers)
    dependencies = [each.DESCRIPTOR.name for each in _IMPORTS]
    dependencies += ["google/protobuf/any.proto", "google/protobuf/struct.proto"]
    return FileDescriptorProto(
        name=f"made_up_{number}.proto", package=f"made_up_{number}", syntax="proto3", dependency=dependencies
    )


def _add_message(file: FileDescriptorProto, name: str, fields: Any, oneof: str = "") -> None:
    """Add a message. All its fields are in the oneof, if one is named."""
    message: DescriptorProto = file.message_type.add(name=name)
    if oneof:
        message.oneof_decl.add(name=oneof)
    for number, (field, kind, *repeated) in enumerate(fields, start=1):
        label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
        added = message.field.add(name=field, number=number, label=label)
        if oneof:
            added.oneof_index = 0
        if isinstance(kind, str):
            added.type = Field.TYPE_MESSAGE
            added.type_name = f".{kind}" if "." in kind else f".{file.package}.{kind}"
        else:
            added.type = kind


def _added(file: FileDescriptorProto) -> Any:
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name)
