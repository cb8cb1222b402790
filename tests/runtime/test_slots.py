"""How many slots there are, of which keys, and in which order."""

import asyncio

from runtime.slots import Slots
from tests.support.waiting import turns


async def test_one_key_has_at_most_half_and_keys_take_turns() -> None:
    slots = Slots(4, 2)
    placed: list[str] = []

    async def wait(key: str) -> None:
        await slots.acquire(key)
        placed.append(key)

    waiting = [asyncio.ensure_future(wait(key)) for key in "aaaaabbcc"]
    await turns()
    assert placed == ["a", "a", "b", "b"]
    slots.release("b")
    await turns()
    # `a` has only its half, although it has waited longest.
    assert placed[4:] == ["c"]
    slots.release("a")
    await turns()
    assert len(placed) == 6
    for key in placed[:6][-3:]:
        slots.release(key)
    await turns()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_slot_is_granted_to_another_key_first() -> None:
    slots = Slots(2, 1)
    placed: list[str] = []

    async def wait(key: str) -> None:
        await slots.acquire(key)
        placed.append(key)

    waiting = [asyncio.ensure_future(wait(key)) for key in "yzaabb"]
    await turns()
    for key in "yab":
        slots.release(key)
        await turns()
    assert placed == ["y", "z", "a", "b", "a"]
    waiting[-1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_cancelled_task_takes_no_slot_and_leaves_nothing() -> None:
    slots = Slots(2, 1)
    await slots.acquire("a")
    first, second = (asyncio.ensure_future(slots.acquire("a")) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    slots.release("a")
    await second
    # Granted and cancelled in the same turn.
    third = asyncio.ensure_future(slots.acquire("a"))
    await turns()
    slots.release("a")
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    assert (slots._free, slots._held, slots._waiting) == (2, {}, {})
