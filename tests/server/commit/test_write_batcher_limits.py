"""The limits of group commit, each with the number that it has."""

import asyncio
from typing import Any

import pytest

from server.commit.write_batcher import WriteBatcher
from server.errors import Overloaded
from server.model import ProfileWrite
from tests.server.commit.test_write_batcher import FakeProfileStore, Unplanned, _write
from tests.support.waiting import later, turns


@pytest.fixture
def store() -> FakeProfileStore:
    return FakeProfileStore()


@pytest.fixture
def grouped(store: FakeProfileStore) -> WriteBatcher:
    return WriteBatcher(store)


def _sized(user_id: str, size: int, application: str = "app") -> ProfileWrite:
    write = _write(user_id, application=application)
    write.size = size
    return write


def _with_leaves(user_id: str, leaves: int, application: str = "app") -> ProfileWrite:
    return _write(user_id, application=application, metadata={f"k{number}": number for number in range(leaves)})


async def _all_groups(store: FakeProfileStore) -> list[int]:
    await turns()
    while store._waiting:
        await store.answer()
    return [len(group) for group in store.groups]


async def test_a_group_has_150_updates_and_one_of_several_applications_32(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    grouped.submit([_write(f"u{number}") for number in range(400)])
    await turns()
    assert [len(group) for group in store.groups] == [150, 150]
    grouped.submit([_write(f"v{number}", application="other") for number in range(40)])
    # The third is of one application, which has nothing in flight, and the fourth of both.
    assert (await _all_groups(store))[2:4] == [32, 32]


async def test_a_group_has_2_mib(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    grouped.submit([_sized(f"u{number}", 2**20) for number in range(5)])
    assert await _all_groups(store) == [2, 2, 1]


async def test_64_kib_are_planned_for_a_group(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    unplanned = Unplanned(grouped)
    for number in range(5):
        unplanned.submit(f"u{number}", size=32 * 1024)
    assert await _all_groups(store) == [2, 2, 1]


async def test_a_group_has_2000_paths_and_one_of_several_applications_500(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    grouped.submit([_with_leaves(f"u{number}", 990) for number in range(5)])
    assert await _all_groups(store) == [2, 2, 1]
    store.groups.clear()
    for application in "ab":
        grouped.submit([_with_leaves(f"u{number}", 160, application) for number in range(3)])
    await _all_groups(store)
    # A fourth would be too much.
    assert len(store.groups[0]) == 3


async def test_an_application_with_nothing_in_flight_waits_no_longer_than_50_ms(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    grouped.submit([_write(f"u{number}", application="flood") for number in range(1000)])
    await turns()
    singles = [grouped.submit([_write("s", application="first")])]
    await turns()
    assert store.groups[2:] == [["first/s=1"]]
    singles.append(grouped.submit([_write("s", application="second")]))
    await turns()
    assert len(store.groups) == 3
    await later(0.06)
    assert store.groups[3:] == [["second/s=1"]]
    await _all_groups(store)
    assert all(single.done() for single in singles)


async def test_one_application_may_queue_half_of_10_000_updates(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    grouped.submit([_write("u")] * 5000)
    with pytest.raises(Overloaded):
        grouped.submit([_write("u")])
    with pytest.raises(Overloaded):
        grouped.require_room("app")
    grouped.require_room("other")
    grouped.submit([_write("u", application="other")])
    await _all_groups(store)
    grouped.require_room("app")


async def test_one_application_may_queue_half_of_128_mib(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    grouped.submit([_sized("u", 64 * 2**20)])
    with pytest.raises(Overloaded):
        grouped.submit([_sized("v", 2000)])
    grouped.submit([_sized("v", 2000, application="other")])
    await _all_groups(store)


class _Counting(set[Any]):
    """A set that counts its look-ups."""

    asked = 0

    def __contains__(self, item: object) -> bool:
        self.asked += 1
        return super().__contains__(item)


async def test_of_a_flood_on_one_profile_no_more_writes_are_examined_than_two_groups_hold(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    grouped._queues._busy_profiles = busy = _Counting()
    grouped.submit([_write("u", "0")])
    await turns()
    busy.asked = 0
    grouped.submit([_write("u", str(number)) for number in range(1, 2000)])
    await turns()
    assert len(store.groups) == 1
    assert busy.asked <= 2 * 150
    await _all_groups(store)


async def test_draining_waits_for_all(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    grouped.submit([_write(f"u{number}") for number in range(400)])
    drained = asyncio.ensure_future(grouped.drain())
    await turns()
    assert not drained.done()
    await _all_groups(store)
    await drained
