"""Readiness, and what the log says when it changes."""

import asyncio

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from structlog.testing import capture_logs

from server.rpc import health
from server.rpc.health import Health


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_CHECK_SECONDS", 0)


async def _no_fault() -> str:
    return ""


async def test_the_log_says_when_the_database_is_unavailable_and_when_it_is_there_again() -> None:
    answers = iter([True, False, True, False, False, False, True, True])
    seen: list[int] = []
    checked = asyncio.Event()

    async def responds() -> bool:
        seen.append((await servicer.Check(HealthCheckRequest(service="users"), None)).status)
        if (answer := next(answers, None)) is None:
            checked.set()
            await asyncio.Event().wait()
        return bool(answer)

    servicer = Health("users", responds, _no_fault)
    with capture_logs() as lines:
        watching = asyncio.create_task(servicer.watch_database())
        await checked.wait()
        watching.cancel()
    serving, not_serving = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
    # One slow response changes nothing.
    assert seen == [serving] * 5 + [not_serving] * 2 + [serving] * 2
    assert [line["event"] for line in lines] == ["database unavailable", "ready again"]
