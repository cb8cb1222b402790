"""Liveness and readiness of the server: `grpc.health.v1`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

LIVENESS: Final = ""
"""The service name of liveness, which does not depend on MongoDB. It is SERVING until the server begins to stop."""

_CHECK_SECONDS: Final = 1.0

# One slow response of MongoDB must not make a load balancer send no more calls.
_FAILURES: Final = 2

_log = structlog.get_logger("userfold.server")


class Health(health.aio.HealthServicer):  # type: ignore[misc,name-defined]  # The stubs leave it out.
    """The health of the process, and of the service name `readiness`, which is SERVING as long as MongoDB responds.

    `responds` returns whether the primary of MongoDB responds.
    """

    def __init__(self, readiness: str, responds: Callable[[], Awaitable[bool]]) -> None:
        super().__init__()
        self._readiness = readiness
        self._responds = responds
        self._stopped = asyncio.Event()

    async def watch_database(self) -> None:
        """Check MongoDB each second, until cancelled."""
        # MongoDB was prepared before this starts.
        await self.set(self._readiness, HealthCheckResponse.SERVING)
        failures = 0
        while True:
            failures = 0 if await self._responds() else failures + 1
            if failures in (0, _FAILURES):
                serving = HealthCheckResponse.SERVING if not failures else HealthCheckResponse.NOT_SERVING
                await self.set(self._readiness, serving)
            if failures == _FAILURES:
                _log.error("not ready: MongoDB does not answer")
            await asyncio.sleep(_CHECK_SECONDS)

    async def Watch(self, request: HealthCheckRequest, context: Any) -> None:
        # A watch never ends by itself: a graceful stop would wait for it until its deadline.
        watching = asyncio.ensure_future(super().Watch(request, context))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((watching, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            stopped.cancel()

    def end_watches(self) -> None:
        """End all watches. To be called after the last status was set."""
        self._stopped.set()
