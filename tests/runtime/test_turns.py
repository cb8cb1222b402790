import asyncio

from runtime.turns import REST, Turns


async def _work(turns: Turns, key: str, slices: int, done: list[str]) -> None:
    for _ in range(slices):
        await turns.turn(key)
        done.append(key)


async def test_keys_take_turns_however_many_tasks_one_of_them_has() -> None:
    turns, done = Turns(), list[str]()
    await asyncio.gather(*[_work(turns, "a", 3, done) for _ in range(5)], _work(turns, "b", 3, done))
    assert [index for index, key in enumerate(done) if key == "b"] == [1, 3, 5]


async def test_there_are_turns_of_the_loop_between_two_slices() -> None:
    turns, done = Turns(), list[str]()
    loop = asyncio.get_running_loop()
    before: list[int] = []

    def tick() -> None:
        before.append(len(done))
        if len(done) < 40:
            loop.call_soon(tick)

    tick()
    await asyncio.gather(*[_work(turns, str(key), 4, done) for key in range(10)])
    assert len(done) == 40
    assert {before.count(number) for number in range(1, 40)} == {REST + 1}


async def test_a_task_that_asks_again_immediately_rests_like_any_other() -> None:
    turns, done, seen = Turns(), list[str](), 0
    loop = asyncio.get_running_loop()

    def tick() -> None:
        nonlocal seen
        seen += 1
        if len(done) < 10:
            loop.call_soon(tick)

    tick()
    await _work(turns, "a", 10, done)
    assert seen >= 9 * REST


async def test_a_cancelled_task_takes_no_turn() -> None:
    turns, done = Turns(), list[str]()
    given_up = asyncio.create_task(_work(turns, "a", 1, done))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(_work(turns, "b", 1, done))
    given_up.cancel()
    await waiting
    assert done == ["b"]
