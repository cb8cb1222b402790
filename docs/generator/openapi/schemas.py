"""Messages as JSON schemas: of requests, which are read leniently, and of responses."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from docs.generator.descriptors import Api, message_of, own_oneof
from docs.generator.openapi.constraints import CONSTRAINTS

Schema = dict[str, Any]

_SCALARS: Final[Mapping[int, Schema]] = {
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptorProto.TYPE_INT64: {"type": "integer", "format": "int64"},
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
}
_OF_REQUESTS: Final = ("Request", "Update", "Operation")
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_ANY_VALUE: Final[Mapping[str, Schema]] = {
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": ["array", "null"], "items": {}},
}
_STRUCT, _TIMESTAMP, _STATUS = "google.protobuf.Struct", "google.protobuf.Timestamp", "google.rpc.Status"

_SPARSE: Final[Mapping[str, frozenset[str]]] = {
    "UpdateUserResponse": frozenset(),
    "BatchUpdateUsersSummary": frozenset({"saved_count"}),
    "PreviewedUpdate": frozenset({"index"}),
    "UpdateCompanyResponse": frozenset(),
    "BatchUpdateCompaniesSummary": frozenset({"saved_count"}),
    "PreviewedCompanyUpdate": frozenset({"index"}),
}
"""The responses of the client libraries' routes, whose empty members are left out, with those that are always there."""

_WITH_WARNINGS: Final = frozenset({"CreateCredentialResponse", "ReportCampaignsResponse"})
"""Responses to requests with times in their bodies: an empty string there is ignored, with a warning of the gateway."""


