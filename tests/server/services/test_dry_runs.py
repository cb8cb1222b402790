"""Dry runs over gRPC: who may call them, and what streams and batches return."""

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

_SCOPE = (7, "SCOPE_MISSING", "read:users")
_MISMATCH = (10, "ETAG_MISMATCH", "")
_TOO_LARGE = (8, "RESPONSE_TOO_LARGE", "")

_DRY_RUNS: list[tuple[str, Any]] = [
    ("UpdateUser", pb.UpdateUserRequest(user=UserUpdate(user_id="u", company_id="new"), validate_only=True)),
    ("BatchUpdateUsers", pb.BatchUpdateUsersRequest(users=[UserUpdate(user_id="u")], validate_only=True)),
    ("DeleteUser", pb.DeleteUserRequest(user_id="u", suppress_days=3, validate_only=True)),
    ("BatchDeleteUsers", pb.BatchDeleteUsersRequest(user_ids=["u"], suppress_days=3, validate_only=True)),
]


@pytest.fixture
async def stub(stack: Stack) -> AsyncIterator[Any]:
    # A response has up to 8 MiB.
    options = [("grpc.max_receive_message_length", 16 * 1024 * 1024)]
    async with grpc.aio.insecure_channel(stack.grpc, options=options) as channel:
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


@pytest.mark.parametrize(("method", "request_"), _DRY_RUNS, ids=[name for name, _ in _DRY_RUNS])
async def test_a_dry_run_takes_the_scope_of_the_method_and_the_one_to_read_users(
    stub: Any,
    database: Database[dict[str, Any]],
    application: Application,
    profiles: Callable[[], list[dict[str, Any]]],
    method: str,
    request_: Any,
) -> None:
    before = profiles()
    call = getattr(stub, method)
    own = Scope.WRITE_USERS if "Update" in method else Scope.DELETE_USERS
    await call(request_, metadata=_token(database, application, Scope.READ_USERS, own), timeout=20)
    without = _token(database, application, Scope.WRITE_USERS, Scope.DELETE_USERS)
    assert await _refused(call(request_, metadata=without, timeout=20)) == _SCOPE
    readers = _token(database, application, Scope.READ_USERS)
    assert await _refused(call(request_, metadata=readers, timeout=20)) == (7, "SCOPE_MISSING", own)
    if own is Scope.WRITE_USERS:
        assert await _refused(call(request_, metadata=_key(application), timeout=20)) == _SCOPE
    assert profiles() == before


async def _streamed(stub: Any, requests: list[pb.StreamUpdateUsersRequest], metadata: _Metadata) -> list[Any]:
    call = stub.StreamUpdateUsers(iter(requests), metadata=metadata, timeout=60)
    return [acknowledgement async for response in call for acknowledgement in response.acknowledgements]


async def test_a_stream_shows_what_its_updates_would_do_after_those_before(
    stub: Any,
    database: Database[dict[str, Any]],
    application: Application,
    profiles: Callable[[], list[dict[str, Any]]],
) -> None:
    both = _token(database, application, Scope.READ_USERS, Scope.WRITE_USERS)
    dry = [
        UserUpdate(user_id="u", anonymous_id="a"),
        UserUpdate(),
        UserUpdate(user_id="u", clear_fields=["company_id"]),
    ]
    requests = [
        pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u", company_id="d")]),
        pb.StreamUpdateUsersRequest(users=dry, validate_only=True),
        pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="v")]),
        pb.StreamUpdateUsersRequest(
            users=[UserUpdate(user_id="v", etag="x"), UserUpdate(user_id="w")], validate_only=True
        ),
    ]
    acknowledged = await _streamed(stub, requests, both)
    assert sorted(each.sequence_number for each in acknowledged) == list(range(7))
    by_number = {each.sequence_number: each for each in acknowledged}
    shown = [by_number[number].response for number in (1, 3)]
    assert [(each.user.company_id, each.user.anonymous_id) for each in shown] == [("d", "a"), ("", "a")]
    # The server's time may be the same for both.
    changed = [{*each.changed_paths} - {"modified_time"} for each in shown]
    assert changed == [{"anonymous_id", "anonymous_ids"}, {"company_id"}]
    assert _reason_of(by_number[2].error)[1] == "INVALID_REQUEST"
    assert _reason_of(by_number[5].error) == _MISMATCH
    assert "created_time" in by_number[6].response.changed_paths
    stored = {profile["user_id"]: profile for profile in profiles()}
    assert stored.keys() == {"u", "v"}
    assert (stored["u"]["company_id"], "anonymous_id" in stored["u"]) == ("d", False)


