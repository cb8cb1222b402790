"""JSON values to request messages, by their descriptors. For every message, the decoder accepts:

- names in snake_case or proto3's camelCase; null means that the field is not sent
- `[]` where an object is expected, as an empty object: PHP does not distinguish them
- an integer where a string is expected, as its decimal digits; in a `Campaign` any number or boolean
- times in all the forms of `timestamps`; an empty string means that the time is not sent
- `email`, `name` and the other fields of a user's metadata next to a `metadata` object: they are moved into it

A lenient decoder ignores unknown names, with a warning; of a field in both cases it takes the one in snake_case, with a
warning; and it ignores names that the message reserves, which are those of output-only fields. A strict decoder reports
all of these as violations.

Of the fields of a `oneof`, a message has one.

A `google.protobuf.Value` and a `ListValue` are any value and any array. They occur only in repeated messages, which
together have the limits of a `Struct`.

A `Struct` is sent as JSON where the message has a bytes field for that, with the Struct's name and `_json`: building a
Struct and reading it again costs more than that.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from userfold.v1.campaign_pb2 import Campaign

from gateway.errors.violations import Findings, Path, short_key
from gateway.routing.descriptors import SCALARS, UnsupportedBinding, is_timestamp
from gateway.transcoding import exact_integers, timestamps
from gateway.transcoding.json_values import (
    SCALAR_READERS,
    WRONG_TYPE,
    Reader,
    exact_json,
    members_of,
    read_list_value,
    read_scalar_as_string,
    read_string,
    read_struct,
    read_struct_as_json,
    read_timestamp,
    read_value,
    time_as_json,
)

MOVED: Final = ("email", "name", "first_name", "last_name", "phone", "photo_url")
"""The fields of `metadata` that some clients send next to it."""

UNKNOWN_FIELD: Final = "UNKNOWN_FIELD", "is unknown: there is no such field"
REPEATED: Final = "REPEATED", "is given more than once"
NOT_EXACTLY_ONE: Final = "NOT_EXACTLY_ONE"
"""Reasons, with the descriptions, of violations."""

_STRUCT = "google.protobuf.Struct"
_ANY_VALUES: Final[Mapping[str, Reader]] = {
    "google.protobuf.Value": read_value,
    "google.protobuf.ListValue": read_list_value,
}
_LEVELS: Final = exact_integers.LEVELS + 2
"""Levels of a list of messages: that of the list, those of the messages, and those of the values in them."""

_SCALARS_AS_STRINGS = frozenset({Campaign.DESCRIPTOR.full_name})


class ObjectDecoder:
    """Decodes JSON objects into messages of one type. Raises UnsupportedBinding for fields that it cannot read.

    If `is_strict`, unknown names, and a field in both cases, are violations, at every depth.
    """

    def __init__(
        self, descriptor: Descriptor, *, is_strict: bool = False, known: dict[str, "ObjectDecoder"] | None = None
    ) -> None:
        known = {} if known is None else known
        known[descriptor.full_name] = self
        self.is_strict = is_strict
        self.descriptor = descriptor
        self._message = GetMessageClass(descriptor)
        # Structs that are sent as JSON: the name of the bytes field, by the name of the Struct.
        self._json_fields = {
            field.name: f"{field.name}_json"
            for field in descriptor.fields
            if _is_struct(field) and f"{field.name}_json" in descriptor.fields_by_name
        }
        fields = [field for field in descriptor.fields if field.name not in self._json_fields.values()]
        self._readers: dict[str, Reader] = {field.name: _reader(field, is_strict, known) for field in fields}
        self._readers |= dict.fromkeys(self._json_fields, read_struct_as_json)
        # A shortcut for the most frequent values: strings for string fields.
        self._string_fields = {
            field.name for field in fields if self._readers[field.name] in (read_string, read_scalar_as_string)
        }
        singular = [field for field in fields if not field.is_repeated]
        self._times = {field.name for field in singular if is_timestamp(field)}
        self._string_messages = {
            field.name: known[message.full_name]
            for field in singular
            if (message := field.message_type) is not None and message.full_name in known
        }
        self._oneofs = [
            names
            for oneof in descriptor.oneofs
            if len(names := [field.name for field in oneof.fields if field.name in self._readers]) > 1
        ]
        self._camel_case = {field.json_name: field.name for field in fields if field.json_name != field.name}
        metadata = descriptor.fields_by_name.get("metadata")
        has_metadata = metadata is not None and _is_struct(metadata)
        self._moved = {name for name in MOVED if has_metadata and name not in self._readers}
        self._ignored = frozenset() if is_strict else _reserved_names(descriptor)
        observed = {name: f"observed_{name}" for name in self._readers}
        self._observed = {name: _in_both_cases([other]) for name, other in observed.items() if other in self._ignored}

    def message(self, value: dict[str, Any], path: Path, findings: Findings) -> Message | None:
        """The message of a parsed JSON object, which may be modified; None if there are violations."""
        before = len(findings.violations)
        arguments = self.arguments(value, path, findings)
        return self._message(**arguments) if len(findings.violations) == before else None

    def as_json(self, value: dict[str, Any], path: Path, findings: Findings) -> bytes:
        """A parsed JSON object as JSON for a batch method: names in snake_case, values as `arguments` reads them.

        A time is an array of its seconds and nanoseconds. If there are violations, the JSON is incomplete.
        """
        if (usual := self._usual_json(value)) is not None:
            return usual
        arguments = self.arguments(value, path, findings)
        for name, json_name in self._json_fields.items():
            if json_name in arguments:
                arguments[name] = orjson.Fragment(arguments.pop(json_name))
        return orjson.dumps(arguments, default=time_as_json)

    def _usual_json(self, value: dict[str, Any]) -> bytes | None:
        """The same for an object that is sent as most clients do; None for any other."""
        times: dict[str, Any] = {}
        for name, sent in value.items():
            if name in self._string_fields:
                if type(sent) is not str and sent is not None:
                    return None
            elif name in self._json_fields:
                if type(sent) is not dict:
                    return None
            elif name in self._string_messages:
                if type(sent) is not dict or not self._string_messages[name].holds(sent):
                    return None
            elif name in self._times:
                if type(sent) is not str or (time := timestamps.parse(sent)) is None:
                    return None
                times[name] = time_as_json(time)
            else:
                return None
        return exact_json({**value, **times} if times else value)

    def holds(self, value: dict[str, Any]) -> bool:
        """Whether all members of an object are strings for fields of this message."""
        return all(name in self._string_fields and type(sent) is str for name, sent in value.items())

    def arguments(self, value: Mapping[str, Any], path: Path, findings: Findings) -> dict[str, Any]:
        """The arguments for the message's constructor."""
        named, moved = self._resolve_names(value, path, findings)
        if moved:
            named = self._with_metadata(named, moved, path, findings)
        for names in self._oneofs:
            if sum(named.get(name) is not None for name in names) > 1:
                findings.refuse(path, NOT_EXACTLY_ONE, f"must have only one of {', '.join(names)}")
        arguments: dict[str, Any] = {}
        for name, sent in named.items():
            if type(sent) is str and name in self._string_fields:
                arguments[name] = sent
            elif sent is not None:
                read = self._readers[name](sent, (*path, name), findings)
                if read is not None:
                    arguments[self._json_fields.get(name, name)] = read
        return arguments

    def _resolve_names(
        self, value: Mapping[str, Any], path: Path, findings: Findings
    ) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """The members by the names of the fields, and those to be moved into the metadata."""
        if value.keys() <= self._readers.keys():
            return value, {}
        named: dict[str, Any] = {}
        moved: dict[str, Any] = {}
        for key, sent in value.items():
            if key in self._readers:
                named[key] = sent
            elif (name := self._camel_case.get(key)) is not None:
                if name not in value:
                    named[name] = sent
                elif self.is_strict:
                    findings.refuse((*path, name), *REPEATED)
                else:
                    findings.warn((*path, key), "IGNORED", f"is ignored: {name} is given as well")
            elif key in self._moved:
                moved[key] = sent
            elif self.is_strict:
                findings.refuse((*path, short_key(key)), *UNKNOWN_FIELD)
            elif key not in self._ignored:
                findings.warn((*path, short_key(key)), "UNKNOWN_FIELD", "is ignored: there is no such field")
        for name, observed in self._observed.items():
            # A user that a client read and sends back: an address that was never given is the observed one.
            if name in named and any(other in value and value[other] == named[name] for other in observed):
                del named[name]
        return named, moved

    def _with_metadata(
        self, named: Mapping[str, Any], moved: dict[str, Any], path: Path, findings: Findings
    ) -> Mapping[str, Any]:
        """The members, with those in `moved` added to the metadata."""
        metadata = named.get("metadata")
        if metadata is None or metadata == []:
            metadata = {}
        if not isinstance(metadata, dict):
            return named
        for key, sent in moved.items():
            if sent is None:
                continue
            if key in metadata:
                findings.warn((*path, key), "IGNORED", f"is ignored: metadata.{key} is given as well")
            else:
                metadata[key] = sent
                findings.warn((*path, key), "MOVED_TO_METADATA", f"is stored as metadata.{key}")
        return {**named, "metadata": metadata} if metadata else named


