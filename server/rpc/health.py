"""Whether the server lives, and whether it can do its work: `grpc.health.v1`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

LIVENESS: Final = ""
"""The name by which the server is asked whether it lives, whatever MongoDB does. It serves until it is told to stop."""

_SECONDS = 1.0

# One answer that is late is no reason to be sent nothing more.
_FAILURES = 2

_log = structlog.get_logger("userfold.server")


class Health(health.aio.HealthServicer):  # type: ignore[misc,name-defined]  # The stubs leave it out.
    """Answers for the process, and for `readiness`, which serves as long as MongoDB does.

    `answers` tells whether MongoDB's primary does now.
    """

    def __init__(self, readiness: str, answers: Callable[[], Awaitable[bool]]) -> None:
        super().__init__()
        self._readiness = readiness
        self._answers = answers
        self._stopped = asyncio.Event()

    async def watch_database(self) -> None:
        """Ask again and again, for ever."""
        # By the time that it is asked, MongoDB has been prepared.
        await self.set(self._readiness, HealthCheckResponse.SERVING)
        failures = 0
        while True:
            failures = 0 if await self._answers() else failures + 1
            if failures in (0, _FAILURES):
                serving = HealthCheckResponse.SERVING if not failures else HealthCheckResponse.NOT_SERVING
                await self.set(self._readiness, serving)
            if failures == _FAILURES:
                _log.error("not ready: MongoDB does not answer")
            await asyncio.sleep(_SECONDS)

    async def Watch(self, request: HealthCheckRequest, context: Any) -> None:
        # Who watches never ends: a server that stops would wait for it to the last.
        watching = asyncio.ensure_future(super().Watch(request, context))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((watching, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            stopped.cancel()

    def end_watches(self) -> None:
        """Those who watch have been told the last of it."""
        self._stopped.set()
