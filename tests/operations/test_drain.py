"""SIGTERM under load: no accepted update is lost, and both programs report their health."""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import httpx2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pymongo import MongoClient
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.bootstrap import CUT_SECONDS
from server.local.mongod import EmbeddedMongod
from tests.operations import hurried_server
from tests.support.applications import Application, register
from tests.support.programs import Program
from tests.support.stack import start_gateway, start_server

pytestmark = pytest.mark.long

_DATABASE = "userfold_drain_test"
_SERVING, _NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def application(mongod: EmbeddedMongod) -> Iterator[Application]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield register(client[_DATABASE], "drain")
        client.drop_database(_DATABASE)


@pytest.fixture
def stored(mongod: EmbeddedMongod) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield client[_DATABASE]


@pytest.fixture
def server(mongod: EmbeddedMongod) -> Iterator[Program]:
    running = start_server(mongod.uri, _DATABASE, {"USERFOLD_DRAIN_SECONDS": "0.5"})
    yield running
    running.stop()


@pytest.fixture
def gateway(server: Program) -> Iterator[Program]:
    running = start_gateway(server.ready["grpc"], {"USERFOLD_DRAIN_SECONDS": "2"})
    yield running
    running.stop()


@contextlib.asynccontextmanager
async def channel_to(server: Program) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.ready["grpc"]) as channel:
        yield channel


async def ended(program: Program) -> int:
    return await asyncio.to_thread(program.process.wait, 60)


async def test_a_gateway_under_load_stops_without_cutting_off_a_request(
    gateway: Program, application: Application, stored: Database[dict[str, Any]]
) -> None:
    accepted: list[str] = []
    closes: list[bool] = []
    stopping = asyncio.Event()

    async def client(name: int) -> None:
        limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1)
        async with httpx2.AsyncClient(base_url=gateway.ready["http"], timeout=30, limits=limits) as http:
            for number in range(10_000):
                user_id = f"{name}-{number}"
                try:
                    answer = await http.post(
                        "/v1/users", json={"user_id": user_id}, headers={"X-Moesif-Application-Id": "drain"}
                    )
                except httpx2.ConnectError:  # The listener is closed.
                    assert stopping.is_set()
                    return
                assert answer.status_code == 201
                accepted.append(user_id)
                closes.append(answer.headers.get("connection") == "close")

    clients = [asyncio.ensure_future(client(name)) for name in range(8)]
    while len(accepted) < 50:  # noqa: ASYNC110 - The condition depends on another process.
        await asyncio.sleep(0.01)
    async with httpx2.AsyncClient(base_url=gateway.ready["http"], timeout=30) as http:
        assert (await http.get("/readyz")).status_code == 200
        stopping.set()
        gateway.process.send_signal(signal.SIGTERM)
        # It reports this before anything else.
        while (answer := await http.get("/readyz")).status_code == 200:
            pass
        assert (answer.status_code, answer.json()) == (503, {"status": "stopping"})
        assert (await http.get("/healthz")).status_code == 200
    await asyncio.gather(*clients)
    assert await ended(gateway) == 0
    assert any(closes)
    assert {each["user_id"] for each in stored.profiles.find({}, {"user_id": 1})} == {*accepted}


async def test_a_server_is_replaced_behind_a_busy_gateway_and_every_accepted_update_is_stored(
    server: Program,
    gateway: Program,
    mongod: EmbeddedMongod,
    application: Application,
    stored: Database[dict[str, Any]],
) -> None:
    accepted: list[str] = []
    others: list[int] = []
    has_enough = asyncio.Event()

    async def client(name: int) -> None:
        async with httpx2.AsyncClient(base_url=gateway.ready["http"], timeout=30) as http:
            for number in itertools.count():
                user_id = f"{name}-{number}"
                answer = await http.post(
                    "/v1/users", json={"user_id": user_id}, headers={"X-Moesif-Application-Id": "drain"}
                )
                if answer.status_code == 201:
                    accepted.append(user_id)
                else:
                    others.append(answer.status_code)
                    await asyncio.sleep(0.05)
                if has_enough.is_set():
                    return

    async def accept(more: int) -> None:
        target = len(accepted) + more
        async with asyncio.timeout(30):
            while len(accepted) < target:  # noqa: ASYNC110 - The condition depends on another process.
                await asyncio.sleep(0.01)

    clients = [asyncio.ensure_future(client(name)) for name in range(8)]
    await accept(50)
    server.process.send_signal(signal.SIGTERM)
    # Streams end, and their updates are sent as unary calls, until the listener is closed.
    assert await ended(server) == 0
    replacement = await asyncio.to_thread(
        Program,
        "server",
        {
            "USERFOLD_MONGODB_URI": mongod.uri,
            "USERFOLD_DATABASE": _DATABASE,
            "USERFOLD_GRPC_ADDRESS": server.ready["grpc"],
        },
    )
    try:
        await accept(50)
        has_enough.set()
        await asyncio.gather(*clients)
    finally:
        await asyncio.to_thread(replacement.stop)
    assert {*others} <= {503}
    assert {each["user_id"] for each in stored.profiles.find({}, {"user_id": 1})} >= {*accepted}


