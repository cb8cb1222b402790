"""What the gateway answers: a value to print as JSON, and what the operator is told of each refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.descriptor import Descriptor
from google.rpc.status_pb2 import Status

from gateway import status
from gateway.findings import schema_name


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal for log and metric, without any text of a caller's.

    `fields` are names of the schema; `index` is that of a batch's item.
    """

    reason: str
    http: int
    fields: tuple[str, ...]
    error_id: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, JSON value, headers beside Content-Type and Content-Length."""

    http: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()


def answer_from_refusal(refusal: status.Refusal, message: Descriptor | None = None) -> Answer:
    """The answer to a request that is refused as a whole; `message` describes what its fields are named from."""
    told = refused_from_status(refusal.status, refusal.http, message)
    return Answer(refusal.http, status.as_json(refusal.status), refusal.headers, (told,))


def refused_from_status(
    refused: Status, http: int, message: Descriptor | None = None, index: int | None = None
) -> Refused:
    """What the operator is told of a Status."""
    info = status.info_of(refused)
    fields = sorted({schema_name(path, message) for path in status.fields_of(refused)})
    return Refused(status.reason_of(refused), http, tuple(fields), info.metadata.get("error_id"), index)


NO_ROOM: Final = answer_from_refusal(status.refusal("OVERLOADED"))
"""The answer to a request for which too much is under way."""
