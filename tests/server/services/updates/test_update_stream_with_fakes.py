"""A stream of updates over a fake store: how it waits for room."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate

from runtime.turns import Turns
from server import limits
from server.commit.write_batcher import WriteBatcher
from server.model import STORED, Application, CredentialKind, ProfileWrite, Scope
from server.rpc.call import Call
from server.rpc.parsing import ParsedRequest
from server.services.dry_runs.updates import UpdateDryRuns, gate_of_dry_runs
from server.services.updates.batch_updates import REFUSED_IN_ONE_TURN
from server.services.updates.update_messages import OF_USERS
from server.services.updates.update_stream import UpdateStream
from server.users.ports import Outcome
from tests.server.fetched import NoPreviews
from tests.server.served import unstored_counts
from tests.support.waiting import turns

_APPLICATION = Application("app", CredentialKind.COLLECTOR, frozenset({Scope.WRITE_USERS}))
_CALL = Call(_APPLICATION, (), lambda: "unix:", unstored_counts())


class FakeProfileStore:
    """Stores updates once `may_respond` is set, and records the user ids."""

    def __init__(self) -> None:
        self.may_respond = asyncio.Event()
        self.applied: list[Any] = []

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        await self.may_respond.wait()
        self.applied += [write.on_insert["user_id"] for write in writes]
        return [STORED] * len(writes)


@pytest.fixture
async def store() -> FakeProfileStore:
    return FakeProfileStore()


@pytest.fixture
async def grouped(store: FakeProfileStore) -> WriteBatcher:
    return WriteBatcher(store)


def _message(*user_ids: str, size: int = 0) -> pb.StreamUpdateUsersRequest:
    return pb.StreamUpdateUsersRequest(
        users=[UserUpdate(user_id=user_id, user_agent_string="x" * size) for user_id in user_ids]
    )


async def _sent(messages: Sequence[pb.StreamUpdateUsersRequest]) -> AsyncIterator[ParsedRequest]:
    for message in messages:
        yield ParsedRequest(message)


async def _acknowledged(grouped: WriteBatcher, *messages: pb.StreamUpdateUsersRequest) -> list[int]:
    dry_runs = UpdateDryRuns(OF_USERS, NoPreviews(), lambda: 0, Turns(), gate_of_dry_runs())
    stream = UpdateStream(OF_USERS, grouped, dry_runs, _CALL, lambda: 0, asyncio.Event(), Turns())
    responses = [response async for response in stream.acknowledge(_sent(messages))]
    return [item.sequence_number for response in responses for item in response.acknowledgements]


async def test_refused_updates_are_acknowledged_in_slices(
    grouped: WriteBatcher, store: FakeProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.may_respond.set()
    taken: list[object] = []

    async def turn(_: Turns, owner: object) -> None:
        taken.append(owner)

    monkeypatch.setattr(Turns, "turn", turn)
    assert await _acknowledged(grouped, _message(*[""] * 300)) == list(range(300))
    assert taken == ["app"] * (300 // REFUSED_IN_ONE_TURN)


async def test_a_stream_waits_for_room_in_bytes_and_continues(
    grouped: WriteBatcher, store: FakeProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING_BYTES", 20_000)
    stream = asyncio.ensure_future(_acknowledged(grouped, *(_message(f"u{n}", size=3_000) for n in range(10))))
    await turns(100)
    assert not stream.done()
    store.may_respond.set()
    async with asyncio.timeout(10):
        assert sorted(await stream) == list(range(10))
    assert store.applied == [f"u{number}" for number in range(10)]


async def test_a_request_larger_than_all_room_is_submitted_in_parts_while_another_application_writes(
    grouped: WriteBatcher, store: FakeProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING_BYTES", 20_000)
    monkeypatch.setattr(limits, "STREAM_BYTES", 5_000)
    submit, parts = grouped.submit, []

    def noted(writes: Sequence[ProfileWrite]) -> Any:
        parts.append(sum(write.size for write in writes))
        return submit(writes)

    monkeypatch.setattr(grouped, "submit", noted)
    users = [f"u{number}" for number in range(20)]
    stream = asyncio.ensure_future(_acknowledged(grouped, _message(*users, size=1_500), _message("last")))
    store.may_respond.set()
    # Another application always has writes in flight.
    other = _Busy(grouped)
    async with asyncio.timeout(10):
        assert sorted(await stream) == list(range(21))
    other.stop()
    assert max(parts) <= 5_000
    assert [user_id for user_id in store.applied if user_id != "busy"] == [*users, "last"]


async def test_an_update_is_not_counted_before_it_is_submitted(
    grouped: WriteBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> Any:
        raise RuntimeError("no room")

    monkeypatch.setattr(grouped, "submit", refuse)
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError):
            await _acknowledged(grouped, _message("u"))


class _Busy:
    """Another application, which always has one write in flight."""

    def __init__(self, grouped: WriteBatcher) -> None:
        self._grouped = grouped
        self._is_stopped = False
        self._again(None)

    def stop(self) -> None:
        self._is_stopped = True

    def _again(self, _: object) -> None:
        if not self._is_stopped:
            on_insert = {"application_id": "other", "user_id": "busy"}
            write = ProfileWrite(str(id(object())), on_insert, {}, (), exact=False, leaves=0, size=100)
            self._grouped.submit([write]).add_done_callback(self._again)