async def test_a_stream_without_the_scope_ends_at_the_dry_run(
    stub: Any, application: Application, profiles: Callable[[], list[dict[str, Any]]]
) -> None:
    first = pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="first")])
    second = pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="second")], validate_only=True)
    ended = asyncio.Event()

    # Nothing is sent after the refused message: the call of a client that still writes may end with INTERNAL, which
    # grpc.aio sets where a write fails.
    async def requests() -> AsyncIterator[Any]:
        yield first
        yield second
        await ended.wait()

    stream = stub.StreamUpdateUsers(requests(), metadata=_key(application), timeout=20)
    acknowledgements: list[Any] = []

    async def read() -> None:
        async for response in stream:
            acknowledgements.extend(response.acknowledgements)

    assert await _refused(read()) == _SCOPE
    ended.set()
    assert [(item.sequence_number, item.WhichOneof("outcome")) for item in acknowledgements] == [(0, "response")]
    assert {profile["user_id"] for profile in profiles()} == {"u", "first"}


async def test_a_stream_has_as_many_responses_as_the_profiles_need_and_a_batch_one(
    stub: Any, database: Database[dict[str, Any]], application: Application
) -> None:
    both = _token(database, application, Scope.READ_USERS, Scope.WRITE_USERS)
    text = "x" * 1_000_000
    users = [UserUpdate(user_id=f"u{number}", metadata_json=b'{"a":"%s"}' % text.encode()) for number in range(11)]
    call = stub.StreamUpdateUsers(
        iter([pb.StreamUpdateUsersRequest(users=users, validate_only=True)]), metadata=both, timeout=60
    )
    sizes = [[each.sequence_number for each in response.acknowledgements] async for response in call]
    assert sizes == [list(range(8)), [8, 9, 10]]
    batch = await stub.BatchUpdateUsers(
        pb.BatchUpdateUsersRequest(users=users, validate_only=True), metadata=both, timeout=60
    )
    assert [result.WhichOneof("outcome") for result in batch.results] == ["response"] * 8 + ["error"] * 3
    assert {_reason_of(result.error) for result in batch.results[8:]} == {_TOO_LARGE}


async def test_etags_in_a_batch_and_a_stream_refuse_their_own_update_alone(
    stub: Any, application: Application, profiles: Callable[[], list[dict[str, Any]]], api: Api
) -> None:
    key, etag = _key(application), api.get("u").json()["etag"]
    users = [
        UserUpdate(user_id="a"),
        UserUpdate(user_id="u", company_id="x", etag="W/1"),
        UserUpdate(user_id="b", etag=""),
        UserUpdate(etag="x"),
        UserUpdate(user_id="u", company_id="d", etag=etag),
        UserUpdate(user_id="u", company_id="e", etag=etag),
    ]
    expected = [None, _MISMATCH[:2], None, (3, "INVALID_REQUEST"), None, _MISMATCH[:2]]
    batch = await stub.BatchUpdateUsers(pb.BatchUpdateUsersRequest(users=users), metadata=key, timeout=20)
    users[4].etag = users[5].etag = api.get("u").json()["etag"]
    streamed = await _streamed(stub, [pb.StreamUpdateUsersRequest(users=users)], key)
    streamed.sort(key=lambda acknowledgement: int(acknowledgement.sequence_number))
    for results in (list(batch.results), streamed):
        reasons = [_reason_of(result.error)[:2] if result.HasField("error") else None for result in results]
        assert reasons == expected
    single = pb.UpdateUserRequest(user=users[1])
    assert await _refused(stub.UpdateUser(single, metadata=key, timeout=20)) == _MISMATCH
    assert {(profile["user_id"], profile.get("company_id")) for profile in profiles()} == {
        ("u", "d"),
        ("a", None),
        ("b", None),
    }
