"""Health checks: whether the gateway is alive, and whether it and a server behind it are ready."""

import asyncio
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from gateway import metrics
from gateway.errors.answer import Answer
from gateway.errors.rendering import Refusal
from gateway.http import content_encoding
from gateway.http.handler import Body, Respond
from gateway.http.messages import Request
from gateway.upstream.channel import Channel

LIVE: Final = "/healthz"
READY: Final = "/readyz"
PROBE: Final = "/health/probe"
"""The health check of the public API."""

FAULT: Final = "userfold-fault"
"""The trailing metadata by which a server that is not ready says why: `server/rpc/health.py`."""

_SECONDS: Final = (1.0, 0.5, 0.5)
"""The time of each attempt to find a server that is ready. Each reaches the next server."""

_WATCH_SECONDS: Final = 1.0
_FAILURES: Final = 2
"""After so many failures in a row, the log says that the gateway is not ready. One may be a server that restarts."""

_CAUSE_CHARACTERS: Final = 500
_READY = Answer(200, {"status": "ready"})

_UNREACHABLE: Final = "no server can be reached"
_TO_DO: Final = {
    _UNREACHABLE: "start the server, or set USERFOLD_GRPC_ADDRESS and the variables of its TLS; until then requests are"
    " refused with SERVER_UNAVAILABLE, and none of them has an effect",
    "": "see the log of the server",
}

_log = structlog.get_logger("userfold.gateway")


def constants(region: str) -> dict[str, Answer]:
    """The health checks whose answers never change, by their paths."""
    return {LIVE: Answer(200, {"status": "alive"}), PROBE: Answer(200, {"status": True, "region": region})}


class Readiness:
    """The exchange of a request to READY, which is answered by asking the server. Concurrent requests share one check.

    `service` is the name in the server's health service. Belongs to the running event loop.
    """

    body: Final = Body.DISCARDED
    body_limit: Final = content_encoding.OBJECT_BYTES

    def __init__(self, channel: Channel, service: str) -> None:
        self._channel = channel
        self._service = service
        self._checking: asyncio.Task[str] | None = None
        self.is_stopping = False

    async def watch(self) -> None:
        """Log when the gateway is not ready, and when it is again, and set its metric, until cancelled."""
        failures = 0
        while True:
            fault = await self._find_fault()
            metrics.READY.set(not fault and not self.is_stopping)
            if fault:
                failures += 1
                if failures == _FAILURES and not self.is_stopping:
                    cause = await self._channel.why_unreachable() if fault == _UNREACHABLE else ""
                    details = {"cause": cause[:_CAUSE_CHARACTERS]} if cause else {}
                    to_do = _TO_DO.get(fault, _TO_DO[""])
                    _log.error("server unavailable", fault=fault, to_do=to_do, grpc=self._channel.address, **details)
            else:
                if failures >= _FAILURES:
                    _log.info("ready again", grpc=self._channel.address)
                failures = 0
            await asyncio.sleep(_WATCH_SECONDS)

    def handle(self, _request: Request, respond: Respond) -> None:
        """Respond with 200 if requests can be served, else with 503."""
        if self._checking is None:
            self._checking = asyncio.get_running_loop().create_task(self._find_fault())
        self._checking.add_done_callback(lambda task: respond(self._answer(task.result()).response))

    def abandon(self) -> None:
        """Other requests may wait for the same check."""

    def _answer(self, fault: str) -> Answer:
        fault = "stopping" if self.is_stopping else fault
        # This is no refusal, and the operator's metrics count no health checks.
        return Answer(503, {"status": fault}, {"retry-after": "1"}) if fault else _READY

    async def _find_fault(self) -> str:
        """Why no server can serve requests; empty if one can."""
        fault = ""
        try:
            for seconds in _SECONDS:
                if not (fault := await self._fault_of_next(seconds)):
                    break
        finally:
            self._checking = None
        return fault

    async def _fault_of_next(self, seconds: float) -> str:
        """Why the next server cannot serve requests; empty if it can."""
        try:
            connection = await self._channel.connection(seconds)
            call = connection.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=HealthCheckRequest.SerializeToString,
                response_deserializer=HealthCheckResponse.FromString,
            )(HealthCheckRequest(service=self._service), timeout=seconds)
            response = await call
            if response.status == HealthCheckResponse.SERVING:
                return ""
            trailers: Any = await call.trailing_metadata()  # Pairs; the type stubs say otherwise.
        except Refusal:
            return _UNREACHABLE
        except grpc.aio.AioRpcError:
            return "the server does not answer"
        return f"the server is not ready{''.join(f': {value}' for name, value in trailers if name == FAULT)}"
