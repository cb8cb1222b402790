"""USERFOLD_WORKERS: several processes of each program on one address, seen from outside."""

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

_ESTABLISHED, _LISTENING = "01", "0A"


class Watched:
    """A program with two workers."""

    def __init__(self, name: str, address_variable: str, **environment: str) -> None:
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
        )

    @property
    def port(self) -> int:
        return int(next(value for key, value in self.program.ready.items() if key in ("http", "grpc")).split(":")[-1])

    def workers(self) -> set[int]:
        return children(self.program.process.pid)

    def sockets(self, state: str) -> Counter[int]:
        """How many sockets of this program's port, in a state of the kernel's tables, each worker has."""
        tables = [Path(f"/proc/net/{table}").read_text() for table in ("tcp", "tcp6")]
        lines = [line.split() for table in tables for line in table.splitlines()[1:]]
        inodes = {line[9] for line in lines if line[1].endswith(f":{self.port:04X}") and line[3] == state}
        found: Counter[int] = Counter()
        for worker in self.workers():
            for link in Path(f"/proc/{worker}/fd").iterdir():
                # A worker opens and closes files meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    found[worker] += os.readlink(link).removeprefix("socket:[").removesuffix("]") in inodes
        return +found

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def told(self) -> str:
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
def server(mongod: EmbeddedMongod) -> Iterator[Watched]:
    watched = Watched(
        "server",
        "USERFOLD_GRPC_ADDRESS",
        USERFOLD_MONGODB_URI=mongod.uri,
        USERFOLD_DATABASE="userfold_workers_test",
    )
    yield watched
    assert watched.stop() == 0


@pytest.fixture(scope="module")
def gateway(server: Watched) -> Iterator[Watched]:
    watched = Watched(
        "gateway",
        "USERFOLD_HTTP_ADDRESS",
        USERFOLD_GRPC_ADDRESS=server.program.ready["grpc"],
    )
    yield watched
    assert watched.stop() == 0


@pytest.fixture(scope="module")
def owner(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> Application:
    return register(database.client.userfold_workers_test, "workers")


def posted(gateway: Watched, owner: Application, clients: list[httpx2.Client], prefix: str) -> None:
    """Send an update from each client, all of one user, and read what they add up to."""
    for number, client in enumerate(clients):
        body = {"user_id": prefix, "metadata": {f"k{number}": number}}
        answer = client.post("/v1/users", json=body, headers={"X-Moesif-Application-Id": owner.collector_key})
        assert answer.status_code == 201, answer.text
    reader = {"Authorization": f"Bearer {owner.management_token}"}
    stored = clients[0].get(f"/v1/users/{prefix}", headers=reader).json()["metadata"]
    assert stored == {f"k{number}": number for number in range(len(clients))}


@pytest.fixture
def clients(gateway: Watched) -> Iterator[list[httpx2.Client]]:
    """Thirty connections: all of them at one worker would be one case in 2^29."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(httpx2.Client(base_url=gateway.program.ready["http"], timeout=30)) for _ in range(30)
        ]


def test_two_workers_of_each_serve_one_address(
    server: Watched, gateway: Watched, owner: Application, clients: list[httpx2.Client]
) -> None:
    updates = server.metric("userfold_server_updates_total")
    requests = gateway.metric('userfold_gateway_request_seconds_count{route="/v1/users",status="201"}')
    posted(gateway, owner, clients, "together")
    assert len(gateway.sockets(_ESTABLISHED)) == 2
    assert sum(gateway.sockets(_ESTABLISHED).values()) == len(clients)
    assert set(server.sockets(_LISTENING).values()) == {1}
    assert set(server.sockets(_LISTENING)) == server.workers()
    # Two workers of the gateway, with a connection to each worker of the server, if the kernel will have it so.
    assert sum(server.sockets(_ESTABLISHED).values()) == 4
    # Told by the parent, for both.
    assert server.metric("userfold_server_updates_total") - updates == len(clients)
    counted = gateway.metric('userfold_gateway_request_seconds_count{route="/v1/users",status="201"}')
    assert counted - requests == len(clients)


@pytest.mark.parametrize("name", ["server", "gateway"])
def test_a_worker_that_dies_is_replaced_while_the_other_serves(
    request: pytest.FixtureRequest, name: str, gateway: Watched, owner: Application, clients: list[httpx2.Client]
) -> None:
    watched: Watched = request.getfixturevalue(name)
    before = watched.workers()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: "signal SIGKILL" in watched.told())
    if name == "gateway":
        posted(gateway, owner, clients, "meanwhile")
    wait_until(lambda: len(watched.workers() - {victim}) == 2 and set(watched.sockets(_LISTENING)) == watched.workers())
    assert len(watched.workers() & before) == 1
    posted(gateway, owner, clients, f"after the {name}'s")


def test_an_address_that_workers_share_is_shared_with_no_other_program(mongod: EmbeddedMongod, server: Watched) -> None:
    other = Watched(
        "server",
        "USERFOLD_GRPC_ADDRESS",
        USERFOLD_MONGODB_URI=mongod.uri,
        USERFOLD_GRPC_ADDRESS=server.program.ready["grpc"],
    )
    assert other.program.process.wait(30) == 1
    assert f"cannot listen on USERFOLD_GRPC_ADDRESS={server.program.ready['grpc']}: the port is taken" in other.told()
    other.stop()


def test_a_gateway_does_not_share_its_address_either(server: Watched, gateway: Watched) -> None:
    other = Watched("gateway", "USERFOLD_HTTP_ADDRESS", USERFOLD_HTTP_ADDRESS=f"127.0.0.1:{gateway.port}")
    assert other.program.process.wait(30) == 1
    assert "USERFOLD_HTTP_ADDRESS: cannot listen there: Address already in use" in other.told()
    other.stop()


def test_a_worker_that_cannot_start_ends_the_program_with_its_own_words() -> None:
    watched = Watched("server", "USERFOLD_GRPC_ADDRESS", USERFOLD_MONGODB_URI="mongodb://")
    assert watched.program.process.wait(30) == 1
    assert "USERFOLD_MONGODB_URI is not a MongoDB connection string" in watched.told()
    assert re.search(r"userfold-server: the server's worker \d ended by itself \(exit status 1\)", watched.told())
    watched.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(number: signal.Signals) -> None:
    watched = Watched("gateway", "USERFOLD_HTTP_ADDRESS", USERFOLD_GRPC_ADDRESS="127.0.0.1:1")
    workers = watched.workers()
    assert len(workers) == 2
    watched.program.process.send_signal(number)
    assert watched.program.process.wait(30) == (-number if number == signal.SIGKILL else 0)
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    watched.stop()
