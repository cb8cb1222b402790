"""Open streams: when the server ends them, and how many an application may have."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate

from server import limits
from server.accounts.credentials import digest
from server.errors import DatabaseUnavailable, Overloaded
from server.rpc.open_streams import SWEEP_SECONDS
from tests.server.served import KEY, Served, refused
from tests.support.waiting import later, until

_METHODS = ["StreamUpdateUsers", "StreamBatchUpdateUsers"]
_REQUESTS = {
    "StreamUpdateUsers": pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u")]),
    "StreamBatchUpdateUsers": internal_pb.StreamBatchUpdateUsersRequest(users_json=[b'{"user_id":"u"}']),
}


async def opened(served: Served, method: str) -> Any:
    """A stream whose first request has a response."""
    call = served.method(method)(metadata=KEY)
    await send(served, call, method)
    return call


async def send(served: Served, call: Any, method: str) -> None:
    """Send a request, read its response, and wait until the server waits for the next request of every stream."""
    await call.write(_REQUESTS[method])
    assert (await call.read()).ByteSize()
    await until(lambda: all(stream._waiting for stream in served.streams._open))


@pytest.mark.parametrize("method", _METHODS)
async def test_a_stream_that_waits_too_long_for_a_request_ends(served: Served, method: str) -> None:
    call = await opened(served, method)
    served.seconds = limits.STREAM_IDLE_SECONDS - 1.0
    await served.streams.sweep()
    await send(served, call, method)
    served.seconds += limits.STREAM_IDLE_SECONDS - 1.0
    await served.streams.sweep()
    await send(served, call, method)
    served.seconds += limits.STREAM_IDLE_SECONDS
    await served.streams.sweep()
    assert await refused(call.read()) == ("STREAM_IDLE", 1)
    await served.streams.ended()


async def test_a_stream_whose_request_takes_long_is_not_idle(served: Served) -> None:
    call = await opened(served, "StreamBatchUpdateUsers")
    served.service.held = asyncio.Event()
    served.service.waits.clear()
    await call.write(_REQUESTS["StreamBatchUpdateUsers"])
    await served.service.waits.wait()
    served.seconds = 400.0
    await served.streams.sweep()
    served.service.held.set()
    assert (await call.read()).WhichOneof("outcome") == "response"
    await send(served, call, "StreamBatchUpdateUsers")
    call.cancel()


@pytest.mark.parametrize("becomes", ["revoked", "another application's"])
@pytest.mark.parametrize("method", _METHODS)
async def test_an_idle_stream_ends_with_its_credential(served: Served, method: str, becomes: str) -> None:
    call = await opened(served, method)
    assert served.credential
    served.credential = None if becomes == "revoked" else replace(served.credential, application_id="other")
    served.seconds = 29.9
    await served.streams.sweep()
    assert not call.done()
    served.seconds = 30.0
    await served.streams.sweep()
    assert await refused(call.read()) == ("CREDENTIAL_UNKNOWN", 0)
    await served.streams.ended()


async def test_a_stream_continues_while_its_credential_cannot_be_looked_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise DatabaseUnavailable

    call = await opened(served, "StreamUpdateUsers")
    served.seconds = 30.0
    with monkeypatch.context() as patch:
        patch.setattr(served, "find_all", fail)
        await served.streams.sweep()
    await served.streams.sweep()
    await send(served, call, "StreamUpdateUsers")
    call.cancel()


async def test_many_streams_of_one_credential_share_one_look_up(served: Served) -> None:
    calls = [await opened(served, "StreamUpdateUsers") for _ in range(5)]
    served.queries.clear()
    served.seconds = 30.0
    await served.streams.sweep()
    assert served.queries == [[digest("key")]]
    for call in calls:
        call.cancel()


@pytest.mark.parametrize("method", _METHODS)
async def test_streams_are_checked_each_second(served: Served, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr("server.rpc.open_streams.SWEEP_SECONDS", SWEEP_SECONDS)
    call = await opened(served, method)
    await later(1.1)
    assert len(served.streams._open) == 1
    served.seconds = 300.0
    await later(1.1)
    await until(lambda: not served.streams._open)
    assert await refused(call.read()) == ("STREAM_IDLE", 1)


@pytest.mark.parametrize("method", _METHODS)
async def test_an_application_has_at_most_as_many_streams_as_remain_free(served: Served, method: str) -> None:
    capacity = served.streams.updates if method == "StreamUpdateUsers" else served.streams.batches
    capacity.free = 4
    calls = [await opened(served, method) for _ in range(2)]
    assert await refused(served.method(method)(metadata=KEY).read()) == ("OVERLOADED", 1)
    # Another application still has room.
    assert capacity.has_room("other")
    for call in calls:
        call.cancel()


def test_an_application_alone_has_half_of_200_streams_of_updates_and_half_of_1000_of_batches(served: Served) -> None:
    for capacity, limit in ((served.streams.updates, 100), (served.streams.batches, 500)):
        for _ in range(limit):
            capacity.take("a")
        with pytest.raises(Overloaded):
            capacity.take("a")


async def test_streams_with_unknown_credentials_take_no_capacity(served: Served) -> None:
    served.may_respond.clear()
    waiting = [
        served.stub.StreamUpdateUsers(metadata=(("x-moesif-application-id", f"made up {number}"),))
        for number in range(5)
    ]
    await served.is_queried.wait()
    assert served.streams.updates.is_empty
    served.may_respond.set()
    for call in waiting:
        assert (await refused(call.read()))[0] == "CREDENTIAL_UNKNOWN"
