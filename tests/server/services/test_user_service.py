"""UserService over gRPC on the real server, as internal services call it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pymongo.database import Database
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.internal.v1.credential_service_pb2 import CheckCredentialRequest
from userfold.internal.v1.credential_service_pb2_grpc import CredentialServiceStub
from userfold.internal.v1.user_update_service_pb2_grpc import UserUpdateServiceStub
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.campaign_pb2 import Campaign
from userfold.v1.user_pb2 import User, UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server import errors
from server.limits import MESSAGE_BYTES, UPDATE_BYTES
from server.rpc.error_status import ERROR_STATUSES
from tests.support.applications import Application
from tests.support.stack import Stack

assert error_details_pb2  # In the descriptor pool.

Metadata = tuple[tuple[str, str | bytes], ...]


class Client:
    """A gRPC client of one application."""

    def __init__(self, channel: grpc.aio.Channel, application: Application) -> None:
        self.channel = channel
        self.stub: Any = UserServiceStub(channel)
        self.writer: Metadata = (("x-moesif-application-id", application.collector_key),)
        self.reader: Metadata = (("authorization", f"Bearer {application.management_token}"),)

    async def update(self, *, metadata: Metadata | None = None, **fields: Any) -> pb.UpdateUserResponse:
        request = pb.UpdateUserRequest(user=UserUpdate(**({"user_id": "u"} | fields)))
        response = await self.stub.UpdateUser(request, timeout=20, metadata=metadata or self.writer)
        assert isinstance(response, pb.UpdateUserResponse)
        return response

    async def batch(self, *users: UserUpdate) -> list[pb.UpdateUserResult]:
        request = pb.BatchUpdateUsersRequest(users=users)
        return list((await self.stub.BatchUpdateUsers(request, timeout=20, metadata=self.writer)).results)

    async def get(self, user_id: str = "u", metadata: Metadata | None = None) -> User:
        request = pb.GetUserRequest(user_id=user_id)
        response = await self.stub.GetUser(request, timeout=20, metadata=metadata or self.reader)
        assert isinstance(response.user, User)
        return response.user


@pytest.fixture
async def client(stack: Stack, application: Application) -> AsyncIterator[Client]:
    size = [("grpc.max_send_message_length", MESSAGE_BYTES)]
    async with grpc.aio.insecure_channel(stack.grpc, options=size) as channel:
        yield Client(channel, application)


def _status(error: grpc.aio.AioRpcError) -> Status:
    trailers: Any = error.trailing_metadata()
    status = Status.FromString(dict(trailers)["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return status


def _status_json(status: Status) -> Any:
    return json_format.MessageToDict(status, preserving_proto_field_name=True)


def _expected(error: type[errors.UserfoldError], *details: dict[str, Any], **info: object) -> Any:
    row = ERROR_STATUSES[error]
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": row.reason, "domain": "userfold"} | info
    # The message of a request that breaks one rule is that of the field.
    named = [field for detail in details for field in detail.get("field_violations", ())]
    message = f"{named[0]['field']}: {named[0]['description']}" if named else row.message
    return {"code": row.code.value[0], "message": message, "details": [info, *details]}


def _fields(*violations: tuple[str, str, str]) -> dict[str, Any]:
    keys = ("field", "reason", "description")
    named = [dict(zip(keys, violation, strict=True)) for violation in violations]
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": named}


async def test_an_update_is_stored_and_read_back(client: Client) -> None:
    response = await client.update(
        company_id="c", modified_time=Timestamp(seconds=1, nanos=2), ip_address="1.2.3.4", session_token="t"
    )
    assert response == pb.UpdateUserResponse()
    user = await client.get()
    assert (user.user_id, user.company_id, user.ip_address, user.alias_count) == ("u", "c", "1.2.3.4", 1)
    assert user.modified_time == Timestamp(seconds=1, nanos=2)
    assert user.stored_time == user.created_time
    assert not user.HasField("observed_ip_address")
    assert len(user.etag) == 22
    assert user.HasField("metadata")
    assert not user.HasField("campaign")


async def test_without_a_client_address_that_of_the_peer_is_observed(client: Client) -> None:
    await client.update()
    user = await client.get()
    assert (user.observed_ip_address, user.ip_address) == ("127.0.0.1", "127.0.0.1")


async def test_the_gateway_passes_on_the_address_of_its_client(client: Client) -> None:
    for address, observed in (
        ("2001:DB8::1", "2001:db8::1"),
        ("", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("1" * 4000, "192.0.2.1"),
    ):
        await client.update(metadata=(*client.writer, ("x-userfold-client-address", address)))
        assert (await client.get()).observed_ip_address == observed


async def test_client_addresses_of_a_batch_are_stored_and_other_strings_are_not(client: Client) -> None:
    request = internal_pb.BatchUpdateUsersRequest(
        users_json=[b'{"user_id":"a"}', b'{"user_id":"b","ip_address":"::ffff:192.0.2.1"}'],
        client_addresses=["::ffff:192.0.2.1", "1" * 100_000],
    )
    updates: Any = UserUpdateServiceStub(client.channel)
    await updates.BatchUpdateUsers(request, metadata=client.writer)
    assert (await client.get("a")).observed_ip_address == "192.0.2.1"
    assert (await client.get("b")).ip_address == "::ffff:192.0.2.1"


async def test_a_batch_has_a_result_for_each_update(client: Client) -> None:
    too_long = struct_pb2.Struct()
    too_long.update({"email": ["x"]})
    results = await client.batch(
        UserUpdate(user_id="a", company_id=""),
        UserUpdate(),
        UserUpdate(user_id="b", metadata=too_long),
        UserUpdate(user_id="c", campaign=Campaign(gclid="g")),
    )
    assert [_status_json(result.error) if result.HasField("error") else None for result in results] == [
        None,
        _expected(
            errors.InvalidRequest,
            _fields(("users[1].user_id", "REQUIRED", "a user_id is required: any string of 1 to 512 bytes")),
        ),
        _expected(errors.InvalidRequest, _fields(("users[2].metadata.email", "WRONG_TYPE", "must be a string"))),
        None,
    ]
    assert [[warning.field for warning in result.response.warnings] for result in results] == [
        ["users[0].company_id"],
        [],
        [],
        [],
    ]
    assert (await client.get("c")).campaign.gclid == "g"


async def test_an_empty_batch_has_no_results(client: Client) -> None:
    assert await client.batch() == []


async def test_a_batch_of_the_largest_message_is_served(client: Client) -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": "x" * 1_000_000})
    users = [UserUpdate(user_id=f"u{number}", metadata=struct) for number in range(33)]
    assert pb.BatchUpdateUsersRequest(users=users).ByteSize() > 0.98 * MESSAGE_BYTES
    results = await client.batch(*users)
    assert [result for result in results if result.HasField("error")] == []


async def test_only_the_oversized_update_of_a_stream_is_refused(client: Client) -> None:
    large = UserUpdate(user_id="b", metadata_json=b'{"a":"%b"}' % (b"x" * UPDATE_BYTES))

    async def requests() -> AsyncIterator[pb.StreamUpdateUsersRequest]:
        yield pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="a"), large, UserUpdate(user_id="c")])
        yield pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="d")])

    errors_by_number = {
        item.sequence_number: _status_json(item.error) if item.HasField("error") else None
        async for response in client.stub.StreamUpdateUsers(requests(), timeout=20, metadata=client.writer)
        for item in response.acknowledgements
    }
    too_large = ("metadata", "TOO_LARGE", f"values and their paths take more than {UPDATE_BYTES:,} bytes")
    assert errors_by_number == {0: None, 1: _expected(errors.InvalidRequest, _fields(too_large)), 2: None, 3: None}


async def test_a_batch_of_more_than_a_thousand_updates_is_refused(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.batch(*(UserUpdate(user_id=f"u{number}") for number in range(1001)))
    assert _status_json(_status(refusal.value)) == _expected(errors.BatchTooLarge)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ((("other", "x"),), errors.CredentialMissing),
        ((("x-moesif-application-id", "unknown"),), errors.CredentialUnknown),
        ((("authorization", "Bearer unknown"),), errors.CredentialUnknown),
    ],
)
async def test_a_call_without_a_known_credential_is_refused(
    client: Client, metadata: Metadata, error: type[errors.UserfoldError]
) -> None:
    for call in (client.update(metadata=metadata), client.get(metadata=metadata)):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call
        assert _status_json(_status(refusal.value)) == _expected(error)


async def test_a_collector_key_may_not_read_and_a_management_token_may_read_and_write(client: Client) -> None:
    await client.update(metadata=client.reader)
    assert (await client.get()).user_id == "u"
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.get(metadata=client.writer)
    assert _status_json(_status(refusal.value)) == _expected(errors.ScopeMissing, metadata={"scope": "read:users"})


async def test_a_user_that_was_never_stored_is_not_found(
    client: Client,
) -> None:
    await client.update()
    for user_id in ("U", "nobody"):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await client.get(user_id)
        assert _status_json(_status(refusal.value)) == _expected(errors.UserNotFound)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.get("")
    assert _status_json(_status(refusal.value)) == _expected(
        errors.InvalidRequest, _fields(("user_id", "REQUIRED", "must not be empty"))
    )


async def test_an_update_that_makes_its_profile_too_large_is_refused(client: Client) -> None:
    metadata = struct_pb2.Struct()
    metadata.update({"a": "x" * (1 << 20)})
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.stub.UpdateUser(
            pb.UpdateUserRequest(user=UserUpdate(user_id="u", metadata=metadata)), metadata=client.writer
        )
    assert _status_json(_status(refusal.value)) == _expected(errors.ProfileTooLarge)


def _deep(levels: int) -> UserUpdate:
    update = UserUpdate(user_id="u")
    inner = update.metadata
    for _ in range(levels):
        inner = inner.fields["k"].struct_value
        inner.SetInParent()
    return update


@pytest.mark.parametrize(
    ("update", "violation"),
    [
        (UserUpdate(user_id="u", modified_time=Timestamp(seconds=1 << 40)), ("modified_time", "NOT_A_TIME")),
        (UserUpdate(user_id="u", modified_time=Timestamp(nanos=-1)), ("modified_time", "NOT_A_TIME")),
        (
            UserUpdate(user_id="u", metadata=struct_pb2.Struct(fields={"a.b": struct_pb2.Value()})),
            ('metadata["a.b"]', "NO_VALUE"),
        ),
        (
            UserUpdate(
                user_id="u",
                metadata=struct_pb2.Struct(fields={"a": struct_pb2.Value(number_value=float("nan"))}),
            ),
            ("metadata.a", "NOT_FINITE"),
        ),
        (_deep(20), ("metadata" + ".k" * 20, "TOO_DEEP")),
        (UserUpdate(user_id="u", metadata_json=b'{"k":' * 21 + b"1" + b"}" * 21), ("metadata" + ".k" * 20, "TOO_DEEP")),
        (UserUpdate(user_id="u", metadata_json=b"[" * 900 + b"]" * 900), ("metadata_json", "NOT_A_JSON_OBJECT")),
        (UserUpdate(user_id="u", metadata_json=b"{" * 9999), ("metadata_json", "NOT_A_JSON_OBJECT")),
        (UserUpdate(user_id="u", metadata_json=b'{"a":"\xff"}'), ("metadata_json", "NOT_A_JSON_OBJECT")),
        (UserUpdate(user_id="u", metadata_json=b'{"a":NaN}'), ("metadata_json", "NOT_A_JSON_OBJECT")),
        (UserUpdate(user_id="u", metadata_json=b""), ("metadata_json", "NOT_A_JSON_OBJECT")),
    ],
)
async def test_a_value_that_protobuf_allows_and_json_does_not_is_refused_by_its_path(
    client: Client, update: UserUpdate, violation: tuple[str, str]
) -> None:
    (result,) = await client.batch(update)
    (reported,) = _status_json(result.error)["details"][1]["field_violations"]
    assert (reported["field"], reported["reason"]) == (f"users[0].{violation[0]}", violation[1])


async def test_metadata_that_protobuf_cannot_carry_is_malformed(client: Client) -> None:
    # Built in place, because protobuf cannot copy a message of this depth either.
    message = _deep(60).SerializeToString()
    call: Any = client.channel.unary_unary(
        "/userfold.v1.UserService/UpdateUser", bytes, pb.UpdateUserResponse.FromString
    )
    request = b"\n" + bytes([len(message) & 0x7F | 0x80, len(message) >> 7]) + message
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call(request, metadata=client.writer)
    assert _status_json(_status(refusal.value)) == _expected(errors.MalformedRequest)


async def test_minus_zero_and_very_large_doubles_are_read_back(client: Client) -> None:
    metadata = struct_pb2.Struct()
    metadata.update({"zero": -0.0, "huge": 1e300, "big": 2.0**62, "small": 5e-324, "n": 24000})
    await client.stub.UpdateUser(
        pb.UpdateUserRequest(user=UserUpdate(user_id="u", metadata=metadata)), metadata=client.writer
    )
    stored = (await client.get()).metadata
    assert {key: str(stored[key]) for key in stored} == {key: str(metadata[key]) for key in metadata}


async def test_metadata_json_means_the_same_as_the_struct(client: Client) -> None:
    text = (
        b'{"email": 5.0, "zero": -0.0, "one": 1.0, "half": 0.5, "huge": 1e300, "big": 9007199254740992, "a.b": {},'
        b' "beyond": 36893488147419103232, "list": [null, 2.0, {"$x": 1e29, "y": "\\u0000"}]}'
    )
    struct = json_format.Parse(text, struct_pb2.Struct())
    stored = []
    for update in (UserUpdate(user_id="u", metadata_json=text), UserUpdate(user_id="v", metadata=struct)):
        response = await client.stub.UpdateUser(pb.UpdateUserRequest(user=update), metadata=client.writer)
        assert [warning.reason for warning in response.warnings] == ["KEPT_AS_TEXT", "NOT_AN_EMAIL_ADDRESS"]
        stored.append(json_format.MessageToDict((await client.get(update.user_id)).metadata))
    assert stored[0] == stored[1]
    assert stored[0]["list"][2]["$x"] == 1e29


async def test_a_call_that_is_cancelled_during_its_write_does_not_cancel_the_write(
    client: Client, database: Database[dict[str, Any]]
) -> None:
    admin = database.client.admin
    block = {"failCommands": ["update"], "appName": "userfold", "blockConnection": True, "blockTimeMS": 300}
    count = admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": block})["count"]
    call = client.stub.UpdateUser(pb.UpdateUserRequest(user=UserUpdate(user_id="u")), metadata=client.writer)
    wait = {"waitForFailPoint": "failCommand", "timesEntered": count + 1, "maxTimeMS": 20_000}
    await asyncio.to_thread(admin.command, wait)
    assert call.cancel()
    deadline = asyncio.get_running_loop().time() + 20
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError):
            assert (await client.get()).user_id == "u"
            break
        assert asyncio.get_running_loop().time() < deadline


async def test_health_and_reflection_need_no_credential(client: Client) -> None:
    health: Any = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", "userfold.v1.UserService"):
        response = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert response.status == health_pb2.HealthCheckResponse.SERVING
    stub: Any = reflection_pb2_grpc.ServerReflectionStub
    reflection = stub(client.channel)
    call = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    async for response in call:
        names = {service.name for service in response.list_services_response.service}
        assert "userfold.v1.UserService" in names
        assert not any("internal" in name for name in names)


async def test_the_gateway_can_look_up_the_application_of_a_credential(
    client: Client, application: Application
) -> None:
    stub: Any = CredentialServiceStub(client.channel)
    for metadata in (client.writer, client.reader):
        response = await stub.CheckCredential(CheckCredentialRequest(), timeout=20, metadata=metadata)
        assert response.application_id == application.application_id


async def test_an_unknown_method_is_unimplemented(client: Client) -> None:
    call: Any = client.channel.unary_unary("/userfold.v1.UserService/Nothing", bytes, bytes)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call(b"")
    assert refusal.value.code() == grpc.StatusCode.UNIMPLEMENTED
