"""Gauges, which are read regularly."""

import asyncio
from collections.abc import Callable
from typing import Final

from runtime.metrics.durations import ManyHistogram

SECONDS: Final = 1.0
"""How often gauges are read."""


async def sample(read: Callable[[], object], lateness: ManyHistogram) -> None:
    """Call `read` now and each second, until cancelled.

    `lateness` observes by how much the event loop woke up too late. So long did every other event wait as well.
    """
    loop = asyncio.get_running_loop()
    while True:
        read()
        due = loop.time() + SECONDS
        await asyncio.sleep(SECONDS)
        lateness.add(max(0.0, loop.time() - due))
