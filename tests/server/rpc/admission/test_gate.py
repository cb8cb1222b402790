"""Gates: the share of each application, turns, and the return of places."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from server.errors import Overloaded
from server.rpc.admission.gate import Gate
from tests.support.waiting import turns


async def test_an_application_has_at_most_as_many_places_as_remain_free() -> None:
    gate = Gate(12, concurrency=12)
    async with AsyncExitStack() as stack:

        async def let_in(application: str) -> int:
            count = 0
            with pytest.raises(Overloaded):  # noqa: PT012 - The test counts the calls that do not raise.
                while count < 100:
                    await stack.enter_async_context(gate.within(application))
                    count += 1
            return count

        assert [await let_in(application) for application in "abc"] == [6, 3, 2]
    async with AsyncExitStack() as stack:
        for _ in range(6):
            await stack.enter_async_context(gate.within("c"))


async def test_the_concurrency_is_limited_and_queued_calls_are_served_in_order() -> None:
    gate, served, go = Gate(20, concurrency=2), list[int](), asyncio.Event()

    async def call(number: int) -> None:
        async with gate.within(f"app{number}"):
            served.append(number)
            await go.wait()

    calls = [asyncio.ensure_future(call(number)) for number in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert served == [0, 1]
    calls[2].cancel()
    go.set()
    await turns()
    assert served == [0, 1, 3]
    assert all(task.done() for task in calls)


async def test_queued_applications_take_turns() -> None:
    gate, served = Gate(100, concurrency=1), list[str]()

    async def call(application: str) -> None:
        async with gate.within(application):
            served.append(application)
            await asyncio.sleep(0)

    calls = [asyncio.ensure_future(call("a")) for _ in range(16)]
    await asyncio.sleep(0)
    calls += [asyncio.ensure_future(call(application)) for application in "bbc"]
    await asyncio.wait(calls)
    # Two calls of a got slots before b and c arrived.
    assert served[:8] == ["a", "a", "a", "b", "c", "a", "b", "a"]
    assert len(served) == 19


async def test_one_application_leaves_a_slot_for_another() -> None:
    gate, served = Gate(100, concurrency=3), list[str]()
    done = {application: asyncio.Event() for application in "abc"}

    async def call(application: str) -> None:
        async with gate.within(application):
            served.append(application)
            await done[application].wait()

    calls = [asyncio.ensure_future(call("a")) for _ in range(16)]
    await asyncio.sleep(0)
    assert served == ["a"] * 2
    calls += [asyncio.ensure_future(call(application)) for application in "bc"]
    await asyncio.sleep(0)
    assert served == ["a", "a", "b"]
    done["b"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Calls of a were queued earlier, but a has all its slots.
    assert served == ["a", "a", "b", "c"]
    done["c"].set()
    await asyncio.wait(calls[-2:])
    assert served == ["a", "a", "b", "c"]
    done["a"].set()
    await asyncio.wait(calls)
    assert len(served) == 18


async def test_a_slot_that_is_granted_to_a_cancelled_call_is_passed_on() -> None:
    gate, served = Gate(100, concurrency=1), list[str]()

    async def call(application: str) -> None:
        async with gate.within(application):
            served.append(application)

    async with gate.within("a"):
        calls = [asyncio.ensure_future(call(application)) for application in "bcd"]
        await asyncio.sleep(0)
        calls[1].cancel()
        await asyncio.sleep(0)
    # The slot is granted to it by now, but its task has not run.
    calls[0].cancel()
    await turns()
    assert served == ["d"]
    assert all(task.done() for task in calls)
    async with asyncio.timeout(20), gate.within("e"):
        pass
