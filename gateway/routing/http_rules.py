"""The HTTP routes of gRPC services, read from their `google.api.http` annotations.

The rules are those of google/api/http.proto without wildcards, patterns inside `{}`, nested field names, custom methods
and streaming, which are refused. A body that is a repeated field is a top-level JSON array. In the last segment of a
path, a colon that is not percent-encoded begins a verb: a field there ends before it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote_to_bytes

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.routing.batch_methods import BatchMethod, batch_methods_of
from gateway.routing.descriptors import (
    SCALARS,
    UnsupportedBinding,
    is_message,
    is_repeated_string,
    is_streaming,
    is_timestamp,
    response_of_result,
    rpc_path,
)

_SEGMENT = re.compile(r"(?:(?P<literal>[A-Za-z0-9._~-]+)|\{(?P<field>[a-z][a-z0-9_]*)\})(?::(?P<verb>[A-Za-z0-9_]+))?")
_METHODS = {"get": "GET", "put": "PUT", "post": "POST", "delete": "DELETE", "patch": "PATCH"}


class InvalidPath(Exception):
    """A percent-decoded path parameter is not UTF-8. `field` is its name."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One HTTP method and path template of one RPC.

    `body` is "*", the name of a field, or empty for none. `body_message` is the type of the JSON object in the body, or
    of each item of its array where `is_batch`. `query` are the fields that neither the path nor the body fills, by
    their names: single values, times, and lists of strings.
    `has_results` is true where the response has a result for each of many items, so that the body may be large.
    `batch_method` is set where one RPC may carry the requests of several clients, or the items of a batch.
    `is_write` is true unless the HTTP method is GET or the RPC declares that it has no side effects.
    `rank` sorts literal segments before fields, and paths with a `:verb` before those without.
    """

    method: str
    template: str
    pattern: re.Pattern[str]
    rpc: str
    request: type[Message]
    request_type: Descriptor
    response: type[Message]
    body: str
    body_message: Descriptor | None
    is_batch: bool
    has_results: bool
    response_body: str
    query: Mapping[str, FieldDescriptor]
    has_verb: bool
    is_write: bool
    batch_method: BatchMethod | None
    rank: tuple[tuple[int, str], ...]

    @property
    def is_lenient(self) -> bool:
        """Whether this is a route of the client libraries, whose body is a field: unknown members of the body are
        ignored, and empty members of the response are left out."""
        return self.body not in ("", "*")


@dataclass(frozen=True, slots=True)
class Match:
    """A binding and its percent-decoded path parameters."""

    binding: Binding
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MethodNotAllowed:
    """The path has no such method. `allowed` are those that it has, sorted, for the Allow header."""

    allowed: tuple[str, ...]


def bindings_of(
    services: Iterable[ServiceDescriptor], internal: Iterable[ServiceDescriptor] = ()
) -> tuple[Binding, ...]:
    """The bindings of all annotated methods of `services`, in the order of matching. Raises UnsupportedBinding.

    The `internal` services have the batch methods of those, and no routes.
    """
    services = tuple(services)
    batch_methods = batch_methods_of(services, internal)
    bindings = [
        binding for service in services for method in service.methods for binding in _bindings(method, batch_methods)
    ]
    bindings.sort(key=lambda binding: (binding.rank, binding.method))
    for first, second in pairwise(bindings):
        if (first.method, first.rank) == (second.method, second.rank):
            raise UnsupportedBinding(f"{first.method} {first.template} is bound twice, to {first.rpc} and {second.rpc}")
    return tuple(bindings)


def match(bindings: Iterable[Binding], method: str, raw_path: str) -> Match | MethodNotAllowed | None:
    """The binding for a request; None where no binding has this path.

    `raw_path` is percent-encoded. HEAD is served like GET. Raises InvalidPath.
    """
    wanted = "GET" if method == "HEAD" else method
    allowed: set[str] = set()
    for binding in bindings:
        if path_match := binding.pattern.fullmatch(raw_path):
            if binding.method == wanted:
                return Match(binding, {name: _decoded(name, text) for name, text in path_match.groupdict().items()})
            allowed.add(binding.method)
    return MethodNotAllowed(allow(allowed)) if allowed else None


def allow(methods: Iterable[str]) -> tuple[str, ...]:
    """The value of `Allow` for a path that is bound to `methods`, with HEAD for a GET and OPTIONS for every path."""
    bound = set(methods)
    return tuple(sorted(bound | {"OPTIONS"} | ({"HEAD"} if "GET" in bound else set())))


def _decoded(field: str, text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise InvalidPath(field) from None


def _bindings(method: MethodDescriptor, batch_methods: Mapping[str, BatchMethod]) -> Iterator[Binding]:
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    if is_streaming(method):
        raise UnsupportedBinding(f"{method.full_name}: streaming")
    rule = options.Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        if each is not rule and each.additional_bindings:
            raise UnsupportedBinding(f"{method.full_name}: additional_bindings inside additional_bindings")
        yield _binding(method, each, batch_methods)


def _binding(method: MethodDescriptor, rule: http_pb2.HttpRule, batch_methods: Mapping[str, BatchMethod]) -> Binding:
    kind = rule.WhichOneof("pattern")
    if kind not in _METHODS:
        raise UnsupportedBinding(f"{method.full_name}: the pattern {kind}")
    if rule.body and kind == "get":
        raise UnsupportedBinding(f"{method.full_name}: a GET with a body")
    template: str = getattr(rule, kind)
    pattern, rank, has_verb = _pattern(method, template)
    request, response = method.input_type, method.output_type
    for field in pattern.groupindex:
        _require_parameter(method, request.fields_by_name.get(field), field)
    is_batch = False
    body_message: Descriptor | None = None
    if rule.body == "*":
        body_message = request
    elif rule.body:
        body_message, is_batch = _body_field(method, rule.body)
    if rule.response_body and not is_message(response.fields_by_name.get(rule.response_body)):
        raise UnsupportedBinding(f"{method.full_name}: response_body {rule.response_body!r} is no singular message")
    filled = {rule.body, *pattern.groupindex}
    query = {field.name: field for field in request.fields if rule.body != "*" and field.name not in filled}
    for name, parameter in query.items():
        if not is_repeated_string(parameter):
            _require_parameter(method, parameter, name)
    return Binding(
        method=_METHODS[kind],
        template=template,
        pattern=pattern,
        rpc=rpc_path(method),
        request=GetMessageClass(request),
        request_type=request,
        response=GetMessageClass(response),
        body=rule.body,
        body_message=body_message,
        is_batch=is_batch,
        has_results=response_of_result(method) is not None,
        response_body=rule.response_body,
        query=query,
        has_verb=has_verb,
        is_write=kind != "get" and method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS,
        batch_method=_batch_method_of_items(method, body_message, query, batch_methods.values())
        if is_batch
        else batch_methods.get(method.full_name),
        rank=rank,
    )


def _batch_method_of_items(
    method: MethodDescriptor, item: Descriptor | None, others: Iterable[str], batch_methods: Iterable[BatchMethod]
) -> BatchMethod | None:
    """The batch method whose bodies are the items of a method, with the same results and all its `others`: the other
    fields of a request."""
    for each in batch_methods:
        if each.body is item and each.outcome is response_of_result(method):
            return each if all(name in each.request.DESCRIPTOR.fields_by_name for name in others) else None
    return None


def _pattern(method: MethodDescriptor, template: str) -> tuple[re.Pattern[str], tuple[tuple[int, str], ...], bool]:
    first, *segments = template.split("/")
    parsed = [_SEGMENT.fullmatch(segment) for segment in segments]
    valid = [each for each in parsed if each]
    fields = [each["field"] for each in valid if each["field"]]
    if first or not valid or len(valid) < len(parsed) or len(fields) > len(set(fields)):
        raise UnsupportedBinding(f"{method.full_name}: the path {template!r}")
    if any(each["verb"] for each in valid[:-1]):
        raise UnsupportedBinding(f"{method.full_name}: a verb inside the path {template!r}")
    verb = valid[-1]["verb"]
    expression = "".join(
        f"/(?P<{each['field']}>[^/{':' if each is valid[-1] else ''}]+)"
        if each["field"]
        else f"/{re.escape(each['literal'])}"
        for each in valid
    )
    rank = (*((1, "") if each["field"] else (0, each["literal"]) for each in valid), (0, verb) if verb else (2, ""))
    return re.compile(expression + (f":{verb}" if verb else "")), rank, bool(verb)


def _body_field(method: MethodDescriptor, name: str) -> tuple[Descriptor, bool]:
    field = method.input_type.fields_by_name.get(name)
    if field is None or field.message_type is None or field.message_type.GetOptions().map_entry:
        raise UnsupportedBinding(f"{method.full_name}: the body {name!r} is no message field")
    if field.is_repeated and response_of_result(method) is None:
        # Without a result for each item, one bad item could only fail them all.
        raise UnsupportedBinding(f"{method.full_name}: an array body needs `results` of a response or an error each")
    return field.message_type, field.is_repeated


def _require_parameter(method: MethodDescriptor, field: FieldDescriptor | None, name: str) -> None:
    if field is None or field.is_repeated or not (field.type in SCALARS or is_timestamp(field)):
        raise UnsupportedBinding(f"{method.full_name}: {name!r} is no scalar field for the path or the query")
