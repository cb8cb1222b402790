"""The protos with their comments, as `make proto` leaves them in build/api.binpb."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

SUBJECTS: Final = {
    "UserService": "users",
    "CompanyService": "companies",
    "VisitorService": "visitors",
    "CampaignService": "campaigns",
    "RefusalService": "refusals",
    "MetadataService": "metadata",
    "StatusService": "status",
    "ApplicationService": "applications",
    "CredentialService": "credentials",
}
"""The services, and what their pages are called by."""

_IMAGE: Final = Path(__file__).parent.parent.parent / "build" / "api.binpb"
_PACKAGE: Final = "userfold.v1"

# Numbers of fields in descriptor.proto: a comment is found by the path of numbers that leads to its element.
_MESSAGES, _FIELDS, _ONEOFS = 4, 2, 8
_ENUMS, _VALUES = 5, 2
_SERVICES, _METHODS = 6, 2


class Api:
    """The services and messages of `userfold.v1`, and the comment of each by its full name without the package."""

    def __init__(self, image: Path = _IMAGE) -> None:
        parsed = FileDescriptorSet.FromString(image.read_bytes())
        self._files = [file for file in parsed.file if file.package == _PACKAGE]

    @property
    def services(self) -> dict[str, ServiceDescriptorProto]:
        """The services by name."""
        return {service.name: service for file in self._files for service in file.service}

    @property
    def messages(self) -> dict[str, DescriptorProto]:
        """The messages by name, in the order of their files."""
        return {message.name: message for file in self._files for message in file.message_type}

    def enum(self, name: str) -> dict[str, str]:
        """The comment of each value of an enum but the one that is never given."""
        for file in self._files:
            for at, enum in enumerate(file.enum_type):
                if enum.name == name:
                    written = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
                    texts = (written[_ENUMS, at, _VALUES, place] for place in range(len(enum.value)))
                    return {
                        value.name: _text(text) for value, text in zip(enum.value, texts, strict=True) if value.number
                    }
        raise LookupError(name)

    @cached_property
    def comments(self) -> dict[str, str]:
        """The comments by name, such as `UserService.GetUser` and `User.user_id`, as CommonMark."""
        return dict(self._comments())

    def _comments(self) -> Iterator[tuple[str, str]]:
        for file in self._files:
            written = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
            for at, message in enumerate(file.message_type):
                yield message.name, _text(written[_MESSAGES, at])
                for place, field in enumerate(message.field):
                    yield f"{message.name}.{field.name}", _text(written[_MESSAGES, at, _FIELDS, place])
                for place, oneof in enumerate(message.oneof_decl):
                    comment = written.get((_MESSAGES, at, _ONEOFS, place), "")
                    yield f"{message.name}.{oneof.name}", _text(comment)
            for at, service in enumerate(file.service):
                yield service.name, _text(written[_SERVICES, at])
                for place, method in enumerate(service.method):
                    yield f"{service.name}.{method.name}", _text(written[_SERVICES, at, _METHODS, place])


def _text(comment: str) -> str:
    """A comment without the blank behind each `//`."""
    return "\n".join(line.removeprefix(" ") for line in comment.splitlines()).strip()


def message_of(type_name: str) -> str:
    """The name of a message as a reader of the API knows it: without the package where that is ours."""
    return type_name.removeprefix(".").removeprefix(f"{_PACKAGE}.")


def own_oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    """The oneof that a field belongs to, by name; empty where it is in none, or is only `optional`."""
    if not field.HasField("oneof_index") or field.proto3_optional:
        return ""
    return message.oneof_decl[field.oneof_index].name


def streams(method: MethodDescriptorProto) -> tuple[str, str]:
    """`stream ` before the request and before the response, where they are streams."""
    return "stream " * method.client_streaming, "stream " * method.server_streaming
