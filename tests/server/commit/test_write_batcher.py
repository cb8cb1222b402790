"""Group commit, over a store whose outcomes the test controls."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from server import limits
from server.commit import write_batcher
from server.commit.queued_writes import Submission
from server.commit.write_batcher import (
    EXTRA_GROUPS,
    FEW_WRITES,
    GROUPS,
    LARGE_GROUP,
    QUIET_GROUPS,
    QUIET_WRITES,
    WriteBatcher,
)
from server.commit.write_queues import SHARED_LEAVES_LIMIT, SHARED_LIMIT, SLOW_LIMIT
from server.errors import InvalidRequest, Overloaded, ProfileTooLarge, WriteOutcomeUnknown
from server.model import STORED, PlannedUpdate, ProfileWrite, Stored, UserUpdate
from server.users.ports import AGAIN, Again, Outcome
from server.users.update import plan_update
from tests.support.waiting import turns


class FakeProfileStore:
    """Records the groups, and completes each only when the test says so."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.outcomes: dict[str, Outcome] = {}
        # Writes that turn out to be exact, or to need a recount, when they are applied.
        self.turning_exact: set[str] = set()
        self.turning_recount: set[str] = set()
        self.defect: Exception | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        self.groups.append([_name(write) for write in writes])
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(gate)
        await gate
        if self.defect:
            raise self.defect
        return [self._outcome(write) for write in writes]

    def _outcome(self, write: ProfileWrite) -> Outcome | Again:
        if _name(write) in self.turning_exact and not write.exact:
            write.exact = True
            return AGAIN
        if _name(write) in self.turning_recount and not write.recount:
            write.recount = True
            return AGAIN
        return self.outcomes.get(_name(write), STORED)

    def in_flight(self) -> list[str]:
        """The writes in flight."""
        return [name for group in self.groups[len(self.groups) - len(self._waiting) :] for name in group]

    async def answer(self) -> None:
        """Complete the oldest group, and let the loop run."""
        self._waiting.pop(0).set_result(None)
        await turns()

    async def answer_last(self) -> None:
        """The same for the latest group."""
        self._waiting.pop().set_result(None)
        await turns()


def _name(write: ProfileWrite) -> str:
    names = write.on_insert
    return f"{names['application_id']}/{names['user_id']}={write.patch.get('company_id')}"


def _planned(user_id: str, mark: str = "1", application: str = "app", **fields: Any) -> PlannedUpdate:
    return plan_update(application, UserUpdate(user_id, company_id=mark, **fields), 0)


def _write(user_id: str, mark: str = "1", application: str = "app", **fields: Any) -> ProfileWrite:
    return _planned(user_id, mark, application, **fields).write


def _slow(user_id: str, application: str = "app", mark: str = "1") -> ProfileWrite:
    """An exact update."""
    return _write(user_id, mark, application, metadata={"a": {}})


class Unplanned:
    """Submits updates that are planned late, and records when each is."""

    def __init__(self, grouped: WriteBatcher) -> None:
        self._grouped = grouped
        self.planned: list[str] = []

    def submit(self, user_id: str, mark: str = "1", size: int = 100) -> "asyncio.Task[tuple[PlannedUpdate, Outcome]]":
        def plan() -> PlannedUpdate:
            self.planned.append(user_id)
            return _planned(user_id, mark)

        return asyncio.ensure_future(self._grouped.submit_unplanned("app", size, plan))


@pytest.fixture
def store() -> FakeProfileStore:
    return FakeProfileStore()


@pytest.fixture
def grouped(store: FakeProfileStore) -> WriteBatcher:
    return WriteBatcher(store)


@pytest.fixture
def unplanned(grouped: WriteBatcher) -> Unplanned:
    return Unplanned(grouped)


@pytest.fixture
def never_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_batcher, "QUIET_WRITES", 0)


