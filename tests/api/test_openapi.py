"""The OpenAPI document and the Postman collection: what they say is what the running programs do."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx2
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from openapi_spec_validator import OpenAPIV31SpecValidator
from pymongo.database import Database

from docs.generator.descriptors import SUBJECTS
from docs.generator.descriptors import Api as Protos
from docs.generator.openapi.constraints import CONSTRAINTS, UNLIMITED
from docs.generator.openapi.document import document, written
from docs.generator.openapi.postman import collection
from docs.generator.openapi.responses import ELSEWHERE, REASONS
from tests.api.openapi import DOCUMENT, FILE, Operation, is_valid, operations
from tests.docs.conversation import same
from tests.docs.markdown import DOCS, ROOT, Block
from tests.support.applications import Application, make_room
from tests.support.stack import Api
from tests.support.waiting import wait_until

_OPERATIONS: Final = {each.described["operationId"]: each for each in operations()}
_LEFT_OUT: Final = {"…": "…"}


def test_the_document_is_what_the_protos_say_now() -> None:
    assert FILE.read_text() == written(document()), "make docs writes gateway/admin/openapi.json anew"


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_document_has_every_route() -> None:
    routes = json.loads((ROOT / "protos" / "contract.json").read_text())["routes"]
    described = {f"{each.method} {each.path}" for each in operations() if each.described["security"]}
    assert described == {route for route, fact in routes.items() if isinstance(fact, dict)}


def test_the_document_has_every_reason() -> None:
    responses = [response for each in operations() for response in each.described["responses"].values()]
    described = {reason for response in responses for reason in response.get(REASONS, [])}
    assert described | ELSEWHERE == {*Protos().enum("ErrorReason")}
    assert not described & ELSEWHERE


# The examples.


def _examples(operation: Operation) -> Iterator[str]:
    """The names of an operation's examples."""
    described = operation.described
    content = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    responses = [each["content"]["application/json"] for each in described["responses"].values()]
    found = [content, *described.get("parameters", []), *responses]
    yield from dict.fromkeys(name for part in found for name in part.get("examples", {}))


def _sent(api: Api, operation: Operation, name: str) -> httpx2.Response:
    """The response to an example."""
    path, query = operation.path, {}
    for parameter in operation.described.get("parameters", []):
        if name not in parameter.get("examples", {}):
            continue
        value = parameter["examples"][name]["value"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(value, safe=""))
        else:
            query[parameter["name"]] = ",".join(value) if isinstance(value, list) else value
    content = operation.described.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = {"json": content["examples"][name]["value"]} if "examples" in content else {}
    headers = api.writer if operation.takes_collector_key else api.reader
    return api.client.request(operation.method, path, params=query, headers=headers, **body)


def _with_left_out(value: Any) -> Any:
    """The value, which may have further members everywhere."""
    if isinstance(value, dict):
        return {name: _with_left_out(each) for name, each in value.items()} | _LEFT_OUT
    return [_with_left_out(each) for each in value] if isinstance(value, list) else value


def _prepare(api: Api, subject: str) -> None:
    """Send what the pages send before their examples."""
    if subject == "users":
        # What another example of its page sends.
        update = {"user_id": "john@acmeinc.com", "metadata": {"phone": "+1 415 555 1212"}}
        assert api.update(update).status_code == 201
    elif subject == "campaigns":
        campaign = {"utm_source": "google", "utm_medium": "cpc"}
        update = {"user_id": "1", "campaign": campaign, "metadata": {"value": 24000}}
        assert api.update(update).status_code == 201
    elif subject == "visitors":
        update = {"anonymous_id": "visitor-7", "session_token": "XXXXXXXXXX", "campaign": {"utm_source": "google"}}
        assert api.update(update).status_code == 201
    elif subject == "metadata":
        metadata = {"plan": "DE-123", "lifetime_value": 24000, "tags": ["vip"]}
        assert api.update({"user_id": "12345", "metadata": metadata}).status_code == 201
    elif subject == "refusals":
        refused = api.update({"user_id": 12345, "ip_address": []}, **{"User-Agent": "curl/7.88.1"})
        assert refused.status_code == 400
        wait_until(lambda: api.client.get("/v1/refusals", headers=api.reader).json()["refusals"])


