"""Liveness and readiness of the server: `grpc.health.v1`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

LIVENESS: Final = ""
"""The service name of liveness, which does not depend on MongoDB. It is SERVING until the server begins to stop."""

FAULT: Final = "userfold-fault"
"""The trailing metadata with what is known of why the server is not ready."""

_CHECK_SECONDS: Final = 1.0

# One slow response of MongoDB must not make a load balancer send no more calls.
_FAILURES: Final = 2

_log = structlog.get_logger("userfold.server")


class Health(health.aio.HealthServicer):  # type: ignore[misc,name-defined]  # The stubs leave it out.
    """The health of the process, and of the service name `readiness`, which is SERVING as long as MongoDB responds.

    `responds` returns whether the primary of MongoDB responds, and `why_not` what is known of the cause where it does
    not: a text in ASCII, or an empty one. A response of NOT_SERVING has it as the trailing metadata FAULT.
    """

    def __init__(
        self, readiness: str, responds: Callable[[], Awaitable[bool]], why_not: Callable[[], Awaitable[str]]
    ) -> None:
        super().__init__()
        self._readiness = readiness
        self._responds = responds
        self._why_not = why_not
        self._fault = ""
        self._stopped = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether the service name of readiness is SERVING."""
        return bool(self._server_status.get(self._readiness) == HealthCheckResponse.SERVING)

    @property
    def why_not_ready(self) -> str:
        """Why it is not, in words. Empty where it is."""
        if self.is_ready:
            return ""
        return "stopping" if self._gracefully_shutting_down else self._fault or "MongoDB does not answer"

    async def watch_database(self) -> None:
        """Check MongoDB each second, until cancelled."""
        # MongoDB was prepared before this starts.
        await self.set(self._readiness, HealthCheckResponse.SERVING)
        failures, is_ready = 0, True
        while True:
            failures = 0 if await self._responds() else failures + 1
            if failures in (0, _FAILURES):
                serving = HealthCheckResponse.SERVING if not failures else HealthCheckResponse.NOT_SERVING
                await self.set(self._readiness, serving)
            if failures == _FAILURES:
                is_ready = False
                await self.note_fault(await self._why_not())
            elif not failures and not is_ready:
                is_ready = True
                _log.info("ready again")
            await asyncio.sleep(_CHECK_SECONDS)

    async def note_fault(self, fault: str) -> None:
        """Report that the server is not ready, and log the fault, unless it is known."""
        await self.set(self._readiness, HealthCheckResponse.NOT_SERVING)
        if not fault:
            _log.error("database unavailable")
        elif fault != self._fault:
            _log.error("no replica set", fault=fault)
        self._fault = fault

    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:
        response: HealthCheckResponse = await super().Check(request, context)
        if self._fault and response.status == HealthCheckResponse.NOT_SERVING:
            context.set_trailing_metadata(((FAULT, self._fault),))
        return response

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
