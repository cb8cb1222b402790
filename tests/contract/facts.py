"""The parts of the contract that `buf breaking` does not check, as facts: each is a key and a value.

They are read from the tables that the programs use.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.rpc import code_pb2
from userfold.internal.v1 import credential_service_pb2
from userfold.v1.company_pb2 import Company
from userfold.v1.user_pb2 import User

from gateway.app import INTERNAL, SERVICES
from gateway.endpoints import unstored_calls
from gateway.errors.catalogue import HTTP_STATUS, OWN, READ_FAILED, Row
from gateway.http import content_encoding
from gateway.routing.http_rules import bindings_of
from server import limits
from server.model import COMPANIES, USERS, ProfileKind
from server.query.field_mask import WHOLE, whole
from server.query.fields import field_at
from server.rpc.error_status import ERROR_STATUSES, ErrorStatus, number
from server.rpc.error_status import INTERNAL as DEFECT
from server.rpc.methods import METHODS
from tests.contract.reasons import field_reasons

Facts: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The facts of each section by their keys. The values are JSON."""

_LIMITS: Final = (
    *("ID_BYTES", "TEXT_BYTES", "IP_ADDRESS_BYTES", "METADATA_LEVELS", "METADATA_LEAVES", "METADATA_VALUES"),
    *("UPDATE_BYTES", "PROFILE_BYTES", "PROFILE_VALUES", "ALIASES", "BATCH_UPDATES", "MESSAGE_BYTES", "ANSWER_BYTES"),
    *("FILTER_BYTES", "FILTER_COMPARISONS", "FILTER_LEVELS", "PATHS", "PAGE_USERS", "PAGE_USERS_BY_DEFAULT"),
    *("SUGGESTIONS", "SUGGESTIONS_BY_DEFAULT", "SUGGESTED_CHARACTERS"),
    *("SUPPRESS_DAYS", "REPORT_GROUPS", "REPORT_GROUPS_BY_DEFAULT", "REPORT_FIELDS", "REPORTED"),
    *("QUERY_SECONDS", "REPORT_SECONDS", "STREAM_IDLE_SECONDS"),
)
_CREDENTIALS: Final = credential_service_pb2.DESCRIPTOR.services_by_name["CredentialService"]


def facts() -> Facts:
    """All facts."""
    return {
        "errors": dict(_errors()),
        "fields of filters": dict(_filter_fields(User.DESCRIPTOR)) | {"metadata.*": _kind(("metadata", "any"))},
        "fields of filters of companies": dict(_filter_fields(Company.DESCRIPTOR, kind=COMPANIES))
        | {"metadata.*": _kind(("metadata", "any"), COMPANIES)},
        "fields of masks of companies": {".".join(path): True for path in whole(COMPANIES).paths},
        "fields of masks": {".".join(path): True for path in WHOLE.paths},
        "http status by code": {code_pb2.Code.Name(code): http for code, http in HTTP_STATUS.items()},  # type: ignore[arg-type]  # The keys are those of code.proto.
        "limits": {name: getattr(limits, name) for name in _LIMITS}
        | {"HTTP_OBJECT_BYTES": content_encoding.OBJECT_BYTES, "HTTP_ARRAY_BYTES": content_encoding.ARRAY_BYTES},
        "methods": {
            method.full_name: _method(method)
            for service in (*SERVICES, *INTERNAL, _CREDENTIALS)
            for method in service.methods
        },
        "reasons of fields": {reason: sorted(roles) for reason, roles in field_reasons().items()},
        "routes": {
            f"{each.method} {each.template}": {
                "method": each.rpc.removeprefix("/").replace("/", "."),
                "body": each.body,
                "response_body": each.response_body,
            }
            for each in bindings_of(SERVICES, INTERNAL)
        }
        | {f"POST {path}": "accepted and not stored" for path in unstored_calls.BODY_BYTES},
    }


def as_text(found: Facts) -> str:
    """Sorted JSON with one line for each fact."""
    sections = []
    for section, entries in sorted(found.items()):
        lines = (f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(entries.items()))
        sections.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def changed(before: Facts, now: Facts) -> tuple[list[str], list[str]]:
    """One line for each fact that has changed or ended, and for each new one."""
    gone, new = [], []
    for section in sorted({*before, *now}):
        held, holds = before.get(section, {}), now.get(section, {})
        for key in sorted({*held, *holds}):
            if key not in holds:
                gone.append(f"{section}: {key}: no longer")
            elif key not in held:
                new.append(f"{section}: {key}: {json.dumps(holds[key])}")
            elif held[key] != holds[key]:
                gone.append(f"{section}: {key}: {json.dumps(holds[key])}, no longer {json.dumps(held[key])}")
    return gone, new


def _errors() -> Iterator[tuple[str, Any]]:
    for answer in (*ERROR_STATUSES.values(), DEFECT):
        yield f"{answer.reason} (server)", _error_of_server(answer)
    for reason, row in (*OWN.items(), *READ_FAILED.values()):
        yield f"{reason} (gateway)", _error_of_gateway(row)


def _error_of_server(answer: ErrorStatus) -> Any:
    http = HTTP_STATUS[number(answer.code)]
    return {"code": answer.code.name, "http": http, "retry_after": answer.retry_after}


def _error_of_gateway(row: Row) -> Any:
    name = code_pb2.Code.Name(row.code)  # type: ignore[arg-type]  # One of code.proto's.
    return {"code": name, "http": row.http_status or HTTP_STATUS[row.code], "retry_after": row.retry_after}


def _filter_fields(message: Descriptor, *owners: str, kind: ProfileKind = USERS) -> Iterator[tuple[str, str]]:
    for field in message.fields:
        path = (*owners, field.name)
        if field_at(path, kind):
            yield ".".join(path), _kind(path, kind)
        elif field.message_type and field.message_type.file.package == message.file.package:
            yield from _filter_fields(field.message_type, *path, kind=kind)


def _kind(path: tuple[str, ...], kind: ProfileKind = USERS) -> str:
    field = field_at(path, kind)
    return field.kind.name if field else "none"


def _method(method: MethodDescriptor) -> Any:
    need = METHODS[method.full_name].need
    sides = {"client": method.client_streaming, "server": method.server_streaming}
    return {
        "scope": need.scope if need else None,
        "collector_key": need.collector_key if need else True,
        "idempotency": MethodOptions.IdempotencyLevel.Name(method.GetOptions().idempotency_level),
        "streams": [side for side, streams in sides.items() if streams],
    }
