"""Requests that schemathesis generates from the OpenAPI document: valid ones, and ones that break a rule.

`make schemathesis` sends many more, with another seed each time.
"""

import json
import os
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from tests.api.openapi import Operation, closed_document, is_valid, operations
from tests.support.applications import Application
from tests.support.stack import Api, Stack

pytestmark = pytest.mark.long

EXAMPLES: Final = int(os.environ.get("USERFOLD_TEST_EXAMPLES", "6"))
SEED: Final = os.environ.get("USERFOLD_TEST_SEED")
OPERATIONS: Final = {f"{each.method} {each.path}": each for each in operations()}

load_all_checks()
_SCHEMA: Final = schemathesis.openapi.from_dict(closed_document())
_GENERATED: Final[dict[str, Any]] = {
    each.ok().label: each.ok() for each in _SCHEMA.get_all_operations() if isinstance(each, Ok)
}


def test_it_generates_requests_for_every_operation() -> None:
    assert _GENERATED.keys() == OPERATIONS.keys()


def _modes(operation: Operation) -> list[GenerationMode]:
    """The modes of an operation. One that takes nothing has nothing that could break a rule."""
    takes_something = "parameters" in operation.described or "requestBody" in operation.described
    return list(GenerationMode) if takes_something else [GenerationMode.POSITIVE]


@pytest.mark.parametrize(
    ("label", "mode"),
    [(label, mode) for label, each in sorted(OPERATIONS.items()) for mode in _modes(each)],
    ids=lambda value: value.value if isinstance(value, GenerationMode) else value,
)
def test_the_responses_are_as_described(
    stack: Stack, application: Application, label: str, mode: GenerationMode
) -> None:
    operation = OPERATIONS[label]
    headers = {"Authorization": f"Bearer {application.management_token}"}

    @hypothesis.given(case=_GENERATED[label].as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=EXAMPLES, derandomize=SEED is None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    def send(case: Any) -> None:
        response = case.call(base_url=stack.http, headers=headers)
        _check(operation, case, response)

    (send if SEED is None else hypothesis.seed(int(SEED))(send))()


def _check(operation: Operation, case: Any, response: Any) -> None:
    case.validate_response(
        response,
        checks=[
            checks.content_type_conformance,
            checks.response_headers_conformance,
            checks.response_schema_conformance,
            checks.status_code_conformance,
        ],
    )
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        (reason,) = (each["reason"] for each in response.json()["details"] if "reason" in each)
        assert reason in operation.reasons(response.status_code)
        assert response.status_code < 500 or response.status_code == HTTPStatus.NOT_IMPLEMENTED, reason
    else:
        forbidden = [*_forbidden_parameters(operation, response.request.url)]
        if response.request.body and not is_valid(operation.body_schema, json.loads(response.request.body)):
            forbidden.append("body")
        assert not forbidden, f"{response.status_code} {response.text}"


def _forbidden_parameters(operation: Operation, url: str) -> Iterator[str]:
    """The names of the parameters that the document forbids, of those that were sent."""
    parameters = operation.query
    for name, text in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        schema = parameters.get(name)
        # An empty parameter is as an absent one.
        if schema is None or (text and not is_valid(schema, _from_text(schema, text))):
            yield name


def _from_text(schema: dict[str, Any], text: str) -> Any:
    if schema["type"] == "string":
        return text
    if schema["type"] == "array":
        return text.split(",")
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.parametrize("label", sorted(label for label, each in OPERATIONS.items() if each.described["security"]))
def test_the_credentials_are_those_that_are_described(api: Api, label: str) -> None:
    operation = OPERATIONS[label]

    def answer(headers: dict[str, str]) -> tuple[int, str]:
        path = re.sub(r"\{\w+\}", "1", operation.path)
        content = b"{}" if "requestBody" in operation.described else None
        response = api.client.request(operation.method, path, headers=headers, content=content)
        reason = next((each["reason"] for each in response.json().get("details", []) if "reason" in each), "")
        assert not reason or reason in operation.reasons(response.status_code)
        return response.status_code, reason

    assert answer({}) == (401, "CREDENTIAL_MISSING")
    assert answer({"Authorization": "Bearer unknown"}) == (401, "CREDENTIAL_UNKNOWN")
    refused = [(403, "SCOPE_MISSING"), (403, "MANAGEMENT_TOKEN_REQUIRED")]
    assert (answer(api.writer) in refused) is not operation.takes_collector_key
    assert answer(api.reader)[0] not in (401, 403)
