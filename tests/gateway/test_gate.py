"""The gate: shares of room, and what is given back."""

import asyncio

from gateway.gate import Gate


def enter_until_full(gate: Gate, key: bytes) -> int:
    count = 0
    while gate.enter(key):
        count += 1
    return count


async def test_a_key_may_have_as_much_as_it_leaves_for_others() -> None:
    gate = Gate(12)
    assert [enter_until_full(gate, key) for key in (b"a", b"b", b"c")] == [6, 3, 2]
    assert not gate.has_room(b"a")
    gate.leave(b"a")
    assert gate.has_room(b"d")


async def test_it_is_empty_when_all_have_left() -> None:
    gate = Gate(10)
    assert gate.enter(b"a")
    assert gate.enter(b"b")
    empty = asyncio.ensure_future(gate.emptied())
    gate.leave(b"a")
    await asyncio.sleep(0)
    assert not empty.done()
    gate.leave(b"b")
    await asyncio.wait_for(empty, 5)
