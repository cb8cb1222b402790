"""The gate: shares of room, and what is given back."""

import asyncio

from gateway.gate import Gate


def enter_until_full(gate: Gate, key: str) -> int:
    count = 0
    while gate.enter(key):
        count += 1
    return count


async def test_a_key_may_have_as_much_as_it_leaves_for_others() -> None:
    gate = Gate(12)
    assert [enter_until_full(gate, key) for key in ("a", "", "c")] == [6, 3, 2]
    assert not gate.has_room("a")
    gate.leave("a")
    assert gate.has_room("d")


async def test_it_is_empty_when_all_have_left() -> None:
    gate = Gate(10)
    assert gate.enter("a")
    assert gate.enter("")
    empty = asyncio.ensure_future(gate.emptied())
    gate.leave("a")
    await asyncio.sleep(0)
    assert not empty.done()
    gate.leave("")
    await asyncio.wait_for(empty, 5)
