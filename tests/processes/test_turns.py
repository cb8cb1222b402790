import asyncio

from processes.turns import Turns


async def _work(turns: Turns, owner: str, slices: int, done: list[str]) -> None:
    for _ in range(slices):
        await turns.turn(owner)
        done.append(owner)


async def test_owners_take_turns_however_many_tasks_one_of_them_has() -> None:
    turns, done = Turns(), list[str]()
    await asyncio.gather(*[_work(turns, "a", 3, done) for _ in range(5)], _work(turns, "b", 3, done))
    assert [index for index, owner in enumerate(done) if owner == "b"] == [1, 3, 5]


async def test_there_is_one_slice_in_each_turn_of_the_loop() -> None:
    turns, done = Turns(), list[str]()
    loop = asyncio.get_running_loop()
    most = 0

    def tick(before: int) -> None:
        nonlocal most
        most = max(most, len(done) - before)
        if len(done) < 40:
            loop.call_soon(tick, len(done))

    tick(0)
    await asyncio.gather(*[_work(turns, str(owner), 4, done) for owner in range(10)])
    assert len(done) == 40
    assert most == 1


async def test_a_task_that_is_cancelled_takes_nobodys_turn() -> None:
    turns, done = Turns(), list[str]()
    given_up = asyncio.create_task(_work(turns, "a", 1, done))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(_work(turns, "b", 1, done))
    given_up.cancel()
    await waiting
    assert done == ["b"]
