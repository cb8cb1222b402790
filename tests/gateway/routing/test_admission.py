"""The gate: how applications share places, and give them back."""

import asyncio

from gateway.routing.admission import Gate


def enter_until_full(gate: Gate, key: str) -> int:
    return next(count for count in range(100) if not gate.enter(key))


async def test_an_application_may_hold_as_many_places_as_remain_free() -> None:
    gate = Gate(12)
    assert [enter_until_full(gate, key) for key in ("a", "", "c")] == [6, 3, 2]
    assert not gate.has_room("a")
    gate.leave("a")
    assert gate.has_room("d")


async def test_leaving_gives_the_place_back() -> None:
    gate = Gate(12)
    for _ in range(3):
        assert enter_until_full(gate, "a") == 6
        for _ in range(6):
            gate.leave("a")


async def test_it_is_empty_when_all_places_are_given_back() -> None:
    gate = Gate(10)
    assert gate.enter("a")
    assert gate.enter("")
    empty = asyncio.ensure_future(gate.emptied())
    gate.leave("a")
    await asyncio.sleep(0)
    assert not empty.done()
    gate.leave("")
    await asyncio.wait_for(empty, 5)