class Schemas:
    """The schemas of the messages that operations refer to."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._written: dict[str, Schema] = {"Status": _status_schema()}

    def written(self) -> dict[str, Schema]:
        """The schemas that were referred to, by name."""
        return dict(sorted(self._written.items()))

    def batch_error(self, name: str, summary: str) -> None:
        """Write the schema `name` of an error that has the members of a summary beside its own."""
        status, members = self._written["Status"], self._object(summary)["properties"]
        self._written[name] = {
            **status,
            "description": "An error of the batch as a whole: a `google.rpc.Status`. Where some items were refused, the"
            f" members of {summary} are beside its own.",
            "properties": {**status["properties"], **members},
        }

    def response(self, name: str) -> Schema:
        """A reference to the schema of a message in responses."""
        if name == _STATUS:
            return _reference("Status")
        if name not in self._written:
            self._written[name] = {}  # Before its fields, which may refer to it.
            self._written[name] = self._object(name)
        return _reference(name)

    def body(self, name: str, member: str) -> Schema:
        """The schema of a body that is one member of a message, and has the others, as far as they are set, beside its
        own.
        """
        message = self._api.messages[name]
        (field,) = (each for each in message.field if each.name == member)
        whole = self.response(message_of(field.type_name))
        beside = {each.name: self._response_field(message, each) for each in message.field if each is not field}
        return {"allOf": [whole, {"type": "object", "properties": beside}]} if beside else whole

    def request(
        self, name: str, *, without: frozenset[str] = frozenset(), is_strict: bool, is_item: bool = False
    ) -> Schema:
        """A reference to the schema of a JSON object in a request: of the message without some fields.

        An item of many, which has a result of its own, is not refused with the request: it has no limits.
        """
        message = self._api.messages[name]
        properties = {
            field.name: self.request_field(message, field, {} if is_item else _constraints(message, field))
            for field in message.field
            if field.name not in without and not _is_json_form(message, field)
        }
        schema: Schema = {
            "type": "object",
            "description": self._api.comments[name],
            "properties": properties,
        }
        if is_strict:
            schema["additionalProperties"] = False
        # A message of responses, too, has another schema there.
        written = f"{name}Body" if without else name if name.endswith(_OF_REQUESTS) else f"{name}Input"
        self._written.setdefault(written, schema)
        return _reference(written)

    def request_field(self, message: DescriptorProto, field: FieldDescriptorProto, constraints: Schema) -> Schema:
        """The schema of a member of a request."""
        schema = self._lenient(message, field, constraints)
        return {**schema, "description": self._comment(message, field)}

    def parameter(self, message: DescriptorProto, field: FieldDescriptorProto) -> Schema:
        """The schema of a parameter in a path or a query."""
        constraints = _constraints(message, field)
        if field.type == FieldDescriptorProto.TYPE_MESSAGE:
            return {**_TIME, **constraints}
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return {"type": "array", "items": dict(_SCALARS[field.type]), **constraints}
        return {**_SCALARS[field.type], **constraints}

    def _lenient(self, message: DescriptorProto, field: FieldDescriptorProto, constraints: Schema) -> Schema:
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return {"type": ["array", "null"], "items": self._lenient_item(field), **constraints}
        if field.type != FieldDescriptorProto.TYPE_MESSAGE:
            scalar = _SCALARS[field.type]
            types = ["string", "integer"] if scalar["type"] == "string" else [scalar["type"]]
            if message.name == "Campaign":
                types = ["string", "number", "boolean"]
            return {**scalar, "type": [*types, "null"], **constraints}
        name = message_of(field.type_name)
        if name in _ANY_VALUE:
            return {**_ANY_VALUE[name], **constraints}
        if name == _TIMESTAMP:
            return {"anyOf": [dict(_TIME), {"type": "string", "maxLength": 0}, {"type": "null"}], **constraints}
        whole: Schema = (
            {"type": "object", "additionalProperties": True, **constraints}
            if name == _STRUCT
            else self.request(name, is_strict=False)
        )
        return {"anyOf": [whole, {"type": "array", "maxItems": 0}, {"type": "null"}]}

    def _lenient_item(self, field: FieldDescriptorProto) -> Schema:
        if field.type != FieldDescriptorProto.TYPE_MESSAGE:
            return {"type": ["string", "integer"]}
        name = message_of(field.type_name)
        is_request = name.endswith("Request")
        return self.request(name, is_strict=is_request, is_item=is_request)

    def _object(self, name: str) -> Schema:
        message = self._api.messages[name]
        properties: Schema = {}
        required: list[str] = []
        for field in message.field:
            if _is_json_form(message, field):
                continue
            properties[field.name] = self._response_field(message, field)
            is_list_of_profile = name == "User" and field.label == FieldDescriptorProto.LABEL_REPEATED
            if _is_always_there(message, field) and not is_list_of_profile:
                required.append(field.name)
        if name in _WITH_WARNINGS:
            about = "The parts of the request that were ignored, over HTTP. Left out where there is none."
            properties["warnings"] = {"type": "array", "items": self.response("Warning"), "description": about}
        if name in _SPARSE:
            required = [each for each in required if each in _SPARSE[name]]
        schema: Schema = {"type": "object", "description": self._api.comments[name], "properties": properties}
        return {**schema, "required": required} if required else schema

    def _response_field(self, message: DescriptorProto, field: FieldDescriptorProto) -> Schema:
        single = self._response_single(message, field)
        entry = _map_entry(message, field)
        if entry is None and field.label == FieldDescriptorProto.LABEL_REPEATED:
            single = {"type": "array", "items": single}
        return {**single, "description": self._comment(message, field)}

    def _response_single(self, message: DescriptorProto, field: FieldDescriptorProto) -> Schema:
        if (entry := _map_entry(message, field)) is not None:
            (value,) = (each for each in entry.field if each.name == "value")
            return {"type": "object", "additionalProperties": dict(_SCALARS[value.type])}
        if field.type == FieldDescriptorProto.TYPE_ENUM:
            return {"type": "string", "enum": [*self._api.enum(message_of(field.type_name))]}
        if field.type != FieldDescriptorProto.TYPE_MESSAGE:
            return dict(_SCALARS[field.type])
        match name := message_of(field.type_name):
            case "google.protobuf.Struct":
                return {"type": "object", "additionalProperties": True}
            case "google.protobuf.Timestamp":
                return dict(_TIME)
        return self.response(name)

    def _comment(self, message: DescriptorProto, field: FieldDescriptorProto) -> str:
        oneof = own_oneof(message, field)
        if oneof and f"{field.name}_json" in {each.name for each in message.field}:
            return self._api.comments[f"{message.name}.{oneof}"]
        return self._api.comments[f"{message.name}.{field.name}"]


def _constraints(message: DescriptorProto, field: FieldDescriptorProto) -> Schema:
    return dict(CONSTRAINTS.get(f"{message.name}.{field.name}", {}))


def _is_always_there(message: DescriptorProto, field: FieldDescriptorProto) -> bool:
    """Whether a response always has the member: lists, and scalars without presence."""
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return True
    return not (field.type == field.TYPE_MESSAGE or field.proto3_optional or own_oneof(message, field))


def _is_json_form(message: DescriptorProto, field: FieldDescriptorProto) -> bool:
    """Whether a field is the JSON of another one: over HTTP, that one is an object."""
    other = field.name.removesuffix("_json")
    return other != field.name and other in {each.name for each in message.field}


def _map_entry(message: DescriptorProto, field: FieldDescriptorProto) -> DescriptorProto | None:
    nested = {each.name: each for each in message.nested_type if each.options.map_entry}
    return nested.get(field.type_name.rpartition(".")[2])


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _status_schema() -> Schema:
    """The schema of every error."""
    strings = {"type": "string"}
    info = {
        "type": "object",
        "description": "Why the request failed. It is always there.",
        "properties": {
            "@type": {"const": "type.googleapis.com/google.rpc.ErrorInfo"},
            "reason": {**strings, "description": "In UPPER_SNAKE_CASE, for programs."},
            "domain": {"const": "userfold"},
            "metadata": {"type": "object", "additionalProperties": strings},
        },
        "required": ["@type", "reason", "domain"],
    }
    violation = {
        "type": "object",
        "properties": {"field": strings, "description": strings, "reason": strings},
        "required": ["field", "description", "reason"],
    }
    bad_request = {
        "type": "object",
        "description": "The fields that break a rule, at most 20, by their paths: never with their values.",
        "properties": {
            "@type": {"const": "type.googleapis.com/google.rpc.BadRequest"},
            "field_violations": {"type": "array", "items": violation},
        },
        "required": ["@type", "field_violations"],
    }
    retry = {
        "type": "object",
        "description": "Sending the request again after this time can help.",
        "properties": {"@type": {"const": "type.googleapis.com/google.rpc.RetryInfo"}, "retry_delay": strings},
        "required": ["@type", "retry_delay"],
    }
    return {
        "type": "object",
        "description": "An error: a `google.rpc.Status`.",
        "properties": {
            "code": {"type": "integer", "description": "The number of a `google.rpc.Code`."},
            "status": {**strings, "description": "The name of that code, such as `INVALID_ARGUMENT`."},
            "message": {**strings, "description": "For people. It may change."},
            "details": {"type": "array", "items": {"anyOf": [info, bad_request, retry]}},
        },
        "required": ["code", "status", "message", "details"],
    }
