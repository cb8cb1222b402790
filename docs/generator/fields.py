"""Messages and their fields, as lists that name type, form and comment."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from docs.generator.descriptors import SUBJECTS, Api, message_of, own_oneof

_MESSAGES_PAGE: Final = "messages.md"
_ERRORS_PAGE: Final = "../errors.md"

_SCALARS: Final = {
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_STRING: "string",
}
_JSON: Final = {
    "bool": "boolean",
    "bytes": "string, in base64",
    "double": "number",
    "int32": "number",
    "int64": "number",
    "string": "string",
    "google.protobuf.Struct": "object",
    "google.protobuf.Value": "any value",
    "google.protobuf.ListValue": "array",
    "google.protobuf.Timestamp": "string, a time in RFC 3339",
}


def field_list(api: Api, message: DescriptorProto, *, as_json: bool, without: Collection[str] = ()) -> str:
    """A list of the fields of a message: the name, the type in JSON or in the proto, and the comment."""
    lines: list[str] = []
    seen: set[str] = set()
    for field in message.field:
        if field.name in without:
            continue
        oneof = own_oneof(message, field)
        if oneof and oneof not in seen:
            seen.add(oneof)
            name = "One of the following" if as_json else f"`oneof {oneof}`"
            lines.append(f"- {name}: {_indented(api.comments[f'{message.name}.{oneof}'], 2)}")
        indent = 2 if oneof else 0
        comment = api.comments[f"{message.name}.{field.name}"]
        kind = _type(message, field, as_json=as_json)
        lines.append(f"{' ' * indent}- **`{field.name}`** ({kind}): {_indented(comment, indent + 2)}")
        if field.type == FieldDescriptorProto.TYPE_ENUM:
            values = api.enum(message_of(field.type_name)).items()
            lines += [f"{' ' * indent}  - `{name}`: {_indented(text, indent + 4)}" for name, text in values]
    return "\n".join(lines) or "No fields."


def link_to(name: str) -> str:
    """A message by its name, as a link to where it is described: those of a method with that method."""
    if name == "google.rpc.Status":
        return f"[`{name}`]({_ERRORS_PAGE})"
    if name.startswith("google."):
        return f"`{name}`"
    return f"[`{name}`]({_pages().get(name, _MESSAGES_PAGE)}#{name.lower()})"


@cache
def _pages() -> Mapping[str, str]:
    """The pages of the messages that are described with their methods."""
    return {
        message_of(name): f"grpc-{SUBJECTS[service.name]}.md"
        for service in Api().services.values()
        for method in service.method
        for name in (method.input_type, method.output_type)
    }


def _type(message: DescriptorProto, field: FieldDescriptorProto, *, as_json: bool) -> str:
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        name = message_of(field.type_name)
        nested = [each for each in message.nested_type if each.options.map_entry and name.endswith(f".{each.name}")]
        if nested:
            return "object of strings" if as_json else "`map<string, string>`"
        if not as_json:
            return f"repeated {link_to(name)}" if repeated else link_to(name)
        kind = _JSON.get(name) or link_to(name)
    elif field.type == FieldDescriptorProto.TYPE_ENUM:
        kind = "string" if as_json else f"`{'optional ' * field.proto3_optional}{message_of(field.type_name)}`"
    else:
        name = _SCALARS[field.type]
        if not as_json:
            words = "repeated " * repeated + "optional " * field.proto3_optional
            return f"`{words}{name}`"
        kind = _JSON[name]
    return f"array of {kind}" if repeated and "`" in kind else f"array of {kind}s" if repeated else kind


def _indented(comment: str, by: int) -> str:
    """A comment as the text of a list's item: its further lines are inside the item."""
    first, *rest = comment.splitlines() or [""]
    return "\n".join([first, *(" " * by + line if line else "" for line in rest)])