async def test_a_write_is_applied_immediately_if_nothing_is_in_flight(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    done = grouped.submit([_write("u")])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store.groups == [["app/u=1"]]
    await store.answer()
    assert done.result() == [STORED]


async def test_while_few_writes_are_in_flight_none_waits_for_another(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    for number in range(QUIET_GROUPS + 1):
        grouped.submit([_write(f"u{number}")])
        await turns()
    assert store.groups == [[f"app/u{number}=1"] for number in range(QUIET_GROUPS)]
    await store.answer()
    assert store.groups[QUIET_GROUPS:] == [[f"app/u{QUIET_GROUPS}=1"]]


@pytest.mark.parametrize(("more", "is_started"), [(QUIET_WRITES - 1, True), (QUIET_WRITES, False)])
async def test_only_few_writes_start_a_group_beside_another(
    grouped: WriteBatcher, store: FakeProfileStore, more: int, is_started: bool
) -> None:
    grouped.submit([_write("first")])
    await turns()
    grouped.submit([_write(f"u{number}") for number in range(more)])
    await turns()
    assert (len(store.groups) == 2) is is_started


async def test_a_write_of_the_same_profile_waits_while_few_are_in_flight(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    for mark in "123":
        grouped.submit([_write("u", mark)])
        await turns()
    assert store.groups == [["app/u=1"]]
    await store.answer()
    assert store.groups[1:] == [["app/u=2", "app/u=3"]]


async def test_writes_that_arrive_meanwhile_form_the_next_group(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    first = [grouped.submit([_write(f"first{number}")]) for number in range(3)]
    await turns()
    assert [len(group) for group in store.groups] == [3]
    later = [grouped.submit([_write(f"later{number}")]) for number in range(30)]
    await turns()
    assert len(store.groups) == 1
    await store.answer()
    assert all(done.done() for done in first)
    assert [len(group) for group in store.groups] == [3, 30]
    assert not any(done.done() for done in later)
    await store.answer()
    assert all(done.result() == [STORED] for done in later)


async def test_a_large_group_is_started_beside_another(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    grouped.submit([_write("first")])
    await turns()
    for batch in range(GROUPS + 1):
        grouped.submit([_write(f"u{batch}-{number}") for number in range(LARGE_GROUP)])
        await turns()
    assert [len(group) for group in store.groups] == [1, *[LARGE_GROUP] * (GROUPS - 1)]
    await store.answer()
    # Half of the queued writes and those in flight.
    assert [len(group) for group in store.groups] == [1, *[LARGE_GROUP] * (GROUPS - 1), LARGE_GROUP + LARGE_GROUP // 2]


@pytest.mark.parametrize(("writes", "is_started"), [(LARGE_GROUP - 1, False), (LARGE_GROUP, True)])
async def test_a_group_with_its_share_waits_for_no_more(
    grouped: WriteBatcher, store: FakeProfileStore, writes: int, is_started: bool
) -> None:
    # After a group of several, the next one waits for more writes.
    grouped.submit([_write("a"), _write("b")])
    await turns()
    await store.answer()
    await turns()
    grouped.submit([_write(f"u{number}") for number in range(writes)])
    await turns(3)
    assert (len(store.groups) > 1) == is_started


async def test_each_caller_receives_the_outcomes_of_its_own_writes(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    store.outcomes = {"app/b=1": ProfileTooLarge(), "app/d=1": WriteOutcomeUnknown()}
    calls = [grouped.submit([_write("a"), _write("b")]), grouped.submit([_write("c")]), grouped.submit([_write("d")])]
    await turns()
    await store.answer()
    kinds = [[type(outcome) for outcome in call.result()] for call in calls]
    assert kinds == [[Stored, ProfileTooLarge], [Stored], [WriteOutcomeUnknown]]


async def test_the_writes_of_one_profile_stay_in_order_and_never_meet_in_two_groups(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    for mark in "123":
        grouped.submit([_write("u", mark)])
        await turns()
        grouped.submit([_write(f"other{mark}")])
        await turns()
    in_flight = [name for group in store.groups for name in group if name.startswith("app/u=")]
    assert in_flight == ["app/u=1"]
    grouped.submit([_write("u", "4"), _write("u", "5")])
    for _ in range(20):
        if not store._waiting:
            break
        await store.answer()
    order = [name for group in store.groups for name in group if name.startswith("app/u=")]
    assert order == [f"app/u={mark}" for mark in "12345"]


async def test_one_applications_flood_does_not_starve_another(
    grouped: WriteBatcher, store: FakeProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_UPDATES", 10)
    grouped.submit([_write("busy", application="flood")])
    await turns()
    grouped.submit([_write(f"u{number}", application="flood") for number in range(500)])
    single = grouped.submit([_write("u", application="single")])
    small = grouped.submit([_write(f"v{number}", application="small") for number in range(8)])
    await turns()
    assert "single/u=1" in store.groups[1]
    for _ in range(5):
        await store.answer()
    assert single.done()
    assert small.done()


async def test_a_group_of_several_applications_is_small(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    grouped.submit([_write(f"u{number}", application="flood") for number in range(1000)])
    await turns()
    small = grouped.submit([_write(f"v{number}", application="small") for number in range(SHARED_LIMIT + 8)])
    await turns()
    await store.answer()
    # The third holds the first writes of the small application, the fourth its last ones and some of the flood.
    assert [len(group) for group in store.groups] == [limits.GROUP_UPDATES] * 2 + [SHARED_LIMIT] * 2
    assert sum(name.startswith("small/") for name in store.groups[-1]) == 8
    for _ in range(3):
        await store.answer()
    assert small.done()


async def test_in_a_flood_an_application_with_nothing_in_flight_starts_immediately(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    flood = grouped.submit([_write(f"u{number}", application="flood") for number in range(1000)])
    await turns()
    first = [grouped.submit([_write("s", application=name)]) for name in ("a", "b")]
    await turns()
    assert [len(group) for group in store.groups] == [limits.GROUP_UPDATES] * 2 + [2]
    # One such group is in flight at a time. `a` has something in flight, so only `c` is in the next one.
    later = [grouped.submit([_write("t", application=name)]) for name in ("c", "a")]
    await turns()
    assert len(store.groups) == 3
    while not all(each.done() for each in later):
        await store.answer_last()
    assert store.groups[2:] == [["a/s=1", "b/s=1"], ["c/t=1", "a/t=1"]]
    assert all(each.done() for each in first)
    assert not flood.done()
    while store._waiting:
        await store.answer()
    assert flood.done()


@pytest.mark.parametrize(("writes", "is_started"), [(FEW_WRITES - 8, False), (FEW_WRITES, True)])
async def test_beside_few_writes_no_extra_group_is_started(
    grouped: WriteBatcher, store: FakeProfileStore, writes: int, is_started: bool
) -> None:
    grouped.submit([_write(f"u{number}", application="busy") for number in range(writes)])
    await turns()
    grouped.submit([_write("s", application="single")])
    await turns()
    assert (["single/s=1"] in store.groups) == is_started


async def test_a_slow_write_that_starts_immediately_is_the_only_slow_group(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    grouped.submit([_slow(f"e{number}", "slow") for number in range(SLOW_LIMIT)])
    grouped.submit([_write(f"u{number}", application="flood") for number in range(1000)])
    await turns()
    in_flight = len(store.groups)
    grouped.submit([_slow("s", "single")])
    grouped.submit([_write("t", application="other")])
    await turns()
    assert store.groups[in_flight:] == [["other/t=1"]]


async def test_a_group_is_bounded_in_updates_and_bytes(
    grouped: WriteBatcher, store: FakeProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_UPDATES", 40)
    grouped.submit([_write(f"u{number}") for number in range(100)])
    await turns()
    await store.answer()
    await store.answer()
    assert [len(group) for group in store.groups] == [40, 40, 20]
    await store.answer()
    writes = [_write(f"u{number}") for number in range(5)]
    monkeypatch.setattr(limits, "GROUP_BYTES", 5 * writes[0].size // 2)
    grouped.submit(writes)
    await turns()
    await store.answer()
    await store.answer()
    assert [len(group) for group in store.groups[3:]] == [2, 2, 1]


async def test_more_writes_than_may_be_queued_are_refused_and_the_queued_ones_are_applied(
    store: FakeProfileStore,
) -> None:
    grouped = WriteBatcher(store, updates_limit=10)
    large = grouped.submit([_write(f"u{number}") for number in range(20)])
    with pytest.raises(Overloaded):
        grouped.submit([_write("v")])
    await turns()
    await store.answer()
    assert large.result() == [STORED] * 20
    done = grouped.submit([_write("v")])
    await turns()
    await store.answer()
    assert done.result() == [STORED]


async def test_waiting_bytes_are_bounded_too(grouped: WriteBatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WAITING_BYTES", 1500)
    grouped.submit([_write("u", user_agent_string="x" * 1000)])
    with pytest.raises(Overloaded):
        grouped.submit([_write("v", user_agent_string="x" * 1000)])


async def test_a_caller_can_wait_for_room(store: FakeProfileStore) -> None:
    grouped = WriteBatcher(store, updates_limit=10)
    await grouped.wait_for_room("app", 1000, 0)
    grouped.submit([_write(f"u{number}") for number in range(9)])
    room = asyncio.ensure_future(grouped.wait_for_room("app", 2, 0))
    await turns()
    assert not room.done()
    await store.answer()
    await room


async def test_the_writes_of_a_cancelled_caller_are_applied_and_draining_waits_for_them(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    async def call() -> None:
        await grouped.submit([_write("u")])

    caller = asyncio.ensure_future(call())
    await turns()
    caller.cancel()
    draining = asyncio.ensure_future(grouped.drain())
    await turns()
    assert caller.cancelled()
    assert not draining.done()
    await store.answer()
    await draining
    assert store.groups == [["app/u=1"]]


async def test_a_defect_of_the_store_is_raised_for_the_whole_group_and_the_next_one_succeeds(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    store.defect = RuntimeError("broken")
    calls = [grouped.submit([_write("a"), _write("b")]), grouped.submit([_write("c")])]
    await turns()
    await store.answer()
    for call in calls:
        with pytest.raises(RuntimeError):
            call.result()
    store.defect = None
    done = grouped.submit([_write("a")])
    await turns()
    await store.answer()
    assert done.result() == [STORED]


async def test_no_writes_have_an_immediate_result(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    assert await grouped.submit([]) == []
    assert store.groups == []


async def test_a_group_takes_no_profile_of_another_group_in_flight(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    grouped.submit([_write("u", "1")])
    await turns()
    later = grouped.submit(
        [_write("u", "2"), *(_write(f"v{number}") for number in range(LARGE_GROUP)), _write("u", "3")]
    )
    await turns()
    assert [len(group) for group in store.groups] == [1, LARGE_GROUP]
    assert not any(name.startswith("app/u=") for name in store.groups[1])
    grouped.submit([_write("w")])
    await turns()
    await store.answer()
    # Blocked writes start as soon as their profile is free, with all other queued writes, beside the other group.
    assert store.groups[2:] == [["app/u=2", "app/u=3", "app/w=1"]]
    await store.answer()
    await store.answer()
    assert later.result() == [STORED] * (LARGE_GROUP + 2)


async def test_few_writes_wait_while_a_write_to_their_profile_is_in_flight(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    grouped.submit([_write("first")])
    await turns()
    grouped.submit([_write("u", "1"), *(_write(f"v{number}") for number in range(LARGE_GROUP - 1))])
    await turns()
    later = grouped.submit([_write("u", "2"), *(_write(f"w{number}") for number in range(LARGE_GROUP))])
    await store.answer()
    assert [len(group) for group in store.groups] == [1, LARGE_GROUP, LARGE_GROUP]
    grouped.submit([_write("x")])
    await turns()
    assert len(store.groups) == 3
    await store.answer()
    assert store.groups[3:] == [["app/u=2", "app/x=1"]]
    await store.answer()
    await store.answer()
    assert later.result() == [STORED] * (LARGE_GROUP + 1)


async def test_a_flood_on_one_profile_is_not_examined_repeatedly(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    flood = 4 * limits.GROUP_UPDATES
    grouped.submit([_write("u", "0")])
    await turns()
    later = grouped.submit([_write("u", str(number)) for number in range(1, flood + 1)])
    await turns()
    assert len(store.groups) == 1
    assert not grouped._may_start()
    # Those of another application are, if they fill a group, and the flood continues when its profile is free.
    other = grouped.submit([_write(f"v{number}", application="other") for number in range(LARGE_GROUP)])
    await turns()
    assert [len(group) for group in store.groups] == [1, LARGE_GROUP]
    while not (later.done() and other.done()):
        await store.answer()
    written = [name for group in store.groups for name in group if name.startswith("app/u=")]
    assert written == [f"app/u={number}" for number in range(flood + 1)]


async def test_an_update_is_planned_when_its_group_is_made(
    grouped: WriteBatcher, store: FakeProfileStore, unplanned: Unplanned
) -> None:
    first = unplanned.submit("first")
    await turns()
    assert unplanned.planned == ["first"]
    later = [unplanned.submit(f"u{number}") for number in range(LARGE_GROUP - 1)]
    await turns()
    assert unplanned.planned == ["first"]
    await store.answer()
    assert (await first)[0].write.profile_id == _write("first").profile_id
    assert unplanned.planned == ["first", *(f"u{number}" for number in range(LARGE_GROUP - 1))]
    await store.answer()
    assert [(await each)[1] for each in later] == [STORED] * (LARGE_GROUP - 1)


@pytest.mark.usefixtures("never_quiet")
async def test_planned_late_or_not_the_updates_of_one_user_stay_in_order(
    grouped: WriteBatcher, store: FakeProfileStore, unplanned: Unplanned
) -> None:
    grouped.submit([_write("other")])
    await turns()
    for mark in "135":
        unplanned.submit("u", mark)
        await turns()
        grouped.submit([_write("u", str(int(mark) + 1))])
    await store.answer()
    assert store.groups[1:] == [[f"app/u={mark}" for mark in "123456"]]
    await store.answer()


async def test_the_error_of_an_update_that_cannot_be_planned_is_raised_for_its_caller_alone(
    grouped: WriteBatcher, store: FakeProfileStore, unplanned: Unplanned
) -> None:
    good, refused, planned = unplanned.submit("u"), unplanned.submit(""), grouped.submit([_write("v")])
    await turns()
    with pytest.raises(InvalidRequest):
        await refused
    assert sorted(store.groups[0]) == ["app/u=1", "app/v=1"]
    await store.answer()
    assert (await good)[1] is STORED
    assert planned.result() == [STORED]


async def test_an_update_behind_many_that_cannot_be_planned_is_written(
    grouped: WriteBatcher, store: FakeProfileStore, unplanned: Unplanned
) -> None:
    refused = [unplanned.submit("") for _ in range(3 * limits.GROUP_UPDATES)]
    good = unplanned.submit("u")
    await turns()
    assert all(isinstance(each.exception(), InvalidRequest) for each in refused)
    assert store.groups == [["app/u=1"]]
    await store.answer()
    assert (await good)[1] is STORED
    await grouped.drain()


async def test_an_update_that_is_not_planned_takes_its_room(store: FakeProfileStore) -> None:
    grouped = WriteBatcher(store, updates_limit=10)
    unplanned = Unplanned(grouped)
    refused = [unplanned.submit("", size=limits.WAITING_BYTES // 4) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await unplanned.submit("u", size=limits.WAITING_BYTES // 4)
    await turns()
    assert all(isinstance(each.exception(), InvalidRequest) for each in refused)
    for _ in range(5):
        unplanned.submit("u")
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await unplanned.submit("u")
    await turns()
    while store._waiting:
        await store.answer()
    await grouped.drain()


async def test_a_write_larger_than_a_group_is_alone_in_its_group(
    grouped: WriteBatcher, store: FakeProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_BYTES", _write("first").size + 1000)
    grouped.submit([_write("first"), _write("large", user_agent_string="x" * 5000), _write("last")])
    await turns()
    for _ in range(3):
        await store.answer()
    assert store.groups == [["app/first=1"], ["app/large=1"], ["app/last=1"]]


@pytest.mark.usefixtures("never_quiet")
async def test_few_bytes_are_planned_in_one_turn_and_applications_take_turns(
    grouped: WriteBatcher, store: FakeProfileStore, unplanned: Unplanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_UNPLANNED_BYTES", 1000)
    for number in range(10):
        unplanned.submit(f"u{number}", size=400)
    other = grouped.submit([_write("v", application="other")])
    await turns()
    assert unplanned.planned == ["u0", "u1"]
    assert "other/v=1" in store.groups[0]
    while store._waiting:
        await store.answer()
    assert other.done()
    assert all(len(group) <= 3 for group in store.groups)
    assert unplanned.planned == [f"u{number}" for number in range(10)]


async def test_refused_updates_are_planned_in_slices_too(
    grouped: WriteBatcher, unplanned: Unplanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GROUP_UNPLANNED_BYTES", 1000)
    refused = [unplanned.submit("", size=400) for _ in range(10)]
    seen = [0]
    while len(seen) < 50 and not all(each.done() for each in refused):
        await asyncio.sleep(0)
        seen.append(len(unplanned.planned))
    assert all(each.done() for each in refused)
    assert max(after - before for before, after in pairwise(seen)) == 2


async def test_an_update_takes_the_room_that_it_needs_once_it_is_planned(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    def plan() -> PlannedUpdate:
        return planned

    planned = _planned("u")
    planned.write.size = limits.WAITING_BYTES
    update = asyncio.ensure_future(grouped.submit_unplanned("app", 10, plan))
    await turns()
    with pytest.raises(Overloaded):
        grouped.submit([_write("v")])
    await store.answer()
    assert (await update)[1] is STORED
    grouped.submit([_write("v")])


async def test_exact_updates_have_a_budget_in_each_group(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    done = grouped.submit([_slow(f"u{number}") for number in range(3 * SLOW_LIMIT)])
    await turns()
    assert [len(group) for group in store.groups] == [SLOW_LIMIT]
    while store._waiting:
        await store.answer()
    assert [len(group) for group in store.groups] == [SLOW_LIMIT] * 3
    assert done.result() == [STORED] * 3 * SLOW_LIMIT


async def test_other_writes_are_in_groups_beside_one_of_exact_updates(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    slow = grouped.submit([_slow(f"e{number}") for number in range(3 * SLOW_LIMIT)])
    await turns()
    singles = []
    for number in range(3):
        singles.append(grouped.submit([_write("s", str(number), application=f"single{number}"), _slow("t", "single")]))
        await turns()
        assert store.groups[1 + number] == [f"single{number}/s={number}"]
        # The order of the slow writes has not changed.
        await store.answer_last()
    while store._waiting:
        await store.answer()
    assert all(done.done() for done in [slow, *singles])
    for group in store.groups:
        assert len({name.partition("/")[0] for name in group}) == 1


async def test_exact_updates_among_others_do_not_make_groups_small_and_keep_their_order(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    updates = [
        _slow(f"u{number}", mark=str(number)) if number % 2 else _write(f"u{number}", str(number))
        for number in range(SLOW_LIMIT)
    ]
    # These must not be applied before the writes of the other kind.
    updates += [_write("u1", "later"), _slow("u0", mark="later")]
    done = grouped.submit(updates)
    await turns()
    others = [f"app/u{number}={number}" for number in range(0, SLOW_LIMIT, 2)]
    assert store.groups == [others, [f"app/u{number}={number}" for number in range(1, SLOW_LIMIT, 2)]]
    while store._waiting:
        await store.answer()
    assert sorted(store.groups[2:]) == [["app/u0=later"], ["app/u1=later"]]
    assert done.result() == [STORED] * (SLOW_LIMIT + 2)


async def test_an_application_does_not_wait_for_all_exact_updates_of_another(
    grouped: WriteBatcher, store: FakeProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_batcher, "LONG_SECONDS", 0.0)
    flood = grouped.submit([_slow(f"e{number}") for number in range(3 * SLOW_LIMIT)])
    await turns()
    single = grouped.submit([_slow("s", "single")])
    await _timers()
    assert store.groups == [[f"app/e{number}=1" for number in range(SLOW_LIMIT)], ["single/s=1"]]
    while store._waiting:
        await store.answer()
    assert single.result() == [STORED]
    assert flood.done()


async def test_another_application_shares_its_group_with_few_paths(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    many = {f"k{number}": number for number in range(400)}
    grouped.submit([_write(f"m{number}", application="many", metadata=many) for number in range(20)])
    single = grouped.submit([_write("s", application="single")])
    await turns()
    assert "single/s=1" in store.groups[0]
    assert sum(name.startswith("many") for name in store.groups[0]) * 400 <= SHARED_LEAVES_LIMIT
    while store._waiting:
        await store.answer()
    assert single.done()


async def test_applications_for_which_a_group_had_no_room_are_first_in_the_next(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    many = {f"k{number}": number for number in range(400)}
    applications = [f"app{number}" for number in range(5)]
    for application in applications:
        grouped.submit([_write(f"u{number}", application=application, metadata=many) for number in range(4)])
    await turns()
    while store._waiting:
        await store.answer()
    first = [name.partition("/")[0] for group in store.groups for name in group][: len(applications)]
    assert sorted(first) == applications


async def test_a_slow_write_that_was_passed_over_is_first_in_the_next_slow_group(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    flood = grouped.submit([_write(f"f{number}", application="flood") for number in range(1000)])
    flood_of_slow = grouped.submit([_slow(f"e{number}") for number in range(3 * SLOW_LIMIT)])
    single = grouped.submit([_slow("s", "single")])
    while store._waiting or not store.groups:
        await turns()
        await store.answer()
    slow = [group for group in store.groups if not group[0].startswith("flood")]
    assert ["single/s=1"] in slow[:2]
    assert single.done()
    assert flood.done()
    assert flood_of_slow.done()


async def test_a_write_that_turns_out_exact_is_queued_first_and_within_the_limit(
    grouped: WriteBatcher, store: FakeProfileStore
) -> None:
    store.turning_exact = {f"app/u{number}=1" for number in range(2 * SLOW_LIMIT)}
    names = [f"u{number}" for number in range(2 * SLOW_LIMIT)]
    first = grouped.submit([_write(name) for name in names])
    await turns()
    later = grouped.submit([_write(name, "2") for name in names])
    while store._waiting:
        await store.answer()
    assert first.result() == later.result() == [STORED] * 2 * SLOW_LIMIT
    assert sorted(store.groups[0]) == sorted(f"app/{name}=1" for name in names)
    assert store.groups[1] == [f"app/{name}=1" for name in names[:SLOW_LIMIT]]
    written = [name for group in store.groups[1:] for name in group]
    for name in names:
        assert [each for each in written if each.startswith(f"app/{name}=")] == [f"app/{name}=1", f"app/{name}=2"]


async def test_a_recount_is_alone_in_its_group_and_the_only_one(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    store.turning_recount = {f"app/u{number}=1" for number in range(3)}
    done = grouped.submit([_write(f"u{number}") for number in range(3)])
    await turns()
    others = [grouped.submit([_write("v", application="other")])]
    await store.answer()
    # A recount is alone in its group, and no second one is in flight.
    others.append(grouped.submit([_write(f"w{number}", application="other") for number in range(LARGE_GROUP)]))
    while store._waiting:
        is_recounting = [name for name in store.in_flight() if name.startswith("app/")]
        assert len(is_recounting) <= 1
        await store.answer()
    recounts = [group for group in store.groups[1:] if any(name.startswith("app/") for name in group)]
    assert recounts == [["app/u0=1"], ["app/u1=1"], ["app/u2=1"]]
    assert done.result() == [STORED] * 3
    assert all(other.done() for other in others)


async def test_no_second_recount_is_started_beside_another(grouped: WriteBatcher, store: FakeProfileStore) -> None:
    store.turning_recount = {"app/u0=1", "app/u1=1"}
    done = grouped.submit([_write("u0"), _write("u1")])
    await turns()
    await store.answer()
    later = grouped.submit([*(_write(f"v{number}") for number in range(LARGE_GROUP)), _slow("u2")])
    await turns()
    assert store.groups[1:] == [["app/u0=1"], [f"app/v{number}=1" for number in range(LARGE_GROUP)]]
    while store._waiting:
        await store.answer()
    assert store.groups[3:] == [["app/u1=1"], ["app/u2=1"]]
    assert done.result() == [STORED] * 2
    assert later.done()


async def test_an_application_with_nothing_in_flight_does_not_wait_for_long_groups_of_another(
    grouped: WriteBatcher, store: FakeProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_batcher, "LONG_SECONDS", 0.0)
    flood = grouped.submit([_write(f"u{number}", application="flood") for number in range(1000)])
    await turns()
    assert len(store.groups) == GROUPS
    singles = [grouped.submit([_write("s", application=f"single{number}")]) for number in range(3)]
    late = []
    for number in range(4):
        await _timers()
        assert len(store.groups) == GROUPS + min(1 + number, EXTRA_GROUPS)
        late.append(grouped.submit([_write("s", application=f"late{number}")]))
    # Each holds all writes that are queued by then, and there are at most three.
    assert sorted(store.groups[GROUPS]) == [f"single{number}/s=1" for number in range(3)]
    assert store.groups[GROUPS + 1 :] == [["late0/s=1"], ["late1/s=1"]]
    while store._waiting:
        await store.answer()
    assert all(each.done() for each in [flood, *singles, *late])


async def test_an_outcome_is_unknown_until_there_is_one() -> None:
    call = Submission("app", 3)
    call.settle(0, STORED)
    call.settle(2, STORED)
    assert [type(outcome) for outcome in call._outcomes] == [Stored, WriteOutcomeUnknown, Stored]


async def _timers() -> None:
    """Let all timers that are due now run."""
    for _ in range(3):
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.0, passed.set)
        await passed.wait()
        await turns()
