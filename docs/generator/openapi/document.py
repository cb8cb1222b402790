"""The OpenAPI document."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from google.api import annotations_pb2

from docs.generator.contract import Contract
from docs.generator.descriptors import SUBJECTS, Api
from docs.generator.openapi import operations, responses
from docs.generator.openapi.examples import HttpExamples
from docs.generator.openapi.schemas import Schemas
from gateway.app import INTERNAL, SERVICES
from gateway.routing.http_rules import bindings_of

_ROOT: Final = Path(__file__).parent.parent.parent.parent

_DESCRIPTION: Final = """\
Partial updates of users and companies in, one exact profile for each out.

**Credentials.** A collector key may send updates and nothing else; a management token may do what its scopes allow.
Each operation names the scope that it needs.

**Requests.** A body is JSON in UTF-8, whatever its `Content-Type`; `Content-Encoding` may be gzip. Members and
parameters may be in camelCase, too. A null is as a member that is not sent, `[]` as an empty object, and an integer
where a string is expected as its decimal digits. An empty list, number, time or boolean in a query is as an absent one.
Only the bodies of updates (`POST /v1/users`, `/v1/companies`, and their `/batch`) may have unknown members, with a
warning: any other unknown member or parameter is refused.

**Limits.** `maxLength` counts characters, and Userfold counts bytes in UTF-8: a shorter string may be too long.

**Request ids.** Each response has `X-Request-Id`: that of the request or, where it has none, a new one. Logs name the
request by it.

**Responses.** A later version may add members, and reasons of errors: a client must ignore members that it does not
know, and act on the status where it does not know the reason. Every error is a `google.rpc.Status`, also of a path
without an operation (404) and of a method that a path does not have (405).
"""


def document() -> dict[str, Any]:
    """The document, as a JSON object."""
    api, contract = Api(), Contract()
    schemas = Schemas(api)
    paths: dict[str, dict[str, Any]] = {}
    reasons = responses.Reasons(api, contract)
    for service in SERVICES:
        tag = SUBJECTS[service.name]
        examples = HttpExamples(tag)
        for route in _routes(api, service.name):
            operation = operations.operation(route, api, contract, schemas, reasons, examples)
            paths.setdefault(route.path, {})[route.verb] = {"tags": [tag], **operation}
    paths |= operations.health()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Userfold",
            "version": tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"],
            "summary": "A self-hosted user-profile service",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The listener that serves this document"}],
        "tags": [*(_tag(api, service.name) for service in SERVICES), operations.HEALTH_TAG],
        "paths": paths,
        "components": {
            "schemas": schemas.written(),
            "securitySchemes": {
                "collectorKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Moesif-Application-Id",
                    "description": "A collector key, which may send updates and nothing else.",
                },
                "managementToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A management token, which may do what its scopes allow.",
                },
            },
        },
    }


def _tag(api: Api, service: str) -> dict[str, str]:
    return {"name": SUBJECTS[service], "description": f"{operations.summary(api.comments[service])}."}


def written(value: Any) -> str:
    """A JSON value as the text of a file."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _routes(api: Api, service: str) -> Iterator[operations.Route]:
    """The routes of a service, in the order of the protos: the first one of a method before its further ones."""
    bindings = {(binding.method, binding.template): binding for binding in bindings_of(SERVICES, INTERNAL)}
    for method in api.services[service].method:
        rule = method.options.Extensions[annotations_pb2.http]
        for place, each in enumerate((rule, *rule.additional_bindings)):
            if verb := each.WhichOneof("pattern"):
                binding = bindings[verb.upper(), getattr(each, verb)]
                yield operations.Route(service, method.name, binding, is_first=place == 0)