@pytest.mark.parametrize("subject", SUBJECTS.values())
def test_the_examples_are_answered_as_shown(
    api: Api, application: Application, database: Database[dict[str, Any]], subject: str
) -> None:
    make_room(database, application)
    of_operations = {name: each for each in operations() for name in _examples(each)}
    in_order = list(tomllib.loads((DOCS / "examples" / f"http-{subject}.toml").read_text()))
    ran = 0
    _prepare(api, subject)
    for method in in_order:
        for name in sorted(name for name in of_operations if re.fullmatch(rf"{method}\d*", name)):
            operation = of_operations[name]
            response = _sent(api, operation, name)
            described = operation.described["responses"][str(response.status_code)]["content"]["application/json"]
            assert is_valid(described["schema"], response.json()), name
            shown = described["examples"][name]["value"]
            assert is_valid(described["schema"], shown), name
            assert same(response.text, Block("json", json.dumps(_with_left_out(shown)), 0)), (name, response.text)
            ran += 1
    assert ran >= len(in_order)


def test_the_first_route_of_every_method_has_its_plain_name_and_an_example() -> None:
    without = {key for key, each in _OPERATIONS.items() if each.described["security"] and not [*_examples(each)]}
    assert without, "further routes need no example"
    assert not [key for key in without if _method_of(key) == key]
    assert not [key for key in _OPERATIONS if _method_of(key) not in _OPERATIONS]


def _method_of(operation: str) -> str:
    """The method of an operation: its further routes have names that end with that of the HTTP method."""
    return re.sub("By(Delete|Get|Post)$", "", operation)


# The limits.

_REST: Final[dict[str, dict[str, Any]]] = {
    "UserUpdate": {"user_id": "u"},
    "CompanyUpdate": {"company_id": "c"},
    **{f"{name}CompanyRequest": {"company_id": "c"} for name in ("Get", "Export", "Delete")},
    "RemoveAliasRequest": {"user_id": "u", "session_token": "t"},
    "MergeUsersRequest": {"user_id": "u", "source_user_id": "v"},
    "GetUserRequest": {"user_id": "u"},
    "ExportUserRequest": {"user_id": "u"},
    "DeleteUserRequest": {"user_id": "u"},
    **{f"{name}VisitorRequest": {"anonymous_id": "v"} for name in ("Get", "Export", "Delete")},
    "LookupUsersRequest.page_size": {"company_id": "c"},
    "LookupUsersRequest.page_token": {"company_id": "c"},
    "SuggestUsersRequest.page_size": {"text": "a"},
    "BatchGetUsersRequest": {"user_ids": ["u"]},
    "BatchDeleteUsersRequest": {"user_ids": ["u"]},
    "RotateCredentialRequest": {"credential_id": "c"},
    "RevokeCredentialRequest": {"credential_id": "c"},
}
"""What requests with a field, or any field of a message, must have besides."""

_OF_LENGTH: Final = {
    "filter": ("company_id = u", " "),
    "order_by": ("created_time", " "),
    "value_path": ("metadata.", "a"),
}
"""How a long value begins, and what fills it."""

_ITEM: Final = {
    "fields": "company_id",
    "user_ids": "u",
    "scopes": "read:users",
    "requests": {"user_id": "u", "session_token": "t"},
    "clear_fields": "campaign",
    "path": "k",
    "union": 1,
    "remove": 1,
}

_UPDATED: Final = {"UserUpdate": "/v1/users", "CompanyUpdate": "/v1/companies"}
"""The paths of updates, by their messages."""


def _items(name: str, count: int) -> list[Any]:
    """So many elements of a list."""
    if name == "metadata_operations":
        return [{"path": [str(number)], "set_once": 1} for number in range(count)]
    return [_ITEM[name]] * count


def _operation_of(field: str) -> Operation:
    """The operation of the method with this field of its request: the one that takes the field in its body, if any."""
    method = field.partition("Request.")[0]
    name = method[0].lower() + method[1:]
    return min(
        (each for key, each in _OPERATIONS.items() if _method_of(key) == name), key=lambda each: "{" in each.path
    )


def _request_with(api: Api, field: str, value: Any) -> httpx2.Response:
    """The response to a request in which a field has this value."""
    message, name = field.split(".")
    if message == "Campaign":
        return api.update({"user_id": "u", "campaign": {name: value}})
    if message == "MetadataOperation":
        does = {"set_once": 1} if name == "path" else {}
        return api.update({"user_id": "u", "metadata_operations": [{"path": ["a"], **does, name: value}]})
    members = {**_REST.get(field, _REST.get(message, {})), name: value}
    if message in _UPDATED:
        return api.client.post(_UPDATED[message], json=members, headers=api.writer)
    operation = _operation_of(field)
    path = operation.path
    for parameter in re.findall(r"\{(\w+)\}", path):
        path = path.replace(f"{{{parameter}}}", quote(members.pop(parameter), safe=""))
    if "requestBody" in operation.described:
        return api.client.request(operation.method, path, json=members, headers=api.reader)
    query = {key: ",".join(each) if isinstance(each, list) else each for key, each in members.items()}
    return api.client.request(operation.method, path, params=query, headers=api.reader)


