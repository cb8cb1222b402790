"""Health checks: whether the gateway is alive, and whether it and a server behind it are ready."""

import asyncio
from typing import Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from gateway.errors.answer import Answer
from gateway.http import content_encoding
from gateway.http.handler import Body, Respond
from gateway.http.messages import Request
from gateway.upstream.channel import Channel

LIVE: Final = "/healthz"
READY: Final = "/readyz"
PROBE: Final = "/health/probe"
"""The health check of the public API."""

_SECONDS = 2.0
_READY = Answer(200, {"status": "ready"})


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
        self._service = service
        self._check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        self._checking: asyncio.Task[str] | None = None
        self.is_stopping = False

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
        """Why the server cannot serve requests; empty if it can."""
        try:
            response = await self._check(HealthCheckRequest(service=self._service), timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            return "the server does not answer"
        finally:
            self._checking = None
        return "" if response.status == HealthCheckResponse.SERVING else "the server is not ready"
