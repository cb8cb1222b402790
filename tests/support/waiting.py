"""Waiting for a condition, and for the event loop."""

import asyncio
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Block until the condition holds. Raises TimeoutError after these seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not true after {seconds} s")
        time.sleep(0.01)


async def turns(count: int = 10) -> None:
    """Enough turns of the event loop to run every callback that is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until the condition holds. Raises TimeoutError after a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - No event is set when it holds.
            await asyncio.sleep(0)


async def later(seconds: float) -> None:
    """Advance the event loop's clock by these seconds, for good, after every callback that is ready has run."""
    await turns()
    loop = asyncio.get_running_loop()
    time = loop.time
    vars(loop)["time"] = lambda: time() + seconds
    await turns()
