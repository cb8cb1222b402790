"""Whether a server behind the gateway can do its work."""

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from gateway.errors.answer import Answer
from gateway.upstream.channel import Channel

LIVE: Final = "/healthz"
READY: Final = "/readyz"

_SECONDS = 2.0
_READY = Answer(200, {"status": "ready"})


class Readiness:
    """Asks the server, as often as it is asked itself; who asks meanwhile gets the same answer.

    `service` is the name that the server is asked by. Belongs to the running event loop.
    """

    def __init__(self, channel: Channel, service: str) -> None:
        self._service = service
        self._check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        self._asking: asyncio.Task[str] | None = None
        self.is_stopping = False

    def answer(self, respond: Callable[[Answer], None]) -> None:
        """Call `respond` with 200 where requests can be served, and 503 where not."""
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        self._asking.add_done_callback(lambda task: respond(self._told(task.result())))

    def _told(self, wrong: str) -> Answer:
        wrong = "stopping" if self.is_stopping else wrong
        if not wrong:
            return _READY
        # No refusal of a request, so none of the operator's metrics of those.
        return Answer(503, {"status": wrong}, {"retry-after": "1"})

    async def _ask(self) -> str:
        try:
            response = await self._check(HealthCheckRequest(service=self._service), timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            return "the server does not answer"
        finally:
            self._asking = None
        return "" if response.status == HealthCheckResponse.SERVING else "the server is not ready"
