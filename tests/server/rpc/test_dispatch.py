"""Every step around a method: credentials, rates, capacity and errors, for calls and for streams."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import grpc
import pytest
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate

from server.model import CredentialKind, Scope
from server.rpc.dispatch import Dispatcher
from server.rpc.methods import METHODS, MethodRule, Work
from tests.server.served import CAMPAIGNS, KEY, SERVICE, UPDATES, Served, reason_of, refused
from tests.support.waiting import turns


@pytest.mark.parametrize("method", [method.name for method in SERVICE.methods if not method.client_streaming])
async def test_no_method_serves_an_unknown_credential(served: Served, method: str) -> None:
    call = served.method(method)
    request = getattr(pb, f"{method}Request")()
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call(request, metadata=(("authorization", "Bearer key"),))
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert served.service.called == []


async def test_a_method_gets_the_application_of_the_credential(served: Served) -> None:
    await served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY)
    assert served.service.called == ["app"]


_GET_USER = "userfold.v1.UserService.GetUser"


@pytest.mark.parametrize(
    "rules",
    [
        {name: rule for name, rule in METHODS.items() if name != _GET_USER},
        {**METHODS, "userfold.v1.UserService.Unserved": METHODS[_GET_USER]},
        {**METHODS, "userfold.v1.UnservedService.GetUser": METHODS[_GET_USER]},
    ],
    ids=["missing", "no method", "no service"],
)
async def test_nothing_is_served_unless_the_rules_are_exactly_those_of_the_methods(
    served: Served, rules: Mapping[str, MethodRule]
) -> None:
    with pytest.raises(ValueError, match=r"^methods without a rule: "):
        Dispatcher(served.servicers(), served.shared(), rules)
    Dispatcher(served.servicers(), served.shared(), METHODS)


async def test_nothing_is_served_where_a_servicer_lacks_a_method(served: Served) -> None:
    with pytest.raises(AttributeError):
        Dispatcher({**served.servicers(), CAMPAIGNS: object()}, served.shared())


@pytest.mark.parametrize("becomes", ["revoked", "another application's"])
async def test_a_stream_does_not_outlive_its_credential(served: Served, becomes: str) -> None:
    message = pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u")])
    call = served.stub.StreamUpdateUsers(metadata=KEY)
    await call.write(message)
    assert (await call.read()).acknowledgements
    assert served.credential
    served.credential = None if becomes == "revoked" else replace(served.credential, application_id="other")
    served.seconds = 29.9
    await call.write(message)
    assert (await call.read()).acknowledgements
    served.seconds = 30.0
    await call.write(message)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call.read()
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert served.service.called == ["app", "app"]


async def test_a_batch_is_charged_for_each_item_and_the_refusal_states_when_to_retry(served: Served) -> None:
    batch = pb.BatchUpdateUsersRequest(users=[UserUpdate(user_id="u")] * 25)
    await served.stub.BatchUpdateUsers(batch, metadata=KEY)
    # A debt of five, and one token for the next call.
    assert await refused(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY)) == ("RATE_LIMITED", 0.6)
    served.seconds = 0.6
    await served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY)
    assert len(served.service.called) == 2


async def test_a_stream_beyond_the_rate_limit_is_slowed_down(served: Served) -> None:
    call = served.stub.StreamUpdateUsers(metadata=KEY)
    await call.write(pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u")] * 20))
    assert (await call.read()).acknowledgements
    await call.write(pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u")]))
    assert (await call.read()).acknowledgements
    assert served.admission.pause(Work.UPDATE, "app") > 0
    await call.done_writing()
    served.seconds = 1.0
    assert await call.code() is grpc.StatusCode.OK


async def test_updates_without_room_are_refused_before_they_are_parsed(served: Served) -> None:
    served.is_full = True
    no_message = served.channel.unary_unary(f"/{SERVICE.full_name}/UpdateUser")
    assert await refused(no_message(b"\xff", metadata=KEY)) == ("OVERLOADED", 1)
    # Reads are still admitted.
    assert served.credential
    served.credential = replace(served.credential, kind=CredentialKind.MANAGEMENT, scopes=frozenset({Scope.READ_USERS}))
    await served.stub.GetUser(pb.GetUserRequest(), metadata=(("authorization", "Bearer key"),))


@pytest.mark.parametrize("limit", ["free", "free_bytes"])
async def test_calls_beyond_the_capacity_are_refused_before_they_are_read(served: Served, limit: str) -> None:
    setattr(served.admission.calls, limit, 0)
    for _ in range(2):  # The credential is unknown at first, and then known.
        assert await refused(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY)) == ("OVERLOADED", 1)


async def test_streams_beyond_the_capacity_are_refused(served: Served) -> None:
    served.streams.updates.free = 1
    first = served.stub.StreamUpdateUsers(metadata=KEY)
    await first.write(pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u")]))
    await first.read()
    assert await refused(served.stub.StreamUpdateUsers(metadata=KEY).read()) == ("OVERLOADED", 1)
    first.cancel()


def batch_of(users: int) -> internal_pb.StreamBatchUpdateUsersRequest:
    return internal_pb.StreamBatchUpdateUsersRequest(users_json=[b'{"user_id":"u"}'] * users)


async def response_to(
    call: Any, batch: internal_pb.StreamBatchUpdateUsersRequest
) -> internal_pb.StreamBatchUpdateUsersResponse:
    await call.write(batch)
    response: internal_pb.StreamBatchUpdateUsersResponse = await call.read()
    return response


async def test_each_batch_of_a_stream_is_admitted_and_refused_as_a_call(served: Served) -> None:
    call = served.updates.StreamBatchUpdateUsers(metadata=KEY)
    assert (await response_to(call, batch_of(25))).WhichOneof("outcome") == "response"
    assert reason_of((await response_to(call, batch_of(1))).error) == ("RATE_LIMITED", 0.6)
    served.seconds = 100.0
    served.is_full = True
    assert reason_of((await response_to(call, batch_of(1))).error) == ("OVERLOADED", 1)
    served.is_full = False
    free, served.admission.calls.free = served.admission.calls.free, 0
    assert reason_of((await response_to(call, batch_of(1))).error) == ("OVERLOADED", 1)
    served.admission.calls.free = free
    served.service.defect = RuntimeError("text with john@acmeinc.com")
    refused = (await response_to(call, batch_of(1))).error
    assert reason_of(refused) == ("INTERNAL", 0)
    assert b"acmeinc" not in refused.SerializeToString()
    served.service.defect = None
    credential, served.credential = served.credential, None
    served.seconds = 200.0
    assert reason_of((await response_to(call, batch_of(1))).error) == ("CREDENTIAL_UNKNOWN", 0)
    served.credential = credential
    served.seconds = 300.0
    assert (await response_to(call, batch_of(1))).WhichOneof("outcome") == "response"
    assert served.service.called == ["app"] * 3
    assert served.admission.calls.is_empty
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.OK
    assert served.streams.batches.is_empty


async def test_a_malformed_batch_of_a_stream_does_not_end_the_stream(served: Served) -> None:
    call = served.channel.stream_stream(f"/{UPDATES.full_name}/StreamBatchUpdateUsers")(metadata=KEY)
    responses = []
    for payload in (b"\xff", b""):
        await call.write(payload)
        responses.append(internal_pb.StreamBatchUpdateUsersResponse.FromString(await call.read()))
    assert reason_of(responses[0].error) == ("MALFORMED_REQUEST", 0)
    assert responses[1].WhichOneof("outcome") == "response"
    call.cancel()


async def test_a_stopping_server_finishes_the_current_batch_of_a_stream_and_reads_no_further_one(
    served: Served,
) -> None:
    idle = served.updates.StreamBatchUpdateUsers(metadata=KEY)
    await response_to(idle, batch_of(1))
    served.service.held = asyncio.Event()
    busy = served.updates.StreamBatchUpdateUsers(metadata=KEY)
    responding = asyncio.ensure_future(response_to(busy, batch_of(1)))
    await served.service.waits.wait()
    await busy.write(batch_of(1))
    served.stopping.set()
    assert await refused(idle.read()) == ("SERVER_STOPPING", 1)
    ended = asyncio.ensure_future(served.streams.ended())
    await turns()
    assert not ended.done()
    served.service.held.set()
    assert (await responding).WhichOneof("outcome") == "response"
    assert await refused(busy.read()) == ("SERVER_STOPPING", 1)
    assert len(served.service.called) == 2
    await ended
    # A stream that starts now ends without a response.
    late = served.updates.StreamBatchUpdateUsers(metadata=KEY)
    assert await refused(late.read()) == ("SERVER_STOPPING", 1)


async def test_streams_of_batches_beyond_the_capacity_are_refused(served: Served) -> None:
    served.streams.batches.free = 1
    first = served.updates.StreamBatchUpdateUsers(metadata=KEY)
    await response_to(first, batch_of(1))
    assert await refused(served.updates.StreamBatchUpdateUsers(metadata=KEY).read()) == ("OVERLOADED", 1)
    # Streams of updates have a capacity of their own.
    other = served.stub.StreamUpdateUsers(metadata=KEY)
    await other.write(pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u")]))
    assert (await other.read()).acknowledgements
    other.cancel()
    first.cancel()
