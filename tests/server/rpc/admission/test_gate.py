"""The gates: shares of room, turns, and what is given back."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from server.errors import Overloaded
from server.rpc.admission.gate import Gate
from tests.support.waiting import turns


async def test_an_application_may_have_as_much_as_it_leaves_for_others() -> None:
    gate = Gate(12, concurrency=12)
    async with AsyncExitStack() as stack:

        async def let_in(application: str) -> int:
            count = 0
            with pytest.raises(Overloaded):  # noqa: PT012 - How often it does not is what is asked.
                while count < 100:
                    await stack.enter_async_context(gate.within(application))
                    count += 1
            return count

        assert [await let_in(each) for each in "abc"] == [6, 3, 2]
    async with AsyncExitStack() as stack:
        for _ in range(6):
            await stack.enter_async_context(gate.within("c"))


async def test_so_many_are_served_at_once_and_the_others_in_their_order() -> None:
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
    assert all(each.done() for each in calls)


async def test_applications_that_wait_are_served_in_turn() -> None:
    gate, served = Gate(100, concurrency=1), list[str]()

    async def call(application: str) -> None:
        async with gate.within(application):
            served.append(application)
            await asyncio.sleep(0)

    calls = [asyncio.ensure_future(call("a")) for _ in range(16)]
    await asyncio.sleep(0)
    calls += [asyncio.ensure_future(call(each)) for each in "bbc"]
    await asyncio.wait(calls)
    # Two of a have their places before the others ask.
    assert served[:8] == ["a", "a", "a", "b", "c", "a", "b", "a"]
    assert len(served) == 19


async def test_one_application_leaves_a_place_for_another() -> None:
    gate, served = Gate(100, concurrency=3), list[str]()
    done = {each: asyncio.Event() for each in "abc"}

    async def call(application: str) -> None:
        async with gate.within(application):
            served.append(application)
            await done[application].wait()

    calls = [asyncio.ensure_future(call("a")) for _ in range(16)]
    await asyncio.sleep(0)
    assert served == ["a"] * 2
    calls += [asyncio.ensure_future(call(each)) for each in "bc"]
    await asyncio.sleep(0)
    assert served == ["a", "a", "b"]
    done["b"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Those of a that wait are before it in the turns, but a has all that it may have.
    assert served == ["a", "a", "b", "c"]
    done["c"].set()
    await asyncio.wait(calls[-2:])
    assert served == ["a", "a", "b", "c"]
    done["a"].set()
    await asyncio.wait(calls)
    assert len(served) == 18


async def test_a_place_that_is_given_to_a_cancelled_call_goes_on() -> None:
    gate, served = Gate(100, concurrency=1), list[str]()

    async def call(application: str) -> None:
        async with gate.within(application):
            served.append(application)

    async with gate.within("a"):
        calls = [asyncio.ensure_future(call(each)) for each in "bcd"]
        await asyncio.sleep(0)
        calls[1].cancel()
        await asyncio.sleep(0)
    # It has the place by now, and is yet to notice.
    calls[0].cancel()
    await turns()
    assert served == ["d"]
    assert all(each.done() for each in calls)
    async with asyncio.timeout(20), gate.within("e"):
        pass
