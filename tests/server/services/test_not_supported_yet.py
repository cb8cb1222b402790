"""Fields of the contract that are not supported yet: the real server refuses them with a reason, and does nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.accounts.credentials import generate_management_token
from server.model import CredentialKind, Scope
from tests.support.applications import Application, grant
from tests.support.stack import Api, Stack

_Metadata = tuple[tuple[str, str], ...]

_ETAG = (12, "ETAG_NOT_SUPPORTED", "")
_VALIDATE_ONLY = (12, "VALIDATE_ONLY_NOT_SUPPORTED", "")
_SCOPE = (7, "SCOPE_MISSING", "read:users")

_VALIDATED: list[tuple[str, Any]] = [
    ("UpdateUser", pb.UpdateUserRequest(user=UserUpdate(user_id="u", company_id="new"), validate_only=True)),
    # Refused before the request is validated: this one has no user.
    ("UpdateUser", pb.UpdateUserRequest(validate_only=True)),
    ("BatchUpdateUsers", pb.BatchUpdateUsersRequest(users=[UserUpdate(user_id="u")], validate_only=True)),
    ("DeleteUser", pb.DeleteUserRequest(user_id="u", suppress_days=3, validate_only=True)),
    ("BatchDeleteUsers", pb.BatchDeleteUsersRequest(user_ids=["u"], suppress_days=3, validate_only=True)),
]


@pytest.fixture
async def stub(stack: Stack) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        yield UserServiceStub(channel)


@pytest.fixture
def profiles(database: Database[dict[str, Any]], api: Api) -> Callable[[], list[dict[str, Any]]]:
    """The stored profiles of the application, of which there is one at first."""
    api.stored({"company_id": "c"})
    return lambda: list(database.profiles.find({"application_id": api.application.application_id}))


def _token(database: Database[dict[str, Any]], application: Application, *scopes: Scope) -> _Metadata:
    token = generate_management_token()
    grant(database, application, CredentialKind.MANAGEMENT, token, scopes)
    return (("authorization", f"Bearer {token}"),)


def _key(application: Application) -> _Metadata:
    return (("x-moesif-application-id", application.collector_key),)


def _reason_of(status: Status) -> tuple[int, str, str]:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return status.code, info.reason, info.metadata.get("scope", "")


async def _refused(call: Any) -> tuple[int, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    trailers: Any = refusal.value.trailing_metadata()
    return _reason_of(Status.FromString(dict(trailers)["grpc-status-details-bin"]))


@pytest.mark.parametrize(("method", "request_"), _VALIDATED, ids=[name for name, _ in _VALIDATED])
async def test_a_request_with_validate_only_does_nothing(
    stub: Any,
    database: Database[dict[str, Any]],
    application: Application,
    profiles: Callable[[], list[dict[str, Any]]],
    method: str,
    request_: Any,
) -> None:
    before = profiles()
    call = getattr(stub, method)
    both = _token(database, application, Scope.READ_USERS, Scope.WRITE_USERS, Scope.DELETE_USERS)
    assert await _refused(call(request_, metadata=both, timeout=20)) == _VALIDATE_ONLY
    # The response would show what is stored.
    without = _token(database, application, Scope.WRITE_USERS, Scope.DELETE_USERS)
    assert await _refused(call(request_, metadata=without, timeout=20)) == _SCOPE
    if "Update" in method:
        assert await _refused(call(request_, metadata=_key(application), timeout=20)) == _SCOPE
    else:
        # The scope of the method is checked first.
        readers = _token(database, application, Scope.READ_USERS)
        assert await _refused(call(request_, metadata=readers, timeout=20)) == (7, "SCOPE_MISSING", "delete:users")
    assert profiles() == before


async def test_a_stream_ends_at_the_request_with_validate_only(
    stub: Any,
    database: Database[dict[str, Any]],
    application: Application,
    profiles: Callable[[], list[dict[str, Any]]],
) -> None:
    both = _token(database, application, Scope.READ_USERS, Scope.WRITE_USERS)
    for number, (metadata, expected) in enumerate([(both, _VALIDATE_ONLY), (_key(application), _SCOPE)]):
        first = pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id=f"first {number}")])
        second = pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="second")], validate_only=True)
        ended = asyncio.Event()

        # Nothing is sent after the refused message: the call of a client that still writes may end with INTERNAL,
        # which grpc.aio sets where a write fails.
        async def requests(ended: asyncio.Event = ended, *sent: Any) -> AsyncIterator[Any]:
            for request in sent:
                yield request
            await ended.wait()

        stream = stub.StreamUpdateUsers(requests(ended, first, second), metadata=metadata, timeout=20)
        acknowledgements: list[Any] = []

        async def read(stream: Any = stream, acknowledgements: list[Any] = acknowledgements) -> None:
            async for response in stream:
                acknowledgements += response.acknowledgements

        assert await _refused(read()) == expected
        ended.set()
        assert [(item.sequence_number, item.WhichOneof("outcome")) for item in acknowledgements] == [(0, "response")]
    assert {profile["user_id"] for profile in profiles()} == {"u", "first 0", "first 1"}


async def test_only_the_update_with_an_etag_is_refused(
    stub: Any, application: Application, profiles: Callable[[], list[dict[str, Any]]]
) -> None:
    key = _key(application)
    with_etag = UserUpdate(user_id="u", company_id="new", etag="W/1")
    # The etag is the reason, even where the update has further violations.
    users = [UserUpdate(user_id="a"), with_etag, UserUpdate(user_id="b", etag=""), UserUpdate(etag="x"), UserUpdate()]
    assert await _refused(stub.UpdateUser(pb.UpdateUserRequest(user=with_etag), metadata=key, timeout=20)) == _ETAG
    batch = await stub.BatchUpdateUsers(pb.BatchUpdateUsersRequest(users=users), metadata=key, timeout=20)
    request = pb.StreamUpdateUsersRequest(users=users)
    streamed = [
        acknowledgement
        async for response in stub.StreamUpdateUsers(iter([request]), metadata=key, timeout=20)
        for acknowledgement in response.acknowledgements
    ]
    streamed.sort(key=lambda acknowledgement: int(acknowledgement.sequence_number))
    for results in (list(batch.results), streamed):
        reasons = [_reason_of(result.error)[:2] if result.HasField("error") else None for result in results]
        assert reasons == [None, _ETAG[:2], None, _ETAG[:2], (3, "INVALID_REQUEST")]
    assert {(profile["user_id"], profile.get("company_id")) for profile in profiles()} == {
        ("u", "c"),
        ("a", None),
        ("b", None),
    }


def test_over_http_the_status_is_501_and_a_collector_key_is_refused(
    api: Api, profiles: Callable[[], list[dict[str, Any]]]
) -> None:
    before = profiles()
    body = {"user_id": "u", "company_id": "new"}
    response = api.update(body | {"etag": "W/1"})
    assert (response.status_code, response.json()["details"][0]["reason"]) == (501, "ETAG_NOT_SUPPORTED")
    calls: list[tuple[str, str, object]] = [
        ("POST", "/v1/users?validate_only=true", body),
        ("POST", "/v1/users/batch?validate_only=true", [body]),
        ("DELETE", "/v1/users/u?validate_only=true", None),
        ("POST", "/v1/users:batchDelete", {"user_ids": ["u"], "validate_only": True}),
    ]
    for method, path, sent in calls:
        by_token = api.client.request(method, path, json=sent, headers=api.reader)
        assert by_token.status_code == 501, (path, by_token.text)
        reason = "VALIDATE_ONLY_NOT_SUPPORTED"
        assert by_token.json()["details"][0]["reason"] == reason
        by_key = api.client.request(method, path, json=sent, headers=api.writer)
        assert (by_key.status_code, by_key.json()["details"][0]["reason"]) == (403, "SCOPE_MISSING")
    assert profiles() == before
