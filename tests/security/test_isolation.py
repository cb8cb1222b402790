"""Two applications go through every method and every route: neither learns or changes anything of the other, and no
credential acts beyond its scopes.

The methods are those of the descriptor, the routes those of its annotations.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import grpc
import httpx2
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb

from gateway.app import INTERNAL, SERVICES
from gateway.routing.http_rules import bindings_of
from server.accounts.credentials import generate_collector_key, generate_management_token
from server.model import CredentialKind, Scope
from tests.support.applications import Application, grant, register
from tests.support.example_requests import REQUESTS, UserIds
from tests.support.needs import NEEDS
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


@pytest.fixture(scope="module")
def transports(stack: Stack) -> Iterator[Mapping[str, Transport]]:
    with grpc.insecure_channel(stack.grpc) as channel, httpx2.Client(base_url=stack.http, timeout=30) as client:
        yield {"grpc": GrpcTransport(channel), "http": HttpTransport(client)}


class World:
    """The applications of one test, and all that is stored."""

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
        """Store the user; whatever anybody did before, it is neither refused nor warned of."""
        request = pb.UpdateUserRequest(user=ids.update())
        assert self._grpc.call("UpdateUser", request, _key(application.collector_key)) == ("OK", b"")

    def seen_by(self, application: Application, ids: UserIds) -> list[RawResponse]:
        """All that an application can read of a user, of whom there is something to read."""
        reading = [name for name in METHODS if NEEDS[name].scope in (Scope.READ_USERS, Scope.READ_CAMPAIGNS)]
        return [
            self._grpc.call(name, request, _bearer(application.management_token))
            for name in reading
            for request in REQUESTS[name](ids)
        ]

    def stored(self, application: Application) -> dict[str, list[dict[str, Any]]]:
        """Every document of an application's users, whose ids all begin with its own."""
        owned = {"_id": {"$gte": f"{application.application_id}/", "$lt": f"{application.application_id}0"}}
        names = self._database.list_collection_names()
        return {name: list(self._database[name].find(owned).sort("_id")) for name in names}


@pytest.fixture
def world(transports: Mapping[str, Transport], database: Database[dict[str, Any]]) -> World:
    return World(transports, database)


def _key(secret: str) -> Credential:
    return {"X-Moesif-Application-Id": secret}


def _bearer(secret: str) -> Credential:
    return {"Authorization": f"Bearer {secret}"}


def _credentials(method: str, application: Application) -> list[Credential]:
    """Those of an application's first two credentials that may call a method."""
    keys = [_key(application.collector_key)] if NEEDS[method].collector_key else []
    return [_bearer(application.management_token), *keys]


def _every(methods: Iterable[str]) -> list[Any]:
    """Each method over each transport that it has."""
    return [
        pytest.param(transport, method, id=f"{method}-{transport}")
        for method in methods
        for transport in ("grpc", "http")
        if transport == "grpc" or method in BINDINGS
    ]


def test_every_method_of_the_contract_is_asked() -> None:
    assert set(REQUESTS) == set(METHODS)
    assert set(BINDINGS) == set(METHODS) - {"StreamUpdateUsers", "StreamBatchUpdateUsers"}
    assert len(bindings_of(SERVICES, INTERNAL)) == sum(map(len, ROUTES.values()))


@pytest.mark.parametrize(("transport", "method"), _every(METHODS))
def test_another_application_is_answered_as_if_there_was_nobody_and_changes_nothing(
    transports: Mapping[str, Transport], world: World, transport: str, method: str
) -> None:
    owner = world.new_application()
    ids = UserIds(owner.application_id)

    def answers_to_others() -> list[RawResponse]:
        return [
            transports[transport].call(method, request, credential)
            for credential in _credentials(method, world.new_application())
            for request in REQUESTS[method](ids)
        ]

    nobody_is_there = answers_to_others()
    world.store(owner, ids)
    stored, seen = world.stored(owner), world.seen_by(owner, ids)
    assert answers_to_others() == nobody_is_there
    assert (world.stored(owner), world.seen_by(owner, ids)) == (stored, seen)
    # The requests are such that a difference would show, as it does to the owner.
    if not NEEDS[method].collector_key:
        (credential,) = _credentials(method, owner)
        for request, other in zip(REQUESTS[method](ids), nobody_is_there, strict=True):
            assert transports[transport].call(method, request, credential) != other


