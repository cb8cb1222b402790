"""Every method about applications and credentials, called by one application beside another: it sees itself alone."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import grpc
import httpx2
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from pymongo.database import Database

from server.accounts.credentials import generate_collector_key
from tests.support.applications import Application, register
from tests.support.example_requests import REQUESTS, UserIds
from tests.support.needs import ABOUT_ITSELF
from tests.support.stack import Stack
from tests.support.transports import METHODS, GrpcTransport, HttpTransport, Transport

_READS: Final = sorted(name for name in ABOUT_ITSELF if name.startswith(("Get", "List")))


@pytest.fixture(scope="module")
def transports(stack: Stack) -> Iterator[Mapping[str, Transport]]:
    with grpc.insecure_channel(stack.grpc) as channel, httpx2.Client(base_url=stack.http, timeout=30) as client:
        yield {"grpc": GrpcTransport(channel), "http": HttpTransport(client)}


@pytest.fixture
def other(database: Database[dict[str, Any]], application: Application) -> Application:
    return register(database, generate_collector_key())


def _bearer(application: Application) -> dict[str, str]:
    return {"Authorization": f"Bearer {application.management_token}"}


def _ids_of(database: Database[dict[str, Any]], application: Application) -> set[str]:
    found = database.credentials.find({"application_id": application.application_id})
    return {application.application_id, *(each["credential_id"] for each in found)}


@pytest.mark.parametrize("method", _READS)
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_an_application_sees_itself_and_no_other(
    transports: Mapping[str, Transport],
    database: Database[dict[str, Any]],
    application: Application,
    other: Application,
    transport: str,
    method: str,
) -> None:
    for request in REQUESTS[method](UserIds(application.application_id)):
        code, body, *_ = transports[transport].call(method, request, _bearer(application))
        assert code in ("OK", 200)
        assert isinstance(body, bytes)
        read = (
            MessageToDict(GetMessageClass(METHODS[method].output_type).FromString(body))
            if transport == "grpc"
            else json.loads(body)
        )
        text = json.dumps(read)
        assert any(each in text for each in _ids_of(database, application))
        assert not any(each in text for each in _ids_of(database, other))


@pytest.mark.parametrize("method", sorted(ABOUT_ITSELF - {*_READS}))
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_what_another_application_has_is_not_changed_and_is_as_what_is_not_there(
    transports: Mapping[str, Transport],
    database: Database[dict[str, Any]],
    application: Application,
    other: Application,
    transport: str,
    method: str,
) -> None:
    def stored() -> list[dict[str, Any]]:
        own = {"application_id": other.application_id}
        return [*database.credentials.find(own).sort("_id"), *database.applications.find({"_id": other.application_id})]

    def response_about(credential_id: str) -> Any:
        ids = UserIds(other.application_id)
        ids.credential_id = credential_id
        (request,) = REQUESTS[method](ids)
        code, *rest = transports[transport].call(method, request, _bearer(application))
        return code, ([] if method.startswith("Create") else rest)

    before = stored()
    # Collector keys and tokens, and one that nobody has.
    about = {repr(response_about(credential_id)) for credential_id in (*_ids_of(database, other), "never")}
    assert len(about) == 1
    assert stored() == before
