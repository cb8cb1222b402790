"""What tests of the event loop's turns share."""

import asyncio
from collections.abc import Callable


async def turns(count: int = 10) -> None:
    """Enough turns of the loop for all that is ready to happen."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(happened: Callable[[], bool]) -> None:
    """Turns of the loop until something has happened, whatever the time that it takes; an error after 20 s."""
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - Nobody tells.
            await asyncio.sleep(0)


async def later(seconds: float) -> None:
    """Let so much time pass in a moment, for all that goes by the loop's clock, which never goes back.

    What is ready to happen does so before.
    """
    await turns()
    loop = asyncio.get_running_loop()
    time = loop.time
    vars(loop)["time"] = lambda: time() + seconds
    await turns()
