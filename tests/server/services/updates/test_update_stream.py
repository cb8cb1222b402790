"""StreamUpdateUsers on the real server."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.errors import BatchTooLarge, CredentialUnknown
from server.rpc.error_status import ERROR_STATUSES
from tests.support.stack import Api, Stack


@pytest.fixture
async def stub(stack: Stack) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        yield UserServiceStub(channel)


def _key(api: Api) -> tuple[tuple[str, str], ...]:
    return (("x-moesif-application-id", api.application.collector_key),)


def _message(*users: UserUpdate) -> pb.StreamUpdateUsersRequest:
    return pb.StreamUpdateUsersRequest(users=users)


async def _acknowledged(stub: Any, api: Api, messages: Iterable[Any]) -> list[pb.Acknowledgement]:
    call = stub.StreamUpdateUsers(iter(messages), metadata=_key(api), timeout=60)
    return [item async for response in call for item in response.acknowledgements]


async def test_each_update_is_acknowledged_once_by_its_number(stub: Any, api: Api) -> None:
    messages = [_message(*(UserUpdate(user_id=f"u{n}-{m}") for m in range(n % 7))) for n in range(200)]
    acknowledgements = await _acknowledged(stub, api, messages)
    sent = sum(len(message.users) for message in messages)
    assert sorted(item.sequence_number for item in acknowledgements) == list(range(sent))
    assert [item for item in acknowledgements if item.HasField("error") or item.response.warnings] == []
    assert api.get("u13-5").status_code == 200


async def test_an_acknowledged_update_is_stored_before_the_stream_ends(stub: Any, api: Api) -> None:
    call = stub.StreamUpdateUsers(metadata=_key(api), timeout=60)
    for number in range(3):
        await call.write(_message(UserUpdate(user_id=f"u{number}")))
        response = await call.read()
        assert [item.sequence_number for item in response.acknowledgements] == [number]
        assert api.get(f"u{number}").status_code == 200
    await call.done_writing()
    assert not await call.read()


async def test_a_refused_update_is_reported_by_its_number_and_the_remaining_updates_are_stored(
    stub: Any, api: Api
) -> None:
    messages = [
        _message(UserUpdate(user_id="a", company_id=""), UserUpdate()),
        _message(UserUpdate(user_id="b" * 513), UserUpdate(user_id="c")),
    ]
    acknowledgements = sorted(await _acknowledged(stub, api, messages), key=lambda item: item.sequence_number)
    assert [warning.field for warning in acknowledgements[0].response.warnings] == ["company_id"]
    violations = [
        MessageToDict(item.error)["details"][1]["fieldViolations"][0]["field"]
        for item in acknowledgements
        if item.HasField("error")
    ]
    assert violations == ["user_id", "user_id"]
    assert [item.HasField("error") for item in acknowledgements] == [False, True, True, False]
    assert [api.get(user_id).status_code for user_id in ("a", "c")] == [200, 200]


async def test_updates_of_one_user_are_applied_in_the_order_of_the_stream(stub: Any, api: Api) -> None:
    messages = [_message(UserUpdate(user_id="u", company_id=str(n), session_token=str(n))) for n in range(500)]
    assert len(await _acknowledged(stub, api, messages)) == 500
    profile = api.get("u").json()
    assert (profile["company_id"], profile["alias_count"]) == ("499", 500)


async def test_a_producer_that_sends_more_than_the_server_holds_is_slowed_down_and_not_refused(
    stub: Any, api: Api
) -> None:
    messages = (_message(*(UserUpdate(user_id=f"u{n}-{m}") for m in range(1000))) for n in range(25))
    acknowledgements = await _acknowledged(stub, api, messages)
    assert sorted(item.sequence_number for item in acknowledgements) == list(range(25_000))
    assert not any(item.HasField("error") for item in acknowledgements)


async def test_a_request_with_too_many_updates_ends_the_stream_after_the_acknowledgements(stub: Any, api: Api) -> None:
    messages = [_message(UserUpdate(user_id="a")), _message(*(UserUpdate(user_id="b") for _ in range(1001)))]
    call = stub.StreamUpdateUsers(iter(messages), metadata=_key(api), timeout=60)
    numbers = [item.sequence_number for item in (await call.read()).acknowledgements]
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call.read()
    assert refusal.value.code() == ERROR_STATUSES[BatchTooLarge].code
    assert refusal.value.details() == ERROR_STATUSES[BatchTooLarge].message
    assert numbers == [0]


async def test_an_unknown_credential_is_refused_before_anything_is_read(stub: Any) -> None:
    call = stub.StreamUpdateUsers(metadata=(("x-moesif-application-id", "unknown"),), timeout=60)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call.read()
    assert refusal.value.code() == ERROR_STATUSES[CredentialUnknown].code


async def test_the_updates_of_a_producer_that_goes_away_are_stored_and_the_server_continues(
    stub: Any, api: Api
) -> None:
    call = stub.StreamUpdateUsers(metadata=_key(api), timeout=60)
    await call.write(_message(*(UserUpdate(user_id=f"u{n}") for n in range(100))))
    await call.read()
    call.cancel()
    deadline = asyncio.get_running_loop().time() + 20
    while api.get("u99").status_code != 200:
        assert asyncio.get_running_loop().time() < deadline
    assert len(await _acknowledged(stub, api, [_message(UserUpdate(user_id="v"))])) == 1


async def test_a_malformed_request_ends_the_stream(stack: Stack, api: Api) -> None:
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        open_stream: Any = channel.stream_stream("/userfold.v1.UserService/StreamUpdateUsers", bytes, bytes)
        call = open_stream(iter([b"\xff\xff\xff"]), metadata=_key(api), timeout=60)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call.read()
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