def test_a_stopping_server_acknowledges_every_update_that_it_has_read(
    server: Program, application: Application, stored: Database[dict[str, Any]]
) -> None:
    def messages() -> Iterator[pb.StreamUpdateUsersRequest]:
        for number in itertools.count():
            yield pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id=str(10 * number + each)) for each in range(10)])

    acknowledged = 0
    is_told = False
    with grpc.insecure_channel(server.ready["grpc"]) as channel:
        service: Any = UserServiceStub(channel)
        health: Any = health_pb2_grpc.HealthStub(channel)  # Its stubs have no types.
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == _SERVING
        call = service.StreamUpdateUsers(messages(), metadata=(("x-moesif-application-id", "drain"),))
        with pytest.raises(grpc.RpcError):  # noqa: PT012 - Iterating the stream raises.
            for response in call:
                assert not any(each.HasField("error") for each in response.acknowledgements)
                acknowledged += len(response.acknowledgements)
                if acknowledged >= 50 and not is_told:
                    is_told = True
                    server.process.send_signal(signal.SIGTERM)
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert call.details().startswith("The server is stopping.")
        assert [each.status for each in watch] == [_NOT_SERVING]
    assert server.process.wait(60) == 0
    # The acknowledged updates, and no others, are stored: the first ones of the stream.
    stored_ids = {each["user_id"] for each in stored.profiles.find({}, {"user_id": 1})}
    assert stored_ids == {str(number) for number in range(acknowledged)}


def test_a_server_stops_in_time_although_mongodb_hangs(mongod: EmbeddedMongod, application: Application) -> None:
    server = start_server(mongod.uri, _DATABASE, module="tests.operations.hurried_server")
    metadata = (("x-moesif-application-id", "drain"),)
    update = pb.UpdateUserRequest(user=UserUpdate(user_id="u"))
    try:
        with grpc.insecure_channel(server.ready["grpc"]) as channel:
            service: Any = UserServiceStub(channel)
            service.UpdateUser(update, metadata=metadata, timeout=20)
            mongod.process.send_signal(signal.SIGSTOP)
            call = service.UpdateUser.future(update, metadata=metadata, timeout=60)
            messages = itertools.chain([pb.StreamUpdateUsersRequest(users=[update.user])], iter(call.result, None))
            stream = service.StreamUpdateUsers(messages, metadata=metadata)
            server.process.send_signal(signal.SIGTERM)
            # The call, the stream and the writes wait for MongoDB. Twice the time, as the machine may be busy.
            assert server.process.wait(2 * (hurried_server.GRACE_SECONDS + CUT_SECONDS)) == 0
            for each in (call, stream):
                assert each.code() is not grpc.StatusCode.OK
    finally:
        mongod.process.send_signal(signal.SIGCONT)
        server.stop()


async def test_readiness_depends_on_mongodb_and_liveness_does_not(
    server: Program, gateway: Program, mongod: EmbeddedMongod
) -> None:
    async def status(name: str) -> Any:
        return (await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)).status

    async def eventually(code: int) -> None:
        async with asyncio.timeout(30):
            while (await http.get("/readyz")).status_code != code:  # noqa: ASYNC110 - The condition depends on another process.
                await asyncio.sleep(0.05)

    async with (
        channel_to(server) as channel,
        httpx2.AsyncClient(base_url=gateway.ready["http"], timeout=30) as http,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        await eventually(200)
        mongod.process.send_signal(signal.SIGSTOP)
        try:
            await eventually(503)
            assert [await status(name) for name in ("", "userfold.v1.UserService")] == [_SERVING, _NOT_SERVING]
            assert (await http.get("/healthz")).status_code == 200
        finally:
            mongod.process.send_signal(signal.SIGCONT)
        await eventually(200)
        assert await status("userfold.v1.UserService") == _SERVING
        await asyncio.to_thread(server.stop)
        await eventually(503)