def _faults(response: httpx2.Response) -> set[str]:
    """The top-level names of the fields for which a request is refused; `items` for too many."""
    assert response.status_code in (200, 201, 400, 404, 409), response.text
    details = response.json().get("details", [])
    if any(each.get("reason") == "BATCH_TOO_LARGE" for each in details):
        return {"items"}
    fields = [violation["field"] for each in details for violation in each.get("field_violations", [])]
    return {re.split(r"[.\[]", re.sub(r"\A(campaign|metadata_operations\[0\])[.]", "", field))[0] for field in fields}


@pytest.mark.parametrize("field", sorted(CONSTRAINTS))
def test_a_value_at_a_limit_is_accepted_and_one_beyond_it_is_refused(api: Api, field: str) -> None:
    limits, name = CONSTRAINTS[field], field.partition(".")[2]
    if longest := limits.get("maxLength"):
        begin, filler = _OF_LENGTH.get(name, ("", "a"))
        if name not in ("email", "page_token"):  # They would be refused for their form.
            assert name not in _faults(_request_with(api, field, begin.ljust(longest, filler)))
        assert name in _faults(_request_with(api, field, begin.ljust(longest + 1, filler)))
    if limits.get("minLength") and "{" not in _operation_of(field).path:  # A path with an empty id is another one.
        assert name in _faults(_request_with(api, field, ""))
    if most := limits.get("maxItems"):
        names = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "gclid")
        items: list[Any] = [f"campaign.{each}" for each in names] if name == "group_by" else _items(name, most + 1)
        assert name not in _faults(_request_with(api, field, items[:most]))
        assert {name, "items"} & _faults(_request_with(api, field, items[: most + 1]))
    if "maximum" in limits:
        for value in (limits["minimum"], limits["maximum"]):
            assert name not in _faults(_request_with(api, field, value))
        for value in (limits["minimum"] - 1, limits["maximum"] + 1):
            assert name in _faults(_request_with(api, field, value))
    for value in limits.get("items", {}).get("enum", ()):
        assert name not in _faults(_request_with(api, field, [value]))


def test_every_field_of_a_request_has_a_limit() -> None:
    messages = Protos().messages
    methods = [key[0].upper() + key[1:] for key, each in _OPERATIONS.items() if each.described["security"]]
    of_requests = [f"{method}Request" for method in methods if f"{method}Request" in messages]
    text, many = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.LABEL_REPEATED
    without = {
        f"{name}.{field.name}"
        for name in (*of_requests, *_UPDATED, "MetadataOperation", "Campaign")
        for field in messages[name].field
        if (
            field.type in (text, FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.TYPE_INT32)
            or field.label == many
        )
        and f"{name}.{field.name}" not in CONSTRAINTS
    }
    # The bodies themselves, of any length.
    assert without - UNLIMITED == {"BatchUpdateUsersRequest.users", "BatchUpdateCompaniesRequest.companies"}


# The Postman collection.


def _postman_requests() -> Iterator[dict[str, Any]]:
    for folder in collection(DOCUMENT)["item"]:
        for item in folder["item"]:
            yield item["request"]


def test_every_request_of_the_postman_collection_reaches_its_operation(api: Api) -> None:
    variables = {
        "base_url": str(api.client.base_url).rstrip("/"),
        "collector_key": api.application.collector_key,
        "management_token": api.application.management_token,
    }

    def filled(text: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda found: variables[found[1]], text)

    sent = set()
    for request in _postman_requests():
        headers = {each["key"]: each["value"] for each in request["header"]}
        auth = request["auth"]
        if auth["type"] == "apikey":
            parts = {each["key"]: each["value"] for each in auth["apikey"]}
            assert parts["in"] == "header"
            headers[parts["key"]] = filled(parts["value"])
        elif auth["type"] == "bearer":
            headers["Authorization"] = f"Bearer {filled(auth['bearer'][0]['value'])}"
        url = request["url"]
        path = "/".join([filled(url["host"][0]), *url["path"]])
        query = {each["key"]: each["value"] for each in url.get("query", [])}
        body = request.get("body", {}).get("raw", "")
        response = api.client.request(request["method"], path, params=query, headers=headers, content=body.encode())
        reasons = {each.get("reason") for each in response.json().get("details", [])}
        assert response.status_code < 500, response.text
        assert response.status_code not in (401, 403, 405), response.text
        assert "ROUTE_NOT_FOUND" not in reasons, path
        sent.add((request["method"], url["raw"]))
    assert len(sent) >= len(_OPERATIONS)
