"""Work on large documents, which would occupy the event loop for long."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from server import limits

_Result = TypeVar("_Result")


class LargeDocuments:
    """Works on large documents in a thread, one after another. Belongs to the running event loop."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    async def work(self, size: int, function: Callable[[], _Result]) -> _Result:
        """The result of a function that works on documents of so many bytes in all."""
        if size <= limits.SLICE_BYTES:
            return function()
        # A megabyte takes up to 70 ms, in which the interpreter runs nothing else. Then the event loop has as long.
        time = asyncio.get_running_loop().time
        async with self._one_at_a_time:
            started = time()
            result = await asyncio.to_thread(function)
            await asyncio.sleep(time() - started)
        return result
