"""A MongoDB that is no replica set, then one that is not initiated, and then one that is: what each program says."""

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from pymongo import MongoClient
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2 import UpdateUserRequest
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from runtime.child import stop_child
from server.accounts.credentials import generate_collector_key
from server.local.mongod import _find_mongod
from server.mongo.deployment import Deployment, find_deployment
from server.mongo.replica_set import initiate
from tests.support.applications import register
from tests.support.programs import environment, free_port, run_program, start_program
from tests.support.stack import start_gateway
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

_SERVICE = "userfold.v1.UserService"
_NO_SET = "is no replica set, which Userfold needs"
_NOT_INITIATED = "is not initiated"


class Mongod:
    """A mongod on one port, which can be restarted with other arguments."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.uri = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        self.stop()
        command = [_find_mongod(), "--dbpath", str(self._directory), "--port", str(self.port)]
        command += ["--bind_ip", "127.0.0.1", "--nounixsocket", "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25"]
        with (self._directory.parent / "mongod.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log, env=environment({}))
        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=60_000) as client:
            client.admin.command("hello")

    def stop(self) -> None:
        if self._process:
            stop_child(self._process)

    def databases(self) -> set[str]:
        with MongoClient[dict[str, Any]](self.uri) as client:
            return {*client.list_database_names()} - {"admin", "config", "local"}


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    directory = tmp_path / "mongodb"
    directory.mkdir()
    running = Mongod(directory)
    try:
        yield running
    finally:
        running.stop()
        # pytest would keep 300 MB of each of the last runs.
        shutil.rmtree(directory)


@contextlib.asynccontextmanager
async def calls(address: str) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield channel


async def health(channel: grpc.aio.Channel) -> tuple[int, str]:
    """The status of readiness, and the fault that comes with it."""
    stub: Any = HealthStub(channel)
    call = stub.Check(HealthCheckRequest(service=_SERVICE), timeout=5, wait_for_ready=True)
    response = await call
    return response.status, dict(await call.trailing_metadata()).get("userfold-fault", "")


async def reported(channel: grpc.aio.Channel, expected: Callable[[tuple[int, str]], bool]) -> None:
    async with asyncio.timeout(25):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                if expected(await health(channel)):
                    return
            await asyncio.sleep(0.05)


async def test_a_server_is_not_ready_and_writes_nothing_until_mongodb_is_an_initiated_replica_set(
    mongod: Mongod, tmp_path: Path
) -> None:
    mongod.start()
    address = f"127.0.0.1:{free_port()}"
    log_path = tmp_path / "server.log"
    with log_path.open("wb") as log:
        server = start_program(
            "server", {"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_GRPC_ADDRESS": address}, stderr=log, measured=True
        )
    gateway = start_gateway(address, measured=True)
    try:
        async with calls(address) as channel, httpx2.AsyncClient(base_url=gateway.ready["http"], timeout=60) as http:
            key = {"X-Moesif-Application-Id": generate_collector_key()}
            await reported(channel, lambda found: found[0] == HealthCheckResponse.NOT_SERVING and _NO_SET in found[1])
            liveness: Any = HealthStub(channel)
            assert (await liveness.Check(HealthCheckRequest())).status == HealthCheckResponse.SERVING
            update = UpdateUserRequest(user=UserUpdate(user_id="1"))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await UserServiceStub(channel).UpdateUser(update, timeout=20)
            trailers: Any = refused.value.trailing_metadata()
            status = Status.FromString(dict(trailers)["grpc-status-details-bin"])
            info = ErrorInfo()
            assert status.details[0].Unpack(info)
            assert (refused.value.code().name, info.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
            while _NO_SET not in (ready := (await http.get("/readyz")).json()["status"]):
                pass
            assert ready.startswith("the server is not ready: the MongoDB at 127.0.0.1:")
            answer = await http.post("/v1/users", json={"user_id": "1"}, headers=key)
            assert (answer.status_code, answer.json()["details"][0]["reason"]) == (503, "DATABASE_UNAVAILABLE")
            # Commands write nothing either.
            run = run_program("cli.main", "applications", "create", "A", variables={"USERFOLD_MONGODB_URI": mongod.uri})
            assert (run.returncode != 0, _NO_SET in run.stderr) == (True, True), run.stderr
            run = run_program("server.local.run", variables={"USERFOLD_MONGODB_URI": mongod.uri}, cwd=tmp_path)
            assert (run.returncode, _NO_SET in run.stderr) == (1, True), run.stderr
            assert mongod.databases() == set()

            mongod.start("--replSet", "rs0")
            await reported(channel, lambda found: _NOT_INITIATED in found[1])
            initiate(mongod.uri)
            await reported(channel, lambda found: found == (HealthCheckResponse.SERVING, ""))
            assert server.stdout
            assert b"userfold-server ready" in server.stdout.readline()
            with MongoClient[dict[str, Any]](mongod.uri) as client:
                key["X-Moesif-Application-Id"] = register(client["userfold"], generate_collector_key()).collector_key
            while (await http.post("/v1/users", json={"user_id": "1"}, headers=key)).status_code != 201:
                pass

            # Restarted outside of its set, as for maintenance: the driver no longer selects it.
            mongod.start()
            await reported(channel, lambda found: _NO_SET in found[1])
            mongod.start("--replSet", "rs0")
            await reported(channel, lambda found: found[0] == HealthCheckResponse.SERVING)
            faults = [json.loads(line).get("fault", "") for line in log_path.read_bytes().splitlines()]
            assert [any(text in fault for fault in faults) for text in (_NO_SET, _NOT_INITIATED)] == [True, True]
            assert all("rs.initiate()" in fault for fault in faults if fault)
    finally:
        assert gateway.stop() == 0
        stop_child(server)
        if server.stdout:
            server.stdout.close()


def test_workers_wait_for_the_replica_set(mongod: Mongod, tmp_path: Path) -> None:
    mongod.start()
    log_path = tmp_path / "server.log"
    variables = {"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_GRPC_ADDRESS": "127.0.0.1:0", "USERFOLD_WORKERS": "2"}
    with log_path.open("wb") as log:
        server = start_program("server", variables, stderr=log)
    try:
        wait_until(lambda: _NO_SET.encode() in log_path.read_bytes())
        mongod.start("--replSet", "rs0")
        initiate(mongod.uri)
        assert server.stdout
        assert b"userfold-server ready" in server.stdout.readline()
    finally:
        stop_child(server)
        if server.stdout:
            server.stdout.close()


@pytest.mark.parametrize("uri", ["mongodb+srv://db.example.com", "nonsense", "mongodb://127.0.0.1:1,127.0.0.1:2/"])
def test_what_does_not_answer_has_no_fault(uri: str) -> None:
    assert find_deployment(uri) == Deployment()


def test_the_name_of_the_set_is_found_without_credentials(mongod: Mongod) -> None:
    mongod.start("--replSet", "rs0")
    initiate(mongod.uri)
    found = find_deployment(f"mongodb://user:p%40ss@127.0.0.1:1,127.0.0.1:{mongod.port}/?authSource=admin")
    assert found == Deployment(replica_set="rs0", is_usable=True)
    assert found.options == {"replicaSet": "rs0"}
