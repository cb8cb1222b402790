"""What tests of the event loop's turns share."""

import asyncio


async def turns(count: int = 10) -> None:
    """Enough turns of the loop for all that is ready to happen."""
    for _ in range(count):
        await asyncio.sleep(0)
