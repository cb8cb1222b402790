"""Batch methods, which do for many requests what another method does for one.

The options `batch_of` and `stream_of` of userfold/internal/v1/options.proto declare them. A declaration that does not
fit its methods is refused when the gateway starts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from userfold.internal.v1 import options_pb2

from gateway.routing.descriptors import (
    UnsupportedBinding,
    is_message,
    is_repeated_string,
    is_streaming,
    response_of_outcome,
    response_of_result,
    rpc_path,
)

CLIENT_ADDRESSES: Final = "client_addresses"
"""The field of a batch's request with the client address of each item."""

ORIGINS: Final = "origins"
"""The field of a batch's request with the origin of each item."""

_JSON: Final = "_json"
"""How the name of the field with the items ends."""


@dataclass(frozen=True, slots=True)
class BatchStream:
    """The stream of a batch method: each message is one batch, and each reply has its `response` or an `error`."""

    rpc: str
    response: type[Message]


@dataclass(frozen=True, slots=True)
class BatchMethod:
    """The RPC that does for many bodies what the RPC of a binding does for one.

    Its request has a `body` as JSON in each item of the repeated field `items_json`, and as many `client_addresses` and
    `origins`.
    Its response has `results`, each with the `outcome` of one body: its response or its error. The `stream`, if it has
    one, takes the same messages.
    """

    rpc: str
    request: type[Message]
    response: type[Message]
    body: Descriptor
    outcome: Descriptor
    items_json: str
    stream: BatchStream | None

    @property
    def items(self) -> str:
        """The name of the items in the fields of errors and warnings."""
        return self.items_json.removesuffix(_JSON)


def batch_methods_of(
    services: Iterable[ServiceDescriptor], internal: Iterable[ServiceDescriptor]
) -> Mapping[str, BatchMethod]:
    """The batch methods that the `internal` services have for `services`, by the full names of the single methods.

    Raises UnsupportedBinding.
    """
    methods, batching = _by_name(services), _by_name(internal)
    batches = _declared(batching, options_pb2.batch_of, methods)
    streams = _declared(batching, options_pb2.stream_of, batching)
    for of, stream in streams.items():
        if batching[of] not in batches.values():
            raise UnsupportedBinding(f"{stream.full_name}: it is the stream of {of}, which is no batch method")
    return {of: _batch_method(methods[of], batch, streams.get(batch.full_name)) for of, batch in batches.items()}


def _by_name(services: Iterable[ServiceDescriptor]) -> Mapping[str, MethodDescriptor]:
    return {method.full_name: method for service in services for method in service.methods}


def _declared(
    batching: Mapping[str, MethodDescriptor], option: Any, methods: Mapping[str, MethodDescriptor]
) -> Mapping[str, MethodDescriptor]:
    """The methods of `batching` that have the option, by the value of the option: the full name of a method."""
    declared: dict[str, MethodDescriptor] = {}
    for method in batching.values():
        of: str = method.GetOptions().Extensions[option]
        if not of:
            continue
        if of not in methods:
            raise UnsupportedBinding(f"{method.full_name}: there is no method {of}")
        if of in declared:
            raise UnsupportedBinding(f"{method.full_name}: {declared[of].full_name} already declares {of}")
        declared[of] = method
    return declared


def _batch_method(method: MethodDescriptor, batch: MethodDescriptor, stream: MethodDescriptor | None) -> BatchMethod:
    if is_streaming(batch) or is_streaming(method):
        raise UnsupportedBinding(f"{batch.full_name}: the batch of {method.full_name}, and one of them is a stream")
    body = _body(method, batch)
    items = [field.name for field in batch.input_type.fields if field.is_repeated and field.type == field.TYPE_BYTES]
    if len(items) != 1 or not items[0].endswith(_JSON):
        raise UnsupportedBinding(f"{batch.full_name}: its request needs one repeated bytes field, named ..._json")
    for name in (CLIENT_ADDRESSES, ORIGINS):
        if not is_repeated_string(batch.input_type.fields_by_name.get(name)):
            raise UnsupportedBinding(f"{batch.full_name}: its request needs repeated string {name}")
    if response_of_result(batch) is not (response := method.output_type):
        raise UnsupportedBinding(
            f"{batch.full_name}: its results need a oneof outcome of a {response.full_name} response and an error each"
        )
    messages = GetMessageClass(batch.input_type), GetMessageClass(batch.output_type)
    return BatchMethod(rpc_path(batch), *messages, body, response, items[0], _stream(batch, stream) if stream else None)


def _body(method: MethodDescriptor, batch: MethodDescriptor) -> Descriptor:
    """The type of a method's body, which must be all of its request."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    body = method.input_type.fields_by_name.get(rule.body)
    template = getattr(rule, rule.WhichOneof("pattern") or "get")
    if not is_message(body) or body.message_type is None or "{" in template or rule.response_body:
        raise UnsupportedBinding(
            f"{batch.full_name}: {method.full_name} needs a route without fields in its path, whose body is a message "
            "field and whose response is the whole message"
        )
    if rule.additional_bindings:
        raise UnsupportedBinding(f"{batch.full_name}: {method.full_name} needs one route, and has several")
    return body.message_type


def _stream(batch: MethodDescriptor, stream: MethodDescriptor) -> BatchStream:
    if not (stream.client_streaming and stream.server_streaming):
        raise UnsupportedBinding(f"{stream.full_name}: the stream of a batch streams both ways")
    stream_fields, batch_fields = (
        {(each.number, each.name, each.type, each.message_type, each.is_repeated) for each in method.input_type.fields}
        for method in (stream, batch)
    )
    if stream_fields != batch_fields:
        raise UnsupportedBinding(f"{stream.full_name}: its request needs the fields of {batch.input_type.full_name}")
    if response_of_outcome(stream.output_type) is not (response := batch.output_type):
        raise UnsupportedBinding(
            f"{stream.full_name}: its response needs a oneof outcome of a {response.full_name} response and an error"
        )
    return BatchStream(rpc_path(stream), GetMessageClass(stream.output_type))
