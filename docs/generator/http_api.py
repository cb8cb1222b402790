"""The pages of the HTTP API: a route of the gateway, what is sent there, and what is answered."""

import re
from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto

from docs.generator import intros
from docs.generator.contract import Contract, Route
from docs.generator.descriptors import Api, message_of
from docs.generator.examples import Examples
from docs.generator.fields import field_list, link_to

_SUMMARIES: Final = {
    "BatchUpdateUsers": "BatchUpdateUsersSummary",
    "BatchUpdateCompanies": "BatchUpdateCompaniesSummary",
}
"""Methods whose response the gateway writes in a form of its own."""


def page(api: Api, contract: Contract, examples: Examples, service: str, subject: str) -> Iterator[str]:
    """The parts of the page of a service."""
    yield f"# HTTP: {subject}"
    yield intros.NOTE
    yield intros.HTTP[subject]
    for method in api.services[service].method:
        name = f"{service}.{method.name}"
        routes = contract.routes(name)
        if not routes:
            continue
        yield f"## {method.name}"
        yield ", ".join(f"**`{route.method} {route.path}`**" for route in routes)
        yield api.comments[name]
        yield f"Sending it again is {contract.repetition(name)}"
        yield from _request(api, api.messages[message_of(method.input_type)], routes)
        yield from _response(api, method.name, api.messages[message_of(method.output_type)], routes[0])
        yield f"### Example of {method.name}"
        yield examples.of(method.name)


def _request(api: Api, message: DescriptorProto, routes: list[Route]) -> Iterator[str]:
    yield f"### Request of {message.name.removesuffix('Request')}"
    route = routes[0]
    in_path = re.findall(r"\{(\w+)\}", route.path)
    body = next((field for field in message.field if field.name == route.body), None)
    if body is not None:
        kind = link_to(message_of(body.type_name))
        array = "a JSON array of objects, each a" if body.label == body.LABEL_REPEATED else "a JSON object, a"
        yield f"The body is {array} {kind}: {api.comments[f'{message.name}.{body.name}'].splitlines()[0]}"
        rest = [field.name for field in message.field if field.name not in {*in_path, route.body}]
        if rest:
            yield "In the query:"
            yield field_list(api, message, as_json=True, without={*in_path, route.body})
        return
    if not message.field:
        yield "Nothing but the credential."
    if in_path:
        yield "In the path:"
        yield field_list(api, message, as_json=True, without={f.name for f in message.field} - {*in_path})
    rest = [field.name for field in message.field if field.name not in in_path]
    if rest:
        places = {route.method: _place(route, rest) for route in routes}
        where = " or, with ".join(
            place if at == 0 else f"{method}, {place}" for at, (method, place) in enumerate(places.items())
        )
        yield f"{where[0].upper()}{where[1:]}:"
        yield field_list(api, message, as_json=True, without=in_path)


def _place(route: Route, fields: list[str]) -> str:
    """Where a request by this route has the fields."""
    if route.body:
        return "as the members of the body"
    in_path = set(re.findall(r"\{(\w+)\}", route.path)) & set(fields)
    if not in_path:
        return "in the query"
    return "in the path" if in_path == set(fields) else "in the path and the query"


def _response(api: Api, method: str, message: DescriptorProto, route: Route) -> Iterator[str]:
    yield f"### Response of {method}"
    # A POST that has no verb.
    status = 201 if route.method == "POST" and ":" not in route.path else 200
    if method in _SUMMARIES:
        message = api.messages[_SUMMARIES[method]]
        yield api.comments[message.name]
        yield field_list(api, message, as_json=True)
        return
    if route.response_body:
        (field,) = (each for each in message.field if each.name == route.response_body)
        yield f"{status}, and a {link_to(message_of(field.type_name))} as the body."
        if len(message.field) > 1:
            yield "Beside its members, as far as they are set:"
            yield field_list(api, message, as_json=True, without={route.response_body})
        return
    yield f"{status}, and an object with:"
    yield field_list(api, message, as_json=True)
