"""Every method and route, called by two applications: neither reads or changes users of the other, and no credential
exceeds its scopes.

The methods come from the descriptors, the routes from their annotations.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

import grpc
import httpx2
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.company_service_pb2 import UpdateCompanyRequest
from userfold.v1.user_pb2 import UserUpdate

from gateway.app import INTERNAL, SERVICES
from gateway.routing.http_rules import bindings_of
from server.accounts.credentials import generate_collector_key, generate_management_token
from server.model import CredentialKind, Scope
from tests.support.applications import Application, grant, make_room, register
from tests.support.example_requests import REQUESTS, UserIds
from tests.support.needs import ABOUT_ITSELF, ABOUT_THE_SERVER, NEEDS
from tests.support.stack import Stack
from tests.support.transports import (
    BINDINGS,
    METHODS,
    ROUTES,
    Credential,
    GrpcTransport,
    HttpTransport,
    RawResponse,
    Transport,
)

_ABOUT_USERS: Final = [method for method in METHODS if method not in ABOUT_ITSELF | ABOUT_THE_SERVER]


@pytest.fixture(scope="module")
def transports(stack: Stack) -> Iterator[Mapping[str, Transport]]:
    with grpc.insecure_channel(stack.grpc) as channel, httpx2.Client(base_url=stack.http, timeout=30) as client:
        yield {"grpc": GrpcTransport(channel), "http": HttpTransport(client)}


class Applications:
    """Registers the applications of one test, and reads what is stored for them."""

    def __init__(self, transports: Mapping[str, Transport], database: Database[dict[str, Any]]) -> None:
        self._grpc = transports["grpc"]
        self._database = database

    def new_application(self) -> Application:
        return register(self._database, generate_collector_key())

    def token(self, application: Application, *scopes: Scope, expire_time: datetime | None = None) -> Credential:
        secret = generate_management_token()
        grant(self._database, application, CredentialKind.MANAGEMENT, secret, scopes, expire_time)
        return _bearer(secret)

    def store(self, application: Application, ids: UserIds) -> None:
        """Store the user, another one to merge, a visitor, the company, a suppression, and a refusal. The updates must
        have no warnings, whatever other applications did before.
        """
        for update in (ids.update(), UserUpdate(user_id=ids.merged), ids.visit()):
            request = pb.UpdateUserRequest(user=update)
            assert self._grpc.call("UpdateUser", request, _key(application.collector_key)) == ("OK", b"")
        company = UpdateCompanyRequest(company=ids.company())
        assert self._grpc.call("UpdateCompany", company, _key(application.collector_key)) == ("OK", b"")
        erasure = pb.DeleteUserRequest(user_id=ids.erased, suppress_days=1)
        assert self._grpc.call("DeleteUser", erasure, _bearer(application.management_token))[0] == "OK"
        refusal = {
            "application_id": application.application_id,
            **{"reason": "INVALID_REQUEST", "is_warning": False, "method": "", "fields": [], "client_library": ""},
            **{"count": 1, "first_time": datetime.now(UTC), "last_time": datetime.now(UTC)},
        }
        self._database.refusals.insert_one(refusal)

    def seen_by(self, application: Application, ids: UserIds) -> list[RawResponse]:
        """The responses of every read of a user by its own application."""
        scopes = (Scope.READ_USERS, Scope.READ_COMPANIES, Scope.READ_CAMPAIGNS)
        reading = [name for name in METHODS if NEEDS[name].scope in scopes]
        return [
            self._grpc.call(name, request, _bearer(application.management_token))
            for name in reading
            for request in REQUESTS[name](ids)
        ]

    def stored(self, application: Application) -> dict[str, list[dict[str, Any]]]:
        """Every document of an application, whose ids all begin with the application's id."""
        owned = {"_id": {"$gte": f"{application.application_id}/", "$lt": f"{application.application_id}0"}}
        names = self._database.list_collection_names()
        return {name: list(self._database[name].find(owned).sort("_id")) for name in names}


@pytest.fixture
def applications(transports: Mapping[str, Transport], database: Database[dict[str, Any]]) -> Applications:
    return Applications(transports, database)


def _key(secret: str) -> Credential:
    return {"X-Moesif-Application-Id": secret}


def _bearer(secret: str) -> Credential:
    return {"Authorization": f"Bearer {secret}"}


def _credentials(method: str, application: Application) -> list[Credential]:
    """The application's first two credentials, as far as they may call this method."""
    keys = [_key(application.collector_key)] if NEEDS[method].collector_key else []
    return [_bearer(application.management_token), *keys]


def _every(methods: Iterable[str]) -> list[Any]:
    """Each method over each of its transports."""
    return [
        pytest.param(transport, method, id=f"{method}-{transport}")
        for method in methods
        for transport in ("grpc", "http")
        if transport == "grpc" or method in BINDINGS
    ]


def test_every_method_of_the_contract_has_example_requests() -> None:
    assert set(REQUESTS) == set(METHODS)
    assert set(BINDINGS) == {name for name in METHODS if not name.startswith("Stream")}
    assert len(bindings_of(SERVICES, INTERNAL)) == sum(map(len, ROUTES.values()))


