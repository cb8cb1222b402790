"""Whether a request had an effect, where the server cannot be reached or is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from gateway.app import INTERNAL, SERVICES
from gateway.endpoints import health
from gateway.errors.rendering import Refusal, reason_of, refusal
from gateway.routing.http_rules import bindings_of
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller
from gateway.upstream.stream_pool import StreamPool
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import reasons
from tests.gateway.running import Backend, Gateway, running_backend, running_gateway
from tests.support.programs import free_port
from tests.support.waiting import until

UNREACHABLE = (
    503,
    "The gateway cannot reach a server; the request was not sent to one. Send it again later.",
    "1",
    ["SERVER_UNAVAILABLE"],
)


class Replaceable:
    """A server that is stopped and started, and its gateway, which knows a credential."""

    service: FakeUserService

    def __init__(self, gateway: Gateway, port: int, server: AsyncExitStack) -> None:
        self.gateway = gateway
        self._port = port
        self._server = server

    async def start(self) -> None:
        backend: Backend = await self._server.enter_async_context(running_backend(self._port))
        self.service = backend.service

    async def stop(self) -> None:
        await self._server.aclose()

    async def post(self, path: str = "/v1/users", value: object = None) -> tuple[Any, ...]:
        response = await self.gateway.post(path, value or {"user_id": "1"})
        body = response.json()
        if response.status_code == 201:
            return (201,)
        return response.status_code, body["message"], response.headers.get("retry-after"), reasons(body)


@pytest.fixture
async def replaceable() -> AsyncIterator[Replaceable]:
    port = free_port()
    async with AsyncExitStack() as server, running_gateway(f"127.0.0.1:{port}") as gateway:
        running = Replaceable(gateway, port, server)
        await running.start()
        assert await running.post() == (201,)
        yield running


async def test_a_request_that_was_never_sent_is_refused_as_not_sent(replaceable: Replaceable) -> None:
    await replaceable.stop()
    assert await replaceable.post() == UNREACHABLE
    assert await replaceable.post("/v1/users/batch", [{"user_id": "1"}, {"user_id": "2"}]) == UNREACHABLE
    assert await replaceable.post("/v1/users:batchDelete", {"user_ids": ["1"]}) == UNREACHABLE
    response = await replaceable.gateway.client.get("/v1/users/1")
    assert (response.status_code, reasons(response.json())) == (503, ["SERVER_UNAVAILABLE"])
    # A new credential cannot be checked either.
    response = await replaceable.gateway.client.get("/v1/users/1", headers={"X-Moesif-Application-Id": "new"})
    assert (response.status_code, reasons(response.json())) == (503, ["SERVER_UNAVAILABLE"])
    ready = await replaceable.gateway.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "no server can be reached"})
    await replaceable.start()
    async with asyncio.timeout(30):
        while (answer := await replaceable.post()) != (201,):
            assert answer == UNREACHABLE
    assert len(replaceable.service.requests) == 1


@pytest.mark.parametrize("path", ["/v1/users", "/v1/users/batch", "/v1/users:batchDelete"])
async def test_the_outcome_of_a_request_in_flight_is_unknown(replaceable: Replaceable, path: str) -> None:
    bodies: dict[str, object] = {"/v1/users/batch": [{"user_id": "1"}], "/v1/users:batchDelete": {"user_ids": ["1"]}}
    replaceable.service.reset()
    replaceable.service.may_answer.clear()
    in_flight = asyncio.ensure_future(replaceable.post(path, bodies.get(path)))
    await replaceable.service.arrived.wait()
    await replaceable.stop()
    status, _, _, found = await in_flight
    assert (status, found) == (503, ["WRITE_OUTCOME_UNKNOWN"])


async def test_the_outcome_of_a_message_in_flight_on_a_stream_is_unknown(replaceable: Replaceable) -> None:
    for _ in range(3):
        assert await replaceable.post() == (201,)
    replaceable.service.reset()
    replaceable.service.may_answer.clear()
    in_flight = asyncio.ensure_future(replaceable.post())
    await replaceable.service.arrived.wait()
    await replaceable.stop()
    assert (await in_flight)[3] == ["WRITE_OUTCOME_UNKNOWN"]
    assert await replaceable.post() == UNREACHABLE


class Broken:
    """A stream that breaks while a message is written to it."""

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        pass

    async def write(self, _: bytes) -> None:
        none = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, none, none, "", "")


async def test_a_message_that_a_broken_stream_may_have_delivered_is_not_refused_as_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (method,) = {each.batch_method for each in bindings_of(SERVICES, INTERNAL[:1]) if each.batch_method}
    caller = Caller(b"me", ())
    async with running_backend() as lost, Channel(lost.address) as channel:
        pool = StreamPool(method, channel)
        await pool.send(caller, b"", 10)
        monkeypatch.setattr(channel, "stream_stream", lambda *_, **__: lambda **_: Broken())

        async def refuse(*_: object, **__: object) -> object:
            raise refusal("SERVER_UNAVAILABLE")

        monkeypatch.setattr(pool, "_call", refuse)
        with pytest.raises(Refusal) as caught:
            await pool.send(caller, b"", 10)
    assert reason_of(caught.value.status) == "WRITE_OUTCOME_UNKNOWN"


async def test_the_log_says_once_that_no_server_can_be_reached_why_and_when_one_can_again(
    replaceable: Replaceable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_WATCH_SECONDS", 0.01)
    with capture_logs() as logs:
        watch = asyncio.ensure_future(replaceable.gateway.application.watch())
        # The fake server has no health service, but it answers.
        await until_logged(logs, 1)
        assert logs[0] == {
            "event": "server unavailable",
            "log_level": "error",
            "fault": "the server does not answer",
            "to_do": "see the log of the server",
            "grpc": logs[0]["grpc"],
        }
        watch.cancel()
        logs.clear()
        await replaceable.stop()
        watch = asyncio.ensure_future(replaceable.gateway.application.watch())
        await until_logged(logs, 1)
        await asyncio.sleep(0.1)
        watch.cancel()
    (line,) = logs
    assert (line["event"], line["fault"]) == ("server unavailable", "no server can be reached")
    assert "Connection refused" in line["cause"]
    assert "USERFOLD_GRPC_ADDRESS" in line["to_do"]


async def until_logged(logs: list[Any], number: int) -> None:
    await until(lambda: len(logs) >= number)
