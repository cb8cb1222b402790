"""What is decided from the head of a call, before its request is read."""

import asyncio
from typing import Any

import pytest
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate

from server import limits
from server.errors import Overloaded
from tests.server.served import KEY, SERVICE, Served, refused
from tests.support.update_json import json_of

_LARGE = UserUpdate(user_id="u", user_agent_string="x" * limits.UPDATE_BYTES)
_SMALL = UserUpdate(user_id="u")
_UNKNOWN = (("x-moesif-application-id", "unknown"),)


@pytest.fixture
def never_sent(served: Served) -> Any:
    """Calls UpdateUser without ever sending its request, as a stream that stays empty."""
    return served.channel.stream_unary(f"/{SERVICE.full_name}/UpdateUser")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "CREDENTIAL_MISSING"),
        ((("authorization", "Basic eA=="),), "CREDENTIAL_MISSING"),
        (KEY + KEY, "CREDENTIAL_AMBIGUOUS"),
        ((*KEY, ("authorization", "Bearer a"), ("authorization", "Bearer b")), "CREDENTIAL_AMBIGUOUS"),
        ((("x-moesif-application-id", "x" * 5000),), "CREDENTIAL_UNKNOWN"),
    ],
)
async def test_a_call_without_exactly_one_credential_is_refused_without_reading_or_looking_up(
    served: Served, never_sent: Any, metadata: Any, reason: str
) -> None:
    assert await refused(never_sent(metadata=metadata)) == (reason, 0)
    for method in ("StreamUpdateUsers", "StreamBatchUpdateUsers"):
        assert await refused(served.method(method)(metadata=metadata).read()) == (reason, 0)
    assert served.queries == []


async def test_a_call_with_an_unknown_credential_is_refused_before_its_request_is_read(
    served: Served, never_sent: Any
) -> None:
    assert await refused(never_sent(metadata=_UNKNOWN)) == ("CREDENTIAL_UNKNOWN", 0)
    assert len(served.queries) == 1


async def test_calls_with_unknown_credentials_are_limited_and_take_no_place_of_known_ones(
    served: Served, never_sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNVERIFIED_CALLS", 1)
    await served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY)
    served.is_queried.clear()
    served.may_respond.clear()
    waiting = asyncio.ensure_future(refused(never_sent(metadata=_UNKNOWN)))
    await served.is_queried.wait()
    other = (("x-moesif-application-id", "other"),)
    assert await refused(never_sent(metadata=other)) == ("OVERLOADED", 1)
    assert await refused(served.stub.StreamUpdateUsers(metadata=other).read()) == ("OVERLOADED", 1)
    await served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY)
    served.may_respond.set()
    assert await waiting == ("CREDENTIAL_UNKNOWN", 0)


async def test_an_application_has_at_most_as_many_calls_as_remain_free(served: Served) -> None:
    served.admission.calls.free = 2
    served.service.held = asyncio.Event()
    first = asyncio.ensure_future(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY))
    await served.service.waits.wait()
    assert await refused(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY)) == ("OVERLOADED", 1)
    # Another application still has room.
    assert served.admission.calls.has_room("other")
    served.service.held.set()
    await first
    assert served.admission.calls.is_empty


async def test_the_bytes_of_requests_are_shared_too(served: Served) -> None:
    served.admission.calls.free_bytes = 100
    request = pb.UpdateUserRequest(user=UserUpdate(user_id="u" * 60))
    served.service.held = asyncio.Event()
    first = asyncio.ensure_future(served.stub.UpdateUser(request, metadata=KEY))
    await served.service.waits.wait()
    assert await refused(served.stub.UpdateUser(request, metadata=KEY)) == ("OVERLOADED", 1)
    with pytest.raises(Overloaded):
        served.admission.calls.take("other", 50)
    served.service.held.set()
    await first
    assert served.admission.calls.free_bytes == 100


async def test_a_method_gets_the_indices_of_oversized_items(served: Served) -> None:
    batch = pb.BatchUpdateUsersRequest(users=[_SMALL, _LARGE, _SMALL])
    await served.stub.BatchUpdateUsers(batch, metadata=KEY)
    assert served.service.oversized == {1}
    await served.stub.BatchUpdateUsers(pb.BatchUpdateUsersRequest(users=[_SMALL]), metadata=KEY)
    assert served.service.oversized == frozenset()
    stream = served.stub.StreamUpdateUsers(metadata=KEY)
    for users, oversized in (([_LARGE, _SMALL], {0}), ([_SMALL], set())):
        await stream.write(pb.StreamUpdateUsersRequest(users=users))
        await stream.read()
        assert served.service.oversized == oversized
    stream.cancel()
    batches = served.updates.StreamBatchUpdateUsers(metadata=KEY)
    await batches.write(internal_pb.StreamBatchUpdateUsersRequest(users_json=[json_of(_SMALL), json_of(_LARGE)]))
    await batches.read()
    assert served.service.oversized == {1}
    batches.cancel()


async def test_an_oversized_update_never_reaches_its_method(served: Served) -> None:
    call = served.stub.UpdateUser(pb.UpdateUserRequest(user=_LARGE), metadata=KEY)
    assert (await refused(call))[0] == "INVALID_REQUEST"
    assert served.service.called == []


async def test_too_many_items_never_reach_their_method(served: Served) -> None:
    message = b"\x0a\x00" * 1_000_000
    call = served.channel.unary_unary(f"/{SERVICE.full_name}/BatchUpdateUsers")(message, metadata=KEY)
    assert (await refused(call))[0] == "BATCH_TOO_LARGE"
    assert served.service.called == []
