"""The OpenAPI document that the gateway serves."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from openapi_schema_validator import OAS31Validator

import gateway.admin
from docs.generator.openapi.responses import REASONS

FILE: Final = Path(gateway.admin.__file__).parent / "openapi.json"
DOCUMENT: Final[dict[str, Any]] = json.loads(FILE.read_text())


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    described: dict[str, Any]

    def reasons(self, status: int) -> list[str]:
        """The reasons that a response with this status may have."""
        reasons: list[str] = self.described["responses"][str(status)][REASONS]
        return reasons

    @property
    def takes_collector_key(self) -> bool:
        """Whether a collector key may send the request."""
        return {"collectorKey": []} in self.described["security"]

    @property
    def query(self) -> dict[str, Any]:
        """The schemas of the parameters in the query, by name."""
        return {each["name"]: each["schema"] for each in self.described.get("parameters", ()) if each["in"] == "query"}

    @property
    def body_schema(self) -> Any:
        """The schema of the body; one that nothing fits where there is none."""
        content = self.described.get("requestBody", {}).get("content", {})
        return content["application/json"]["schema"] if content else {"not": {}}

    def response_schema(self, status: int) -> Any:
        """The schema of the responses with this status."""
        return self.described["responses"][str(status)]["content"]["application/json"]["schema"]


def is_valid(schema: Any, value: Any) -> bool:
    """Whether a value fits a schema of the document."""
    fits: bool = OAS31Validator({**schema, "components": _CLOSED["components"]}).is_valid(value)
    return fits


def operations() -> Iterator[Operation]:
    """All operations."""
    for path, item in DOCUMENT["paths"].items():
        for method, described in item.items():
            yield Operation(method.upper(), path, described)


def closed_document() -> dict[str, Any]:
    """The document with responses that may have no further members: a client must expect them, and a test must not."""
    document = copy.deepcopy(DOCUMENT)
    responses = [each["responses"] for item in document["paths"].values() for each in item.values()]
    pending: list[Any] = [*responses]
    closed: set[str] = set()
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in closed:
                closed.add(name)
                pending.append(document["components"]["schemas"][name])
            if part.get("type") == "object" and "properties" in part:
                part.setdefault("additionalProperties", False)
            pending += [value for key, value in part.items() if key != "examples"]
    # Credentials are not generated.
    for item in document["paths"].values():
        for each in item.values():
            each["security"] = []
    return document


_CLOSED: Final = closed_document()
