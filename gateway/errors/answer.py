"""What the gateway answers: a value to print as JSON, and what the operator is told of each refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.descriptor import Descriptor
from google.rpc.status_pb2 import Status

from gateway.errors import rendering
from gateway.errors.violations import schema_name


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal for log and metric, without any text of a caller's.

    `fields` are names of the schema; `path` is that of a request without a route, in which `*` stands for each segment
    that no route has.
    """

    reason: str
    http: int
    fields: tuple[str, ...]
    error_id: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, JSON value, headers beside Content-Type and Content-Length.

    `refused` says for the operator what was refused, and how often.
    """

    http: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[Refused, int] = field(default_factory=dict)


def answer_from_refusal(
    refusal: rendering.Refusal, message: Descriptor | None = None, path: str | None = None
) -> Answer:
    """The answer to a request that is refused as a whole; `message` describes what its fields are named from."""
    told = refused_from_status(refusal.status, refusal.http, message, path)
    return Answer(refusal.http, rendering.as_json(refusal.status), refusal.headers, {told: 1})


def refused_from_status(
    refused: Status, http: int, message: Descriptor | None = None, path: str | None = None
) -> Refused:
    """What the operator is told of a Status."""
    info = rendering.info_of(refused)
    fields = sorted({schema_name(each, message) for each in rendering.fields_of(refused)})
    return Refused(rendering.reason_of(refused), http, tuple(fields), info.metadata.get("error_id"), path)


NO_ROOM: Final = answer_from_refusal(rendering.refusal("OVERLOADED"))
"""The answer to a request for which too much is under way."""
