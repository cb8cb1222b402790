"""The sender, against a gRPC server whose streams do what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import (
    UserServiceServicer,
    UserServiceStub,
    add_UserServiceServicer_to_server,
)

from cli.failures import CommandFailed, ExitStatus
from cli.importing import sender
from cli.importing.batches import Batch
from cli.importing.rows import Refusal, Row
from cli.importing.sender import Sender, Settled

_Stream = Callable[[AsyncIterator[list[str]], Any], AsyncIterator[pb.StreamUpdateUsersResponse]]
"""What one stream does with the ids of its messages."""


class _Server(UserServiceServicer):
    """Each stream does what the next of `streams` says. `received` has the ids that each stream received."""

    def __init__(self) -> None:
        self.streams: list[_Stream] = []
        self.received: list[list[str]] = []
        self.refuses: grpc.StatusCode | None = None
        """How calls end."""

    async def BatchUpdateUsers(self, request: Any, context: Any) -> Any:
        if self.refuses:
            await context.abort(self.refuses, "x")
        return pb.BatchUpdateUsersResponse()

    async def StreamUpdateUsers(self, request_iterator: Any, context: Any) -> Any:
        ids: list[str] = []
        self.received.append(ids)

        async def messages() -> AsyncIterator[list[str]]:
            async for request in request_iterator:
                each = [update.user_id for update in request.users]
                ids.extend(each)
                yield each

        stream = self.streams.pop(0) if self.streams else _stored
        async for response in stream(messages(), context):
            yield response


def _stored_from(first: int, ids: list[str]) -> pb.StreamUpdateUsersResponse:
    response = pb.StreamUpdateUsersResponse()
    for offset in range(len(ids)):
        response.acknowledgements.add(sequence_number=first + offset, response=pb.UpdateUserResponse())
    return response


async def _stored(messages: AsyncIterator[list[str]], _: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
    number = 0
    async for ids in messages:
        yield _stored_from(number, ids)
        number += len(ids)


def _status(code: grpc.StatusCode, reason: str) -> Status:
    info = AnyMessage()
    info.Pack(ErrorInfo(reason=reason, metadata={"error_id": "e1"} if reason == "INTERNAL" else {}))
    return Status(code=code.value[0], message=reason, details=[info])


def _failing(number: int, status: Status | None) -> _Stream:
    """Acknowledges everything as stored, but for one update, of which there is this error, or nothing at all."""

    async def stream(messages: AsyncIterator[list[str]], _: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        first = 0
        async for ids in messages:
            response = _stored_from(first, ids)
            if first <= number < first + len(ids):
                acknowledgement = response.acknowledgements[number - first]
                acknowledgement.ClearField("response")
                if status is not None:
                    acknowledgement.error.CopyFrom(status)
            first += len(ids)
            yield response

    return stream


class _Import:
    """Batches of two rows, which a sender sends to a server."""

    def __init__(self, server: _Server, address: str, count: int) -> None:
        self.batches = [_batch(number) for number in range(count)]
        self.server = server
        self.settled: list[Settled] = []
        self.waits: list[str] = []
        self.address = address

        @asynccontextmanager
        async def connect() -> AsyncIterator[UserServiceStub]:
            async with grpc.aio.insecure_channel(address) as channel:
                yield UserServiceStub(channel)

        remaining = iter(self.batches)

        async def next_batch() -> Batch | None:
            return next(remaining, None)

        self.sender = Sender(
            next_batch,
            connect,
            self.settled.append,
            self.waits.append,
            address=address,
            metadata=(("authorization", "Bearer t"),),
            patience=30,
        )

    @property
    def ids(self) -> list[str]:
        return [update.user_id for batch in self.batches for update in batch.updates]

    @property
    def refusals(self) -> dict[int, Refusal]:
        return {
            settled.batch.rows[place].number: refusal
            for settled in self.settled
            for place, refusal in settled.refusals.items()
        }


def _batch(number: int) -> Batch:
    batch = Batch()
    for row in (2 * number, 2 * number + 1):
        batch.add(Row(row, b"{}"), [UserUpdate(user_id=str(row))])
        batch.last_row = row
    return batch


@pytest.fixture
async def server() -> AsyncIterator[tuple[_Server, str]]:
    servicer: Any = _Server
    servicer, running = servicer(), grpc.aio.server()
    add_UserServiceServicer_to_server(servicer, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    yield servicer, f"127.0.0.1:{port}"
    await running.stop(None)


@pytest.fixture
def importing(server: tuple[_Server, str], monkeypatch: pytest.MonkeyPatch) -> _Import:
    monkeypatch.setattr(sender, "_PAUSES", (0.0,))
    monkeypatch.setattr(sender, "QUIET_SECONDS", 0.0)
    return _Import(*server, count=6)


def _ends_with(code: grpc.StatusCode, after: int, first: int = 0) -> _Stream:
    """Acknowledges the updates from `first` to `after` as stored, and ends with an error."""

    async def stream(messages: AsyncIterator[list[str]], context: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        number = 0
        async for ids in messages:
            if number >= after:
                await context.abort(code, "x")
            if number >= first:
                yield _stored_from(number, ids)
            number += len(ids)

    return stream


async def test_all_batches_are_settled_in_their_order(importing: _Import) -> None:
    await importing.sender.run()
    assert importing.sender.is_complete
    assert [settled.batch for settled in importing.settled] == importing.batches
    assert importing.server.received == [importing.ids]
    assert (importing.waits, importing.refusals) == ([], {})


async def test_what_a_lost_stream_did_not_settle_is_sent_again_in_order(importing: _Import) -> None:
    # Of the first batch, nothing is acknowledged: what is stored behind it must be stored again after it.
    importing.server.streams = [
        _ends_with(grpc.StatusCode.UNAVAILABLE, 6, first=2),
        _ends_with(grpc.StatusCode.INTERNAL, 4),
    ]
    await importing.sender.run()
    assert importing.server.received[1][: len(importing.ids)][:6] == importing.ids[:6]
    assert importing.server.received[2] == importing.ids[4:]
    assert [settled.batch for settled in importing.settled] == importing.batches
    assert len(importing.waits) == 2


async def test_what_was_stored_behind_a_lost_batch_is_not_settled_before_it_is_sent_again(importing: _Import) -> None:
    # The second stream stores the first batch again, and nothing else.
    importing.server.streams = [
        _ends_with(grpc.StatusCode.UNAVAILABLE, 6, first=2),
        _ends_with(grpc.StatusCode.UNAVAILABLE, 2),
    ]
    await importing.sender.run()
    assert importing.server.received[2] == importing.ids[2:]


async def test_updates_that_a_lost_server_may_still_write_are_not_sent_again_meanwhile(
    importing: _Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "QUIET_SECONDS", 3600.0)
    importing.server.streams = [_ends_with(grpc.StatusCode.UNAVAILABLE, 4)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(importing.sender.run(), 0.5)
    assert len(importing.server.received) == 1


async def test_a_server_that_stops_in_order_is_not_waited_for(
    importing: _Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "QUIET_SECONDS", 3600.0)

    async def stops(messages: AsyncIterator[list[str]], context: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        yield _stored_from(0, await anext(messages))
        status = _status(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        await context.abort(grpc.StatusCode.UNAVAILABLE, "x")

    importing.server.streams = [stops]
    importing.batches[2:] = []
    remaining = [*importing.batches, None]
    may_continue = asyncio.Event()

    async def next_batch() -> Batch | None:
        # No write is in flight while the stream ends: gRPC could lose the reason.
        if len(remaining) == 2 and len(importing.server.received) < 2:
            await may_continue.wait()
        return remaining.pop(0)

    importing.sender._next_batch = next_batch
    waiting = importing.sender._waiting

    def wait(why: str) -> None:
        waiting(why)
        may_continue.set()

    importing.sender._waiting = wait
    await asyncio.wait_for(importing.sender.run(), 60)
    assert importing.sender.is_complete
    assert importing.server.received[1] == importing.ids[2:]


@pytest.mark.parametrize(
    "status",
    [
        _status(grpc.StatusCode.UNAVAILABLE, "WRITE_OUTCOME_UNKNOWN"),
        _status(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
        _status(grpc.StatusCode.INTERNAL, "INTERNAL"),
        None,
    ],
)
async def test_an_update_whose_outcome_is_unknown_is_sent_again_with_all_behind_it(
    importing: _Import, status: Status | None
) -> None:
    importing.server.streams = [_failing(5, status)]
    await importing.sender.run()
    assert importing.server.received[1] == importing.ids[4:]
    assert importing.refusals == {}
    assert importing.sender.is_complete


async def test_a_row_that_is_a_defect_twice_is_refused_with_the_id_of_the_error(importing: _Import) -> None:
    internal = _status(grpc.StatusCode.INTERNAL, "INTERNAL")
    importing.server.streams = [_failing(5, internal), _failing(1, internal)]
    await importing.sender.run()
    assert {number: (each.reason, each.message) for number, each in importing.refusals.items()} == {
        5: ("INTERNAL", "INTERNAL (error_id=e1)")
    }
    assert importing.sender.is_complete


async def test_a_refused_update_is_not_sent_again(importing: _Import) -> None:
    status = _status(grpc.StatusCode.FAILED_PRECONDITION, "PROFILE_TOO_LARGE")
    importing.server.streams = [_failing(5, status)]
    await importing.sender.run()
    assert {number: each.reason for number, each in importing.refusals.items()} == {5: "PROFILE_TOO_LARGE"}
    assert len(importing.server.received) == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_a_refused_stream_ends_the_import_and_what_was_settled_counts(
    importing: _Import, code: grpc.StatusCode
) -> None:
    async def ends(messages: AsyncIterator[list[str]], context: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        importing.server.refuses = code
        async for response in _ends_with(code, 4)(messages, context):
            yield response

    importing.server.streams = [ends]
    with pytest.raises(CommandFailed, match=code.name) as failure:
        await importing.sender.run()
    assert failure.value.status is ExitStatus.FAILED
    assert [settled.batch for settled in importing.settled] == importing.batches[:2]
    assert not importing.sender.is_complete


async def test_a_stream_that_ends_early_is_lost(importing: _Import) -> None:
    async def ends(messages: AsyncIterator[list[str]], _: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        yield _stored_from(0, await anext(messages))

    importing.server.streams = [ends]
    await importing.sender.run()
    assert importing.server.received[1] == importing.ids[2:]
    assert "ended the stream" in importing.waits[0]


async def _silent(messages: AsyncIterator[list[str]], _: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
    async for ids in messages:
        if ids == ["0", "1"]:
            yield _stored_from(0, ids)
    await asyncio.Event().wait()


async def test_a_silent_server_is_lost(importing: _Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(sender, "_WATCH_SECONDS", 0.01)
    importing.server.streams = [_silent]

    async def stored_later(messages: Any, context: Any) -> Any:
        monkeypatch.setattr(sender, "SILENCE_SECONDS", 60.0)
        async for response in _stored(messages, context):
            yield response

    importing.server.streams.append(stored_later)
    await importing.sender.run()
    assert importing.sender.is_complete
    assert importing.server.received[1] == importing.ids[2:]
    assert "is silent" in importing.waits[0]


async def test_a_server_that_stays_away_is_waited_for_no_longer_than_asked(importing: _Import) -> None:
    importing.sender._patience = 0.0
    importing.server.streams = [_ends_with(grpc.StatusCode.UNAVAILABLE, 2)] * 100
    with pytest.raises(CommandFailed) as failure:
        await importing.sender.run()
    assert failure.value.status is ExitStatus.UNAVAILABLE


async def test_what_is_sent_and_not_settled_is_bounded(importing: _Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "WINDOW_UPDATES", 4)
    most = 0

    async def slow(messages: AsyncIterator[list[str]], _: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        nonlocal most
        number, held = 0, []
        async for ids in messages:
            held += ids
            most = max(most, len(held))
            if len(held) == 4:
                yield _stored_from(number, held)
                number, held = number + 4, []

    importing.server.streams = [slow]
    await importing.sender.run()
    assert most == 4
    assert importing.sender.is_complete


async def test_an_import_that_is_stopped_ends_when_what_was_sent_is_settled(importing: _Import) -> None:
    async def stops(messages: AsyncIterator[list[str]], context: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        first = await anext(messages)
        importing.sender.stop()
        yield _stored_from(0, first)
        number = 2
        async for ids in messages:
            yield _stored_from(number, ids)
            number += len(ids)

    importing.server.streams = [stops]
    await importing.sender.run()
    assert not importing.sender.is_complete or len(importing.settled) == 6
    sent = importing.server.received[0]
    assert [update.user_id for each in importing.settled for update in each.batch.updates] == sent


async def test_a_stopped_import_does_not_wait_for_a_silent_server(
    importing: _Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "DRAIN_SECONDS", 0.05)
    monkeypatch.setattr(sender, "_WATCH_SECONDS", 0.01)
    importing.server.streams = [_silent]

    def settle(settled: Settled) -> None:
        importing.settled.append(settled)
        importing.sender.stop()

    importing.sender._settle = settle
    await importing.sender.run()
    assert [settled.batch for settled in importing.settled] == importing.batches[:1]
    assert not importing.sender.is_complete


async def test_what_ends_the_rows_is_raised_after_the_rows_before_are_settled(importing: _Import) -> None:
    remaining = iter(importing.batches[:3])

    async def next_batch() -> Batch | None:
        if (batch := next(remaining, None)) is None:
            raise CommandFailed("row 7 is damaged")
        return batch

    importing.sender._next_batch = next_batch
    with pytest.raises(CommandFailed, match="row 7"):
        await importing.sender.run()
    assert [settled.batch for settled in importing.settled] == importing.batches[:3]
    assert not importing.sender.is_complete


async def test_rows_without_updates_are_settled_in_their_place(importing: _Import) -> None:
    refused = Refusal("NOT_JSON", "x")
    empty = Batch()
    empty.add(Row(99, b"?"), refused)
    importing.batches.insert(0, empty)
    remaining = iter([importing.batches[1], empty])

    async def next_batch() -> Batch | None:
        return next(remaining, None)

    importing.sender._next_batch = next_batch
    await importing.sender.run()
    assert [settled.batch for settled in importing.settled] == [importing.batches[1], empty]
    assert importing.refusals == {99: refused}