def _reserved_names(descriptor: Descriptor) -> frozenset[str]:
    """The names that a message reserves, in both cases."""
    proto = DescriptorProto()
    descriptor.CopyToProto(proto)
    return _in_both_cases(proto.reserved_name)


def _in_both_cases(names: Iterable[str]) -> frozenset[str]:
    return frozenset({*names, *(re.sub("_([a-z0-9])", lambda match: match[1].upper(), name) for name in names)})


def _reader(field: FieldDescriptor, is_strict: bool, known: dict[str, ObjectDecoder]) -> Reader:
    single = _single_reader(field, is_strict, known)
    if not field.is_repeated:
        return single
    has_any_values = field.message_type is not None and any(map(_any_value, field.message_type.fields))

    def read_list(value: Any, path: Path, findings: Findings) -> Any:
        if not isinstance(value, list):
            findings.refuse(path, WRONG_TYPE, "must be an array")
            return None
        if has_any_values and not exact_integers.make_exact(value, path, findings, levels=_LEVELS):
            return None
        return [single(item, (*path, index), findings) for index, item in enumerate(value)]

    return read_list


def _single_reader(field: FieldDescriptor, is_strict: bool, known: dict[str, ObjectDecoder]) -> Reader:
    message = field.message_type
    if message is None:
        if field.type not in SCALARS:
            raise UnsupportedBinding(f"{field.full_name}: its type cannot be read from JSON")
        parent = field.containing_type
        if field.type == FieldDescriptor.TYPE_STRING and parent and parent.full_name in _SCALARS_AS_STRINGS:
            return read_scalar_as_string
        return SCALAR_READERS[field.type]
    if _is_struct(field):
        return read_struct
    if is_timestamp(field):
        return read_timestamp
    if (reader := _any_value(field)) is not None:
        return reader
    if message.full_name.startswith("google.") or message.GetOptions().map_entry:
        raise UnsupportedBinding(f"{field.full_name}: its type cannot be read from JSON")
    decoder = known.get(message.full_name) or ObjectDecoder(message, is_strict=is_strict, known=known)

    def read_message(value: Any, path: Path, findings: Findings) -> Any:
        members = members_of(value, path, findings)
        return None if members is None else decoder.arguments(members, path, findings)

    return read_message


def _is_struct(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == _STRUCT


def _any_value(field: FieldDescriptor) -> Reader | None:
    return None if field.message_type is None else _ANY_VALUES.get(field.message_type.full_name)
