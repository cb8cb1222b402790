"""Groups of look-ups, over queries whose results the test controls."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from cryptography.fernet import Fernet

from server import limits
from server.commit.lookup_batcher import LookupBatcher
from server.errors import DatabaseUnavailable
from server.model import Lookup, LookupRequest, Profile
from server.query.page_token import PageTokens
from server.users.finding.lookup import plan_lookup, subject_of_lookup
from server.users.ports import Found, ProfileQueries
from tests.server.fetched import FetchedProfile
from tests.support.waiting import turns

_TOKENS = PageTokens(Fernet.generate_key())


class FakeQueries:
    """Records the look-ups, and completes each query only when the test says so."""

    def __init__(self) -> None:
        self.asked: list[list[Lookup]] = []
        self.too_many = False
        self.too_large: list[Lookup] = []
        self.failure: Exception | None = None
        self._gates: list[asyncio.Future[None]] = []

    async def look_up(self, lookup: Lookup) -> Found:
        await self._turn([lookup])
        return _found(lookup)

    async def look_up_tokens(self, lookups: Sequence[Lookup]) -> Sequence[Found | None] | None:
        await self._turn(lookups)
        if self.too_many:
            return None
        return [None if lookup in self.too_large else _found(lookup) for lookup in lookups]

    async def _turn(self, lookups: Sequence[Lookup]) -> None:
        self.asked.append([*lookups])
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gates.append(gate)
        await gate
        if self.failure:
            raise self.failure

    async def answer(self, queries: int = 1) -> None:
        for _ in range(queries):
            self._gates.pop(0).set_result(None)
        await turns()


_FOUND: dict[object, Found] = {}


def _found(lookup: Lookup) -> Found:
    fetched = FetchedProfile(Profile(str(lookup.value), None, None, None, None))
    return _FOUND.setdefault(lookup.value, ([fetched], False))


def _plan(application: str, page_token: str = "", **known: str) -> Lookup:
    return plan_lookup(application, LookupRequest(known, page_token=page_token), _TOKENS, 0)


def _lookup(token: int) -> Lookup:
    return _plan("app", session_token=f"t{token}")


@pytest.fixture
def queries() -> FakeQueries:
    return FakeQueries()


@pytest.fixture
def lookups(queries: FakeQueries) -> LookupBatcher:
    return LookupBatcher(cast(ProfileQueries, queries))


def _ask(lookups: LookupBatcher, tokens: range) -> list[asyncio.Task[Found]]:
    return [asyncio.create_task(_answered(lookups, _lookup(token))) for token in tokens]


async def _answered(lookups: LookupBatcher, lookup: Lookup) -> Found:
    async with lookups.look_up(lookup) as found:
        return found


async def test_look_ups_that_arrive_meanwhile_are_one_query_and_each_gets_its_own_result(
    queries: FakeQueries, lookups: LookupBatcher
) -> None:
    tasks = _ask(lookups, range(1))
    await turns()
    tasks += _ask(lookups, range(1, 4))
    await turns()
    assert queries.asked == [[_lookup(0)]]
    await queries.answer()
    assert queries.asked[1:] == [[_lookup(1), _lookup(2), _lookup(3)]]
    await queries.answer()
    assert [task.result() for task in tasks] == [_found(_lookup(token)) for token in range(4)]


async def test_the_groups_in_flight_are_limited_and_each_has_its_share(
    queries: FakeQueries, lookups: LookupBatcher
) -> None:
    tasks = _ask(lookups, range(4 * 16))
    await turns()
    assert [len(group) for group in queries.asked] == [2 * 16] * 2
    more = _ask(lookups, range(5 * 100))
    await turns()
    assert len(queries.asked) == 2
    await queries.answer()
    assert len(queries.asked[-1]) == 100
    while not all(task.done() for task in tasks + more):
        await queries.answer()
    assert {task.result()[1] for task in tasks + more} == {False}
    assert (lookups._unfinished, len(lookups._queue)) == (0, 0)


async def test_each_look_up_has_its_own_query_if_one_query_finds_too_many_users(
    queries: FakeQueries, lookups: LookupBatcher
) -> None:
    queries.too_many = True
    tasks = _ask(lookups, range(3))
    await turns()
    await queries.answer()
    assert queries.asked[1:] == [[_lookup(0)], [_lookup(1)], [_lookup(2)]]
    await queries.answer(3)
    assert [task.result() for task in tasks] == [_found(_lookup(token)) for token in range(3)]


async def test_a_failure_is_raised_for_the_whole_group_and_the_next_one_is_sent(
    queries: FakeQueries, lookups: LookupBatcher
) -> None:
    queries.failure = DatabaseUnavailable()
    tasks = _ask(lookups, range(2))
    gone, _ = tasks
    await turns()
    gone.cancel()
    await queries.answer()
    assert gone.cancelled()
    with pytest.raises(DatabaseUnavailable):
        await tasks[1]
    queries.failure = None
    (task,) = _ask(lookups, range(1))
    await turns()
    await queries.answer()
    assert task.result() == _found(_lookup(0))


async def test_a_look_up_that_is_too_large_for_its_group_has_its_own_query(
    queries: FakeQueries, lookups: LookupBatcher
) -> None:
    queries.too_large = [_lookup(1)]
    tasks = _ask(lookups, range(3))
    await turns()
    await queries.answer()
    assert [task.done() for task in tasks] == [True, False, True]
    assert queries.asked[1:] == [[_lookup(1)]]
    # No other look-up waits for it: the next group is sent meanwhile.
    tasks += _ask(lookups, range(3, 5))
    await turns()
    assert queries.asked[2:] == [[_lookup(3), _lookup(4)]]
    await queries.answer(2)
    assert [task.result() for task in tasks] == [_found(_lookup(token)) for token in range(5)]


async def test_single_queries_are_limited_until_their_responses_are_built_and_applications_take_turns(
    queries: FakeQueries, lookups: LookupBatcher
) -> None:
    building, built = list[str](), asyncio.Event()

    async def build(application: str) -> None:
        async with lookups.look_up(_plan(application, company_id="c")):
            building.append(application)
            await built.wait()

    tasks = [asyncio.create_task(build(application)) for application in "aaaaaaaabbc"]
    await turns()
    await queries.answer(limits.LOOK_UPS_AT_ONCE)
    # One application leaves a slot free.
    assert building == ["a", "a", "a", "b"]
    assert len(queries.asked) == limits.LOOK_UPS_AT_ONCE == 4
    built.set()
    await turns()
    assert [lookup.application_id for (lookup,) in queries.asked[4:]] == ["a", "b", "c", "a"]
    while not all(task.done() for task in tasks):
        await queries.answer()


async def test_groups_take_applications_in_turn(queries: FakeQueries, lookups: LookupBatcher) -> None:
    def ask(application: str, token: int) -> asyncio.Task[Found]:
        return asyncio.create_task(_answered(lookups, _plan(application, session_token=f"t{token}")))

    tasks = [ask("a", token) for token in range(3 * 100)]
    await turns()
    assert len(queries.asked) == 2
    tasks += [ask("b", 0), ask("c", 0)]
    await turns()
    await queries.answer()
    assert [lookup.application_id for lookup in queries.asked[2][:4]] == ["a", "b", "c", "a"]
    while not all(task.done() for task in tasks):
        await queries.answer()


async def test_other_look_ups_than_of_tokens_do_not_wait(queries: FakeQueries, lookups: LookupBatcher) -> None:
    tasks = _ask(lookups, range(1))
    await turns()
    company = _plan("app", company_id="c")
    tasks.append(asyncio.create_task(_answered(lookups, company)))
    await turns()
    assert queries.asked == [[_lookup(0)], [company]]
    await queries.answer(2)
    assert [task.result() for task in tasks] == [_found(_lookup(0)), _found(company)]


async def test_a_later_page_of_a_token_has_its_own_query(queries: FakeQueries, lookups: LookupBatcher) -> None:
    later = _plan("app", _TOKENS.seal([None, "app/u/x"], subject_of_lookup(_lookup(0)), 0), session_token="t0")
    tasks = [asyncio.create_task(_answered(lookups, lookup)) for lookup in (_lookup(0), later)]
    await turns()
    assert queries.asked == [[later], [_lookup(0)]]
    await queries.answer(2)
    assert [task.done() for task in tasks] == [True, True]