@pytest.mark.parametrize(("transport", "method"), _every(_ABOUT_USERS))
def test_another_application_sees_and_changes_no_user(
    transports: Mapping[str, Transport], applications: Applications, transport: str, method: str
) -> None:
    application = applications.new_application()
    ids = UserIds(application.application_id)

    def responses_to_others() -> list[RawResponse]:
        return [
            transports[transport].call(method, request, credential)
            for credential in _credentials(method, applications.new_application())
            for request in REQUESTS[method](ids)
        ]

    without_the_user = responses_to_others()
    applications.store(application, ids)
    stored, seen = applications.stored(application), applications.seen_by(application, ids)
    assert responses_to_others() == without_the_user
    assert (applications.stored(application), applications.seen_by(application, ids)) == (stored, seen)
    # The user's own application gets other responses, so these requests would show a difference.
    if not NEEDS[method].collector_key:
        (credential,) = _credentials(method, application)
        for request, other in zip(REQUESTS[method](ids), without_the_user, strict=True):
            assert transports[transport].call(method, request, credential) != other


def test_no_call_of_another_application_changes_a_user(
    transports: Mapping[str, Transport], applications: Applications
) -> None:
    application, other = applications.new_application(), applications.new_application()
    ids = UserIds(application.application_id)
    applications.store(application, ids)
    stored, seen = applications.stored(application), applications.seen_by(application, ids)
    applications.store(other, ids)
    bearer = _bearer(other.management_token)
    for method in _ABOUT_USERS:
        for request in REQUESTS[method](ids):
            assert transports["grpc"].call(method, request, bearer)[0] in ("OK", "NOT_FOUND"), method
        assert (applications.stored(application), applications.seen_by(application, ids)) == (stored, seen), method
    applications.store(application, ids)


def test_a_page_token_of_another_application_returns_none_of_its_users(
    transports: Mapping[str, Transport], applications: Applications
) -> None:
    application, other = applications.new_application(), applications.new_application()
    markers = [f"{application.application_id}-{number}" for number in range(3)]
    for marker in markers:
        applications.store(application, UserIds(marker))
    first = transports["grpc"].call(
        "ListUsers", pb.ListUsersRequest(page_size=1), _bearer(application.management_token)
    )
    page = pb.ListUsersResponse.FromString(cast(bytes, first[1]))
    assert page.next_page_token
    request = pb.ListUsersRequest(page_size=1, page_token=page.next_page_token)
    response = transports["grpc"].call("ListUsers", request, _bearer(other.management_token))
    assert application.application_id not in repr(response)


@pytest.mark.parametrize(("transport", "method"), _every(METHODS))
def test_no_credential_exceeds_its_scopes(
    transports: Mapping[str, Transport],
    applications: Applications,
    database: Database[dict[str, Any]],
    transport: str,
    method: str,
) -> None:
    application = applications.new_application()
    ids = UserIds(application.application_id)
    applications.store(application, ids)
    stored = applications.stored(application)
    need = NEEDS[method]
    if method == "CreateApplication":
        make_room(database, application)
    tokens = [
        applications.token(application),
        applications.token(application, *(set(Scope) - {need.scope, Scope.ADMIN})),
    ]
    tokens += [applications.token(application, scope) for scope in Scope if scope not in (need.scope, Scope.ADMIN)]
    denied, allowed = (tokens, [applications.token(application, need.scope)]) if need.scope else ([], tokens)
    reason = ("SCOPE_MISSING", need.scope) if need.scope else ("MANAGEMENT_TOKEN_REQUIRED", "")
    if not need.collector_key:
        denied.append(_key(application.collector_key))
    (*_, request) = REQUESTS[method](ids)
    for credential in denied:
        response = transports[transport].call(method, request, credential)
        assert response[0] in ("PERMISSION_DENIED", 403)
        assert transports[transport].reason(response) == reason
    assert applications.stored(application) == stored
    for credential in (*allowed, *_credentials(method, application)):
        code = transports[transport].call(method, request, credential)[0]
        # What these are about need not be there.
        assert code in ("OK", 200, 201) or (method in ABOUT_ITSELF and code in ("NOT_FOUND", 404))


@pytest.mark.parametrize(("transport", "method"), _every(METHODS))
def test_every_unknown_credential_gets_the_same_response(
    transports: Mapping[str, Transport], applications: Applications, transport: str, method: str
) -> None:
    application = applications.new_application()
    ids = UserIds(application.application_id)
    applications.store(application, ids)
    stored = applications.stored(application)
    (*_, request) = REQUESTS[method](ids)
    unknown = transports[transport].call(method, request, _bearer("unknown"))
    assert unknown[0] in ("UNAUTHENTICATED", 401)
    assert transports[transport].reason(unknown) == ("CREDENTIAL_UNKNOWN", "")
    assert transports[transport].call(method, request, _key("unknown")) == unknown
    # One of an application, and a made-up one of the same form: a response depends on the form alone.
    for credential, made_up in (
        (_bearer(application.collector_key), _bearer(generate_collector_key())),
        (_key(application.management_token), _key(generate_management_token())),
        (
            applications.token(application, Scope.ADMIN, expire_time=datetime.now(UTC)),
            _bearer(generate_management_token()),
        ),
    ):
        response = transports[transport].call(method, request, credential)
        assert response == transports[transport].call(method, request, made_up)
        assert transports[transport].reason(response) == ("CREDENTIAL_UNKNOWN", "")
    assert transports[transport].reason(transports[transport].call(method, request, {})) == ("CREDENTIAL_MISSING", "")
    assert applications.stored(application) == stored
