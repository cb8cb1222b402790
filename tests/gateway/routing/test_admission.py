"""The gate: shares of room, and what is given back."""

import asyncio

from gateway.routing.admission import Gate


def enter_until_full(gate: Gate, key: str) -> int:
    return next(count for count in range(100) if not gate.enter(key))


async def test_a_key_may_have_as_much_as_it_leaves_for_others() -> None:
    gate = Gate(12)
    assert [enter_until_full(gate, key) for key in ("a", "", "c")] == [6, 3, 2]
    assert not gate.has_room("a")
    gate.leave("a")
    assert gate.has_room("d")


async def test_what_has_left_gives_its_room_back() -> None:
    gate = Gate(12)
    for _ in range(3):
        assert enter_until_full(gate, "a") == 6
        for _ in range(6):
            gate.leave("a")


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