def test_what_an_application_has_of_its_own_stays_as_it_is_whatever_another_does(
    transports: Mapping[str, Transport], world: World
) -> None:
    owner, other = world.new_application(), world.new_application()
    ids = UserIds(owner.application_id)
    world.store(owner, ids)
    stored, seen = world.stored(owner), world.seen_by(owner, ids)
    world.store(other, ids)
    bearer = _bearer(other.management_token)
    for method in METHODS:
        for request in REQUESTS[method](ids):
            assert transports["grpc"].call(method, request, bearer)[0] in ("OK", "NOT_FOUND"), method
        assert (world.stored(owner), world.seen_by(owner, ids)) == (stored, seen), method
    world.store(owner, ids)


def test_the_page_token_of_another_application_leads_to_none_of_its_users(
    transports: Mapping[str, Transport], world: World
) -> None:
    owner, other = world.new_application(), world.new_application()
    markers = [f"{owner.application_id}-{number}" for number in range(3)]
    for marker in markers:
        world.store(owner, UserIds(marker))
    first = transports["grpc"].call("ListUsers", pb.ListUsersRequest(page_size=1), _bearer(owner.management_token))
    page = pb.ListUsersResponse.FromString(cast(bytes, first[1]))
    assert page.next_page_token
    request = pb.ListUsersRequest(page_size=1, page_token=page.next_page_token)
    answer = transports["grpc"].call("ListUsers", request, _bearer(other.management_token))
    assert owner.application_id not in repr(answer)


@pytest.mark.parametrize(("transport", "method"), _every(METHODS))
def test_no_credential_acts_beyond_its_scopes(
    transports: Mapping[str, Transport], world: World, transport: str, method: str
) -> None:
    owner = world.new_application()
    ids = UserIds(owner.application_id)
    world.store(owner, ids)
    stored = world.stored(owner)
    need = NEEDS[method]
    denied = [world.token(owner), world.token(owner, *(set(Scope) - {need.scope, Scope.ADMIN}))]
    denied += [world.token(owner, scope) for scope in Scope if scope not in (need.scope, Scope.ADMIN)]
    if not need.collector_key:
        denied.append(_key(owner.collector_key))
    (*_, request) = REQUESTS[method](ids)
    for credential in denied:
        answer = transports[transport].call(method, request, credential)
        assert answer[0] in ("PERMISSION_DENIED", 403)
        assert transports[transport].reason(answer) == ("SCOPE_MISSING", need.scope)
    assert world.stored(owner) == stored
    for credential in (world.token(owner, need.scope), *_credentials(method, owner)):
        assert transports[transport].call(method, request, credential)[0] in ("OK", 200, 201)


@pytest.mark.parametrize(("transport", "method"), _every(METHODS))
def test_what_is_no_credential_of_an_application_is_always_answered_the_same(
    transports: Mapping[str, Transport], world: World, transport: str, method: str
) -> None:
    owner = world.new_application()
    ids = UserIds(owner.application_id)
    world.store(owner, ids)
    stored = world.stored(owner)
    (*_, request) = REQUESTS[method](ids)
    unknown = transports[transport].call(method, request, _bearer("never there"))
    assert unknown[0] in ("UNAUTHENTICATED", 401)
    assert transports[transport].reason(unknown) == ("CREDENTIAL_UNKNOWN", "")
    for credential in (
        _key("never there"),
        _bearer(owner.collector_key),
        _key(owner.management_token),
        world.token(owner, Scope.ADMIN, expire_time=datetime.now(UTC)),
    ):
        assert transports[transport].call(method, request, credential) == unknown
    assert transports[transport].reason(transports[transport].call(method, request, {})) == ("CREDENTIAL_MISSING", "")
    assert world.stored(owner) == stored
