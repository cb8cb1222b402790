"""Messages on streams and as calls, to a gRPC server that answers as the test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import grpc
import pytest
from google.rpc import code_pb2
from userfold.internal.v1 import user_update_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate

from gateway.app import INTERNAL, SERVICES
from gateway.errors.rendering import Refusal, reason_of
from gateway.routing.http_rules import bindings_of
from gateway.upstream.batcher import NotAnsweredInTime
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller
from gateway.upstream.stream_pool import StreamPool
from tests.gateway.messages import error_info, status_with, stored
from tests.support.update_json import json_of, update_of
from tests.support.waiting import later, until

ME = Caller(b"me", (("x-moesif-application-id", "me"),))
OTHER = Caller(b"other", ())
(GROUP,) = {each.batch_method for each in bindings_of(SERVICES, INTERNAL[:1]) if each.batch_method}

STOPPING = status_with(code_pb2.UNAVAILABLE, "Later.", error_info("SERVER_STOPPING"))
LIMITED = status_with(code_pb2.RESOURCE_EXHAUSTED, "Later.", error_info("RATE_LIMITED"))


@dataclass
class Scripted:
    """Keeps the messages of calls and of each stream. `ends` says how a stream ends before it answers."""

    calls: list[str] = field(default_factory=list)
    streams: list[list[str]] = field(default_factory=list)
    closed: int = 0
    """How many streams have ended, as the server sees it."""
    refuses: pb.StreamBatchUpdateUsersResponse | None = None
    ends: str = ""
    is_unknown: bool = False
    held: asyncio.Event | None = None

    async def BatchUpdateUsers(self, request: Any, context: Any) -> Any:
        self.calls.append(update_of(request.users_json[0]).user_id)
        if self.is_unknown:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED)
        return await self._answer(request)

    async def StreamBatchUpdateUsers(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        self.streams.append(mine := [])
        try:
            async for request in requests:
                mine.append(update_of(request.users_json[0]).user_id)
                if self.ends == "of its own":
                    trailer = (("grpc-status-details-bin", STOPPING.SerializeToString()),)
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "", trailer)
                if self.ends == "broken":
                    await context.abort(grpc.StatusCode.UNAVAILABLE)
                if self.ends == "well":
                    return
                answer = await self._answer(request)
                yield self.refuses or pb.StreamBatchUpdateUsersResponse(response=answer)
        finally:
            self.closed += 1

    async def _answer(self, request: Any) -> pb.BatchUpdateUsersResponse:
        if self.held:
            await self.held.wait()
        return pb.BatchUpdateUsersResponse(results=[stored()] * len(request.users_json))


@asynccontextmanager
async def running(service: Scripted, *, streams: bool = True) -> AsyncIterator[str]:
    """A server, by its address."""
    handlers: dict[str, Any] = {
        "BatchUpdateUsers": grpc.unary_unary_rpc_method_handler(
            cast(Any, service.BatchUpdateUsers),
            pb.BatchUpdateUsersRequest.FromString,
            pb.BatchUpdateUsersResponse.SerializeToString,
        )
    }
    if streams:
        handlers["StreamBatchUpdateUsers"] = grpc.stream_stream_rpc_method_handler(
            cast(Any, service.StreamBatchUpdateUsers),
            pb.StreamBatchUpdateUsersRequest.FromString,
            pb.StreamBatchUpdateUsersResponse.SerializeToString,
        )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("userfold.internal.v1.UserUpdateService", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def peer() -> AsyncIterator[tuple[Scripted, str]]:
    async with running(service := Scripted()) as address:
        yield service, address


@pytest.fixture
def service(peer: tuple[Scripted, str]) -> Scripted:
    return peer[0]


@pytest.fixture
async def channel(peer: tuple[Scripted, str]) -> AsyncIterator[Channel]:
    async with Channel(peer[1], renewal_seconds=0) as channel:
        yield channel


@pytest.fixture
async def sent(channel: Channel) -> StreamPool:
    return StreamPool(GROUP, channel)


async def send(to: StreamPool, name: str, seconds: float = 20.0, who: Any = ME) -> Any:
    message = pb.BatchUpdateUsersRequest(users_json=[json_of(UserUpdate(user_id=name))]).SerializeToString()
    response: Any = await to.send(who, message, seconds)
    assert len(response.results) == 1
    return response


async def send_each(to: StreamPool, names: str) -> None:
    for name in names:
        await send(to, name)


async def until_closed(service: Scripted, streams: int) -> None:
    await until(lambda: service.closed >= streams)


def test_a_batch_method_has_its_stream() -> None:
    assert GROUP.stream
    assert GROUP.stream.rpc == "/userfold.internal.v1.UserUpdateService/StreamBatchUpdateUsers"


async def test_a_caller_that_sends_again_gets_a_stream_and_keeps_it(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "abcd")
    assert (service.calls, service.streams) == (["a"], [["b", "c", "d"]])


async def test_callers_with_different_credentials_have_different_streams(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "ab")
    for name in "12":
        await send(sent, name, who=OTHER)
    assert (service.calls, service.streams) == (["a", "1"], [["b"], ["2"]])


async def test_a_caller_that_the_server_does_not_know_is_not_remembered(sent: StreamPool, service: Scripted) -> None:
    service.is_unknown = True
    for name in "ab":
        with pytest.raises(grpc.aio.AioRpcError):
            await send(sent, name)
    assert (service.calls, service.streams, sent._callers) == (["a", "b"], [], {})


async def test_concurrent_messages_have_several_streams_up_to_a_limit(sent: StreamPool, service: Scripted) -> None:
    await send(sent, "first")
    service.held = asyncio.Event()
    sending = [asyncio.ensure_future(send(sent, str(number))) for number in range(33)]
    await until(lambda: len(service.calls) + sum(map(len, service.streams)) == 34)
    assert (service.calls, list(map(len, service.streams))) == (["first", "32"], [1] * 32)
    service.held.set()
    await asyncio.gather(*sending)
    await send_each(sent, "ab")
    assert len(service.calls) == 2
    assert sorted(map(len, service.streams)) == [1] * 30 + [2] * 2


async def test_each_connection_has_a_stream(peer: tuple[Scripted, str]) -> None:
    service, address = peer
    async with Channel(address, connections=3) as channel:
        await send_each(StreamPool(GROUP, channel), "abcdefg")
    assert [len(each) for each in service.streams] == [2, 2, 2]


async def test_each_address_of_a_target_has_calls_and_a_stream() -> None:
    async with (
        running(one := Scripted()) as first,
        running(other := Scripted()) as second,
        Channel(f"ipv4:{first},{second}") as channel,
    ):
        await both_connected(channel, one, other)
        for name in "123456":
            await send(StreamPool(GROUP, channel), name)
        calls = len(one.calls), len(other.calls)
        await send_each(StreamPool(GROUP, channel), "abcde")
    # Fewer where the first call was sent before both were connected.
    assert min(calls) >= 3
    assert [len(each) for each in (*one.streams, *other.streams)] == [2, 2]


async def both_connected(channel: Channel, *services: Scripted) -> None:
    async with asyncio.timeout(20):
        while not all(service.calls for service in services):
            await send(StreamPool(GROUP, channel), "0")


async def test_an_error_on_a_stream_is_a_refusal_and_the_stream_stays_open(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "ab")
    service.refuses = pb.StreamBatchUpdateUsersResponse(error=LIMITED)
    with pytest.raises(Refusal) as refused:
        await send(sent, "c")
    assert (refused.value.http_status, reason_of(refused.value.status)) == (429, "RATE_LIMITED")
    service.refuses = None
    await send(sent, "d")
    assert (service.calls, service.streams) == (["a"], [["b", "c", "d"]])


async def test_a_message_that_the_server_did_not_begin_with_is_sent_as_a_call_and_so_are_later_ones_for_a_while(
    sent: StreamPool, service: Scripted
) -> None:
    await send_each(sent, "ab")
    service.ends = "of its own"
    await send_each(sent, "cd")
    assert (service.calls, service.streams) == (["a", "c", "d"], [["b", "c"]])
    service.ends = ""
    await later(9)
    await send(sent, "e")
    assert (service.calls, service.streams) == (["a", "c", "d", "e"], [["b", "c"]])
    await later(2)
    await send(sent, "f")
    assert (service.calls, service.streams) == (["a", "c", "d", "e"], [["b", "c"], ["f"]])


async def test_an_older_server_gets_calls() -> None:
    async with running(service := Scripted(), streams=False) as address, Channel(address) as channel:
        await send_each(StreamPool(GROUP, channel), "abc")
    assert service.calls == ["a", "b", "c"]


async def test_a_batch_method_without_a_stream_is_called(channel: Channel, service: Scripted) -> None:
    await send_each(StreamPool(replace(GROUP, stream=None), channel), "abc")
    assert service.calls == ["a", "b", "c"]


async def test_a_message_on_a_broken_stream_is_not_sent_again(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "ab")
    service.ends = "broken"
    with pytest.raises(grpc.aio.AioRpcError):
        await send(sent, "c")
    service.ends = ""
    await send(sent, "d")
    assert (service.calls, service.streams) == (["a"], [["b", "c"], ["d"]])


class Ending:
    """A stream that ends during a write: gRPC then gives no reason."""

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        pass

    async def write(self, _: bytes) -> None:
        raise grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), None, None)


async def test_a_message_that_could_not_be_written_is_sent_as_a_call(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "ab")
    (caller,) = sent._callers.values()
    caller.idle[0].call.cancel()
    caller.idle[0].call = Ending()
    await send(sent, "c")
    assert (service.calls, service.streams, sent._open) == (["a", "c"], [["b"]], 0)


async def test_a_stream_that_ends_with_ok_and_no_reply_leaves_the_outcome_unknown(
    sent: StreamPool, service: Scripted
) -> None:
    await send_each(sent, "ab")
    service.ends = "well"
    with pytest.raises(Refusal) as refused:
        await send(sent, "c")
    assert reason_of(refused.value.status) == "WRITE_OUTCOME_UNKNOWN"
    assert service.calls == ["a"]


async def test_a_message_that_is_not_answered_in_time_closes_its_stream(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "ab")
    service.held = asyncio.Event()
    sending = asyncio.ensure_future(send(sent, "c", seconds=20))
    await until(lambda: service.streams == [["b", "c"]])
    await later(15)
    assert not sending.done()
    await later(6)
    await until(sending.done)
    assert isinstance(sending.exception(), NotAnsweredInTime)
    await until_closed(service, 1)
    service.held = None
    await send(sent, "d")
    assert (service.calls, service.streams) == (["a"], [["b", "c"], ["d"]])


async def test_an_idle_caller_is_forgotten_and_its_streams_are_closed(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "ab")
    await later(20)
    for name in "12":
        await send(sent, name, who=OTHER)
    assert (len(sent._callers), sent._open) == (2, 2)
    await later(11)
    await until_closed(service, 1)
    assert (list(sent._callers), sent._open) == ([OTHER.digest], 1)
    # Idle callers are looked for every half a minute.
    await later(31)
    await until_closed(service, 2)
    assert (sent._callers, sent._open) == ({}, 0)
    await send_each(sent, "cd")
    assert (service.calls, service.streams) == (["a", "1", "c"], [["b"], ["2"], ["d"]])


async def test_a_message_in_flight_keeps_its_stream_open(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "ab")
    service.held = asyncio.Event()
    sending = asyncio.ensure_future(send(sent, "c", seconds=1000))
    await until(lambda: service.streams == [["b", "c"]])
    await later(100)
    service.held.set()
    await sending
    await send(sent, "d")
    assert (service.calls, service.streams) == (["a"], [["b", "c", "d"]])


async def test_a_stream_that_broke_while_idle_costs_nothing(
    sent: StreamPool, service: Scripted, peer: tuple[Scripted, str]
) -> None:
    await send_each(sent, "ab")
    (caller,) = sent._callers.values()
    caller.idle[0].call.cancel()
    await until_closed(service, 1)
    await send(sent, "c")
    assert (service.calls, service.streams, sent._open) == (["a"], [["b"], ["c"]], 1)


async def test_a_stream_gets_no_messages_after_its_connections_were_replaced(peer: tuple[Scripted, str]) -> None:
    service, address = peer
    async with Channel(address, renewal_seconds=0.05) as channel:
        sent = StreamPool(GROUP, channel)
        await send_each(sent, "ab")
        generation = channel.renewed()
        await until(lambda: channel.renewed() > generation)
        await send(sent, "c")
        await until_closed(service, 1)
    assert (service.calls, service.streams) == (["a"], [["b"], ["c"]])


async def test_a_call_has_the_remaining_time() -> None:
    given: list[float] = []

    class Noted:
        """A channel that keeps the deadlines of calls."""

        streams = 1

        def unary_unary(self, *_: Any, **__: Any) -> Any:
            async def call(*_: Any, **options: Any) -> Any:
                given.append(options["timeout"])
                return pb.BatchUpdateUsersResponse(results=[stored()])

            return call

    await send(StreamPool(GROUP, cast(Any, Noted())), "a", seconds=500)
    assert 400 < given[0] <= 500


async def test_a_stream_does_not_outlive_the_connections_of_its_certificates(
    sent: StreamPool, service: Scripted, channel: Channel
) -> None:
    await send_each(sent, "ab")
    channel._generation += 1
    await send(sent, "c")
    assert (service.calls, service.streams, sent._open) == (["a"], [["b"], ["c"]], 1)
    await until_closed(service, 1)


async def test_callers_beyond_the_limit_send_calls(sent: StreamPool, service: Scripted) -> None:
    await send_each(sent, "a")
    for number in range(999):
        sent._remember(b"%d" % number)
    for name in "12":
        await send(sent, name, who=OTHER)
    await send(sent, "b")
    assert (service.calls, service.streams) == (["a", "1", "2"], [["b"]])
