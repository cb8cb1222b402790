"""The operations of a service: a route with its parameters, body, responses and examples."""

import re
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from docs.generator.contract import Contract
from docs.generator.descriptors import Api, message_of
from docs.generator.openapi.examples import HttpExample, HttpExamples
from docs.generator.openapi.responses import BATCH_ERRORS, Reasons
from docs.generator.openapi.schemas import Schemas
from gateway.endpoints import health as endpoints
from gateway.routing.http_rules import Binding

HEALTH_TAG: Final = {"name": "health", "description": "Whether the gateway lives, and can do its work."}

_SUMMARIES: Final = {
    "BatchUpdateUsers": "BatchUpdateUsersSummary",
    "BatchUpdateCompanies": "BatchUpdateCompaniesSummary",
}
"""Methods whose response the gateway writes in a form of its own."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a method; `is_first` is false for its further routes."""

    service: str
    method: str
    binding: Binding
    is_first: bool

    @property
    def path(self) -> str:
        return self.binding.template

    @property
    def verb(self) -> str:
        return self.binding.method.lower()

    @property
    def operation_id(self) -> str:
        """`listUsers`, and of a further route `listUsersByPost`."""
        name = f"{self.method[0].lower()}{self.method[1:]}"
        return name if self.is_first else f"{name}By{self.binding.method.capitalize()}"


def operation(
    route: Route, api: Api, contract: Contract, schemas: Schemas, reasons: Reasons, examples: HttpExamples
) -> dict[str, Any]:
    """The operation of a route."""
    name = f"{route.service}.{route.method}"
    binding = route.binding
    comment = api.comments[name]
    shown = examples.of(binding)
    written: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": summary(comment),
        "description": f"{comment}\n\nSending it again is {contract.repetition(name)}",
        "security": _security(contract, name),
    }
    message = api.messages[message_of(f".{binding.request_type.full_name}")]
    if parameters := _parameters(binding, message, schemas, api, shown):
        written["parameters"] = parameters
    if binding.body:
        written["requestBody"] = _body(binding, message, schemas, shown)
    status = "201" if binding.method == "POST" and not binding.has_verb else "200"
    written["responses"] = {
        status: _success(route, api, schemas, shown, status),
        **reasons.responses(route.method, binding),
    }
    _add_error_examples(written["responses"], shown, contract)
    return written


def _security(contract: Contract, name: str) -> list[dict[str, list[str]]]:
    scope = contract.scope(name)
    token: dict[str, list[str]] = {"managementToken": [scope] if scope else []}
    return [{"collectorKey": []}, token] if contract.takes_collector_key(name) else [token]


def summary(comment: str) -> str:
    """The first sentence of a comment, or its first part, as plain text."""
    return re.split(r"[.:](?:\s|$)", " ".join(comment.split()), maxsplit=1)[0].replace("`", "")


def _parameters(
    binding: Binding, message: DescriptorProto, schemas: Schemas, api: Api, shown: list[HttpExample]
) -> list[dict[str, Any]]:
    fields = {field.name: field for field in message.field}
    parameters = []
    for place, names in (("path", binding.pattern.groupindex), ("query", binding.query)):
        for name in names:
            parameter: dict[str, Any] = {
                "name": name,
                "in": place,
                "required": place == "path",
                "description": api.comments[f"{message.name}.{name}"],
                "schema": schemas.parameter(message, fields[name]),
            }
            if fields[name].label == FieldDescriptorProto.LABEL_REPEATED:
                parameter |= {"style": "form", "explode": False}
            values = {
                example.name: {"value": example.parameters[name]} for example in shown if name in example.parameters
            }
            parameters.append({**parameter, **({"examples": values} if values else {})})
    return parameters


def _body(binding: Binding, message: DescriptorProto, schemas: Schemas, shown: list[HttpExample]) -> dict[str, Any]:
    if binding.body == "*":
        schema = schemas.request(message.name, without=frozenset(binding.pattern.groupindex), is_strict=True)
    else:
        (field,) = (each for each in message.field if each.name == binding.body)
        schema = schemas.request(message_of(field.type_name), is_strict=False)
        if binding.is_batch:
            schema = {"type": "array", "items": schema}
    content: dict[str, Any] = {"schema": schema}
    if bodies := {each.name: each.entry(each.body) for each in shown if each.body is not None}:
        content["examples"] = bodies
    return {"required": True, "content": {"application/json": content}}


def _success(route: Route, api: Api, schemas: Schemas, shown: list[HttpExample], status: str) -> dict[str, Any]:
    name = _SUMMARIES.get(route.method, route.binding.response.DESCRIPTOR.name)
    description = " ".join(api.comments[name].split("\n\n")[0].split())
    schema = schemas.response(name)
    if member := route.binding.response_body:
        (field,) = (each for each in api.messages[name].field if each.name == member)
        description = " ".join(api.comments[message_of(field.type_name)].split("\n\n")[0].split())
        schema = schemas.body(name, member)
    content: dict[str, Any] = {"schema": schema}
    if route.binding.is_batch:
        schemas.batch_error(BATCH_ERRORS[route.method], name)
    if bodies := {each.name: each.entry(each.response) for each in shown if not each.is_error}:
        content["examples"] = bodies
    return {"description": description, "content": {"application/json": content}}


def _add_error_examples(responses: dict[str, Any], shown: list[HttpExample], contract: Contract) -> None:
    http_status = contract.http_status_of_reasons()
    for example in shown:
        if example.is_error:
            reason = example.response["details"][0]["reason"]
            content = responses[str(http_status[reason])]["content"]["application/json"]
            content.setdefault("examples", {})[example.name] = example.entry(example.response)


def health() -> dict[str, Any]:
    """The paths of health, which need no credential."""
    text = {"type": "string"}
    return {
        endpoints.LIVE: _check("live", "Whether the process lives", status=text),
        endpoints.READY: _check("ready", "Whether the gateway, and a server behind it, can do their work", status=text),
        endpoints.PROBE: _check("probe", "The probe of client libraries", status={"const": True}, region=text),
    }


def _check(name: str, about: str, **members: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": members, "required": [*members]}
    content = {"content": {"application/json": {"schema": schema}}}
    responses: dict[str, Any] = {"200": {"description": "It is so.", **content}}
    if name == "ready":
        responses["503"] = {"description": "It is not so; `status` says why.", **content}
    return {"get": {"operationId": name, "summary": about, "tags": ["health"], "security": [], "responses": responses}}
