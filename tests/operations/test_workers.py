"""USERFOLD_WORKERS: several processes of each program share one address."""

import contextlib
import os
import re
import signal
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest
from pymongo.database import Database

from server.local.mongod import EmbeddedMongod
from tests.support.applications import Application, register
from tests.support.programs import Program, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

TOKEN = "0123456789abcdef"

_ESTABLISHED, _LISTENING = "01", "0A"


class WorkerProgram:
    """A program with two workers."""

    def __init__(self, name: str, address_variable: str, *, measured: bool = False, **environment: str) -> None:
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - Closed by `stop`.
        self.metrics = f"127.0.0.1:{free_port()}"
        self.program = Program(
            name,
            {
                "USERFOLD_WORKERS": "2",
                address_variable: "127.0.0.1:0",
                f"USERFOLD_{name.upper()}_METRICS_ADDRESS": self.metrics,
                **environment,
            },
            stderr=self.errors,
            measured=measured,
        )

    @property
    def port(self) -> int:
        return int(next(value for key, value in self.program.ready.items() if key in ("http", "grpc")).split(":")[-1])

    def workers(self) -> set[int]:
        return children(self.program.process.pid)

    def sockets(self, state: str) -> Counter[int]:
        """The number of sockets of this program's port, in this state of the kernel's table, for each worker."""
        tables = [Path(f"/proc/net/{table}").read_text() for table in ("tcp", "tcp6")]
        lines = [line.split() for table in tables for line in table.splitlines()[1:]]
        inodes = {line[9] for line in lines if line[1].endswith(f":{self.port:04X}") and line[3] == state}
        found: Counter[int] = Counter()
        for worker in self.workers():
            for link in Path(f"/proc/{worker}/fd").iterdir():
                # The worker may have closed the file.
                with contextlib.suppress(FileNotFoundError):
                    found[worker] += os.readlink(link).removeprefix("socket:[").removesuffix("]") in inodes
        return +found

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def logged(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode()

    def stop(self) -> int:
        status = self.program.stop()
        self.errors.close()
        return status


def children(parent: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[1-9]*/stat"):
        try:
            state, ppid = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(ppid) == parent and state != "Z":
            found.add(int(path.parent.name))
    return found


@pytest.fixture(scope="module")
def server(mongod: EmbeddedMongod) -> Iterator[WorkerProgram]:
    program = WorkerProgram(
        "server",
        "USERFOLD_GRPC_ADDRESS",
        measured=True,
        USERFOLD_MONGODB_URI=mongod.uri,
        USERFOLD_DATABASE="userfold_workers_test",
    )
    yield program
    assert program.stop() == 0


@pytest.fixture(scope="module")
def gateway(server: WorkerProgram) -> Iterator[WorkerProgram]:
    program = WorkerProgram(
        "gateway",
        "USERFOLD_HTTP_ADDRESS",
        measured=True,
        USERFOLD_GRPC_ADDRESS=server.program.ready["grpc"],
        USERFOLD_METRICS_TOKEN=TOKEN,
    )
    yield program
    assert program.stop() == 0


@pytest.fixture(scope="module")
def application(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> Application:
    return register(database.client.userfold_workers_test, "workers")


def update_from_each(
    gateway: WorkerProgram, application: Application, clients: list[httpx2.Client], prefix: str
) -> None:
    """Send an update of one user from each client, and check that the profile holds them all."""
    for number, client in enumerate(clients):
        body = {"user_id": prefix, "metadata": {f"k{number}": number}}
        answer = client.post("/v1/users", json=body, headers={"X-Moesif-Application-Id": application.collector_key})
        assert answer.status_code == 201, answer.text
    reader = {"Authorization": f"Bearer {application.management_token}"}
    stored = clients[0].get(f"/v1/users/{prefix}", headers=reader).json()["metadata"]
    assert stored == {f"k{number}": number for number in range(len(clients))}


@pytest.fixture
def clients(gateway: WorkerProgram) -> Iterator[list[httpx2.Client]]:
    """Thirty connections: the chance that one worker gets all of them is 1 in 2^29."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(httpx2.Client(base_url=gateway.program.ready["http"], timeout=30)) for _ in range(30)
        ]


def test_two_workers_of_each_program_serve_one_address(
    server: WorkerProgram, gateway: WorkerProgram, application: Application, clients: list[httpx2.Client]
) -> None:
    updates = server.metric("userfold_server_updates_total")
    requests = gateway.metric('userfold_gateway_request_seconds_count{code="201",method="POST",route="/v1/users"}')
    update_from_each(gateway, application, clients, "together")
    assert len(gateway.sockets(_ESTABLISHED)) == 2
    assert sum(gateway.sockets(_ESTABLISHED).values()) == len(clients)
    assert set(server.sockets(_LISTENING).values()) == {1}
    assert set(server.sockets(_LISTENING)) == server.workers()
    # Two workers of the gateway, each connected to a worker of the server that the kernel chose.
    assert sum(server.sockets(_ESTABLISHED).values()) == 4
    # The parent reports the sum of both workers, and each of their processes.
    assert server.metric("userfold_server_updates_total") - updates == len(clients)
    counted = gateway.metric('userfold_gateway_request_seconds_count{code="201",method="POST",route="/v1/users"}')
    assert counted - requests == len(clients)
    labels = f'{{application="{application.application_id}",code="201",method="POST",route="/v1/users"}}'
    assert gateway.metric(f"userfold_gateway_requests_total{labels}") == len(clients)
    for program in (server, gateway):
        for worker in (1, 2):
            assert program.metric(f'process_resident_memory_bytes{{worker="{worker}"}}') > 0
    wait_until(lambda: server.metric("userfold_server_ready") == 2)
    wait_until(lambda: gateway.metric("userfold_gateway_open_connections ") == len(clients))


def test_each_worker_serves_the_admin_listener_with_the_metrics_of_all(
    gateway: WorkerProgram, application: Application, clients: list[httpx2.Client]
) -> None:
    update_from_each(gateway, application, clients, "counted")
    counted = gateway.metric("userfold_gateway_request_seconds_count")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    # As many connections as in `clients`: each worker gets some.
    answers = [
        httpx2.get(f"{gateway.program.ready['admin']}/metrics", headers=headers, trust_env=False) for _ in range(30)
    ]
    for answer in answers:
        lines = [line for line in answer.text.splitlines() if line.startswith("userfold_gateway_request_seconds_count")]
        assert sum(float(line.rpartition(" ")[2]) for line in lines) == counted


def test_no_other_gateway_can_listen_on_the_admin_address(gateway: WorkerProgram) -> None:
    address = gateway.program.ready["admin"].removeprefix("http://")
    other = WorkerProgram("gateway", "USERFOLD_HTTP_ADDRESS", USERFOLD_ADMIN_ADDRESS=address)
    assert other.program.process.wait(30) == 1
    assert "USERFOLD_ADMIN_ADDRESS: cannot listen there: Address already in use" in other.logged()
    other.stop()


@pytest.mark.parametrize("name", ["server", "gateway"])
def test_a_worker_that_dies_is_replaced_while_the_other_serves(
    request: pytest.FixtureRequest,
    name: str,
    gateway: WorkerProgram,
    application: Application,
    clients: list[httpx2.Client],
) -> None:
    program: WorkerProgram = request.getfixturevalue(name)
    before = program.workers()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: "signal SIGKILL" in program.logged())
    if name == "gateway":
        update_from_each(gateway, application, clients, "meanwhile")
    wait_until(lambda: len(program.workers() - {victim}) == 2 and set(program.sockets(_LISTENING)) == program.workers())
    assert len(program.workers() & before) == 1
    update_from_each(gateway, application, clients, f"after the {name}'s")


def test_no_other_program_can_listen_on_the_workers_address(mongod: EmbeddedMongod, server: WorkerProgram) -> None:
    other = WorkerProgram(
        "server",
        "USERFOLD_GRPC_ADDRESS",
        USERFOLD_MONGODB_URI=mongod.uri,
        USERFOLD_GRPC_ADDRESS=server.program.ready["grpc"],
    )
    assert other.program.process.wait(30) == 1
    assert f"cannot listen on USERFOLD_GRPC_ADDRESS={server.program.ready['grpc']}: the port is taken" in other.logged()
    other.stop()


def test_no_other_gateway_can_listen_on_a_gateways_address(server: WorkerProgram, gateway: WorkerProgram) -> None:
    other = WorkerProgram("gateway", "USERFOLD_HTTP_ADDRESS", USERFOLD_HTTP_ADDRESS=f"127.0.0.1:{gateway.port}")
    assert other.program.process.wait(30) == 1
    assert "USERFOLD_HTTP_ADDRESS: cannot listen there: Address already in use" in other.logged()
    other.stop()


def test_a_worker_that_cannot_start_ends_the_program_with_its_error() -> None:
    program = WorkerProgram("server", "USERFOLD_GRPC_ADDRESS", USERFOLD_MONGODB_URI="mongodb://")
    assert program.program.process.wait(30) == 1
    assert "USERFOLD_MONGODB_URI is not a MongoDB connection string" in program.logged()
    assert re.search(r"userfold-server: the server's worker \d ended by itself \(exit status 1\)", program.logged())
    program.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(number: signal.Signals) -> None:
    program = WorkerProgram("gateway", "USERFOLD_HTTP_ADDRESS", USERFOLD_GRPC_ADDRESS="127.0.0.1:1")
    workers = program.workers()
    assert len(workers) == 2
    program.program.process.send_signal(number)
    assert program.program.process.wait(30) == (-number if number == signal.SIGKILL else 0)
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    program.stop()
