"""What the gateway answers: a JSON value for the client, and for the operator what was refused."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
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
    """A refusal for logs, metrics and counts, without any text of a caller's.

    `violations` are pairs of a name of the schema and the reason of the field. `path` is that of a request without a
    route, in which `*` stands for each segment that no route has.
    """

    reason: str
    http_status: int
    violations: tuple[tuple[str, str], ...] = ()
    error_id: str | None = None
    path: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, each once."""
        return tuple(sorted({field for field, _ in self.violations}))


Warned: TypeAlias = Mapping[tuple[str, str], int]
"""How often which warning is in an answer: pairs of a name of the schema, which may be empty, and a reason."""


@dataclass(frozen=True)
class Answer:
    """A JSON value with its HTTP status and headers, and how often which refusal and which warning is in it."""

    http_status: int
    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[Refused, int] = field(default_factory=dict)
    warned: Warned = field(default_factory=dict)

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
    """What is reported of a Status."""
    info = rendering.info_of(status)
    violations = named_violations(rendering.violations_of(status), message)
    return Refused(rendering.reason_of(status), http_status, violations, info.metadata.get("error_id"), path)


def named_violations(violations: Iterable[tuple[str, str]], message: Descriptor | None) -> tuple[tuple[str, str], ...]:
    """Violations by the names of the schema, in order, each once."""
    return tuple(sorted({(schema_name(field, message), reason) for field, reason in violations}))


def warned_from_warnings(warnings: Iterable[Mapping[str, str]], message: Descriptor | None) -> Counter[tuple[str, str]]:
    """How often which of these warnings, as they are sent, is there."""
    return Counter((schema_name(each["field"], message), each["reason"]) for each in warnings)


NO_ROOM: Final = answer_from_refusal(rendering.refusal("OVERLOADED"))
"""The answer to a request for which there is no room."""
