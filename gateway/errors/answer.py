"""What the gateway answers: a JSON value for the client, and for the operator what was refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

import orjson
from google.protobuf.descriptor import Descriptor
from google.rpc.status_pb2 import Status

from gateway.errors import rendering
from gateway.errors.violations import schema_name
from gateway.http.messages import Response

_JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal for logs and metrics, without any text of a caller's.

    `fields` are names of the schema. `path` is that of a request without a route, in which `*` stands for each segment
    that no route has.
    """

    reason: str
    http_status: int
    fields: tuple[str, ...]
    error_id: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Answer:
    """A JSON value with its HTTP status and headers, and how often which refusal is in it."""

    http_status: int
    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[Refused, int] = field(default_factory=dict)

    @cached_property
    def response(self) -> Response:
        """The answer as an HTTP response."""
        return Response(self.http_status, {**_JSON, **self.headers}, orjson.dumps(self.value))


Complete: TypeAlias = Callable[[Answer | Exception], object]
"""Is called once with the answer to a request, or with a Refusal or a defect."""

Abandon: TypeAlias = Callable[[], object] | None
"""Stops the work for a client that has gone; None where it must not be stopped."""


def answer_from_refusal(
    refusal: rendering.Refusal, message: Descriptor | None = None, path: str | None = None
) -> Answer:
    """The answer to a request that is refused as a whole; `message` describes what its fields are named from."""
    refused = refused_from_status(refusal.status, refusal.http_status, message, path)
    return Answer(refusal.http_status, rendering.as_json(refusal.status), refusal.headers, {refused: 1})


def refused_from_status(
    status: Status, http_status: int, message: Descriptor | None = None, path: str | None = None
) -> Refused:
    """What logs and metrics report of a Status."""
    info = rendering.info_of(status)
    fields = sorted({schema_name(each, message) for each in rendering.fields_of(status)})
    return Refused(rendering.reason_of(status), http_status, tuple(fields), info.metadata.get("error_id"), path)


NO_ROOM: Final = answer_from_refusal(rendering.refusal("OVERLOADED"))
"""The answer to a request for which there is no room."""
