"""Responses that are computed once for all calls of an application within a while."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

SECONDS: Final = 60.0
"""How long a response is kept."""

KEPT_BYTES: Final = 16 * 1024 * 1024
"""The size of all responses that are kept. The oldest ones are dropped first."""

Response = TypeVar("Response", bound=Message)


class KeptResponses(Generic[Response]):
    """Keeps the response that `compute` returns for an application. Errors are not kept.

    Calls that arrive while a response is computed wait for it. A caller that goes away does not stop that. Responses
    must not be changed. `clock` returns seconds from any starting point. Belongs to the running event loop.
    """

    def __init__(self, compute: Callable[[str], Awaitable[Response]], clock: Callable[[], float]) -> None:
        self._compute = compute
        self._clock = clock
        self._kept: dict[str, tuple[float, Response]] = {}
        self._size = 0
        self._computing: dict[str, asyncio.Task[Response]] = {}

    async def get(self, application_id: str) -> Response:
        """The response for an application. Raises what `compute` raises."""
        self._drop_old()
        if kept := self._kept.get(application_id):
            return kept[1]
        computing = self._computing.get(application_id)
        if computing is None:
            computing = asyncio.get_running_loop().create_task(self._compute_and_keep(application_id))
            # Its callers may all have gone away.
            computing.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._computing[application_id] = computing
        return await asyncio.shield(computing)

    async def _compute_and_keep(self, application_id: str) -> Response:
        try:
            response = await self._compute(application_id)
        finally:
            del self._computing[application_id]
        self._kept[application_id] = self._clock() + SECONDS, response
        self._size += response.ByteSize()
        self._drop_old()
        return response

    def _drop_old(self) -> None:
        now = self._clock()
        # In the order in which they were kept.
        while self._kept:
            application_id, (until, response) = next(iter(self._kept.items()))
            if now < until and self._size <= KEPT_BYTES:
                return
            del self._kept[application_id]
            self._size -= response.ByteSize()
