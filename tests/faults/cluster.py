"""The whole system: a replica set, two servers, two gateways, and clients that send without pause."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Self

import uvloop
from pymongo import MongoClient, WriteConcern

from server.accounts.credentials import generate_collector_key
from tests.faults.clients import Traffic
from tests.faults.history import History
from tests.faults.kinds import clients_of
from tests.faults.links import Links
from tests.faults.replica_set import ReplicaSet
from tests.support.applications import Application, register
from tests.support.programs import Program, free_port

VARIABLE: Final = "FAULTS_BUG"
"""Names the bug that `seeded` puts into a server."""

DATABASE: Final = "userfold_faults"

_Settings = dict[str, str]


class Service:
    """A server or a gateway, which keeps its address when it is restarted."""

    def __init__(self, name: str, module: str, log: IO[bytes], address: str, **environment: str) -> None:
        self.name = name
        self._module = module
        self._log = log
        self._address = address
        self._environment = environment
        self._program: Program | None = None

    @property
    def process(self) -> Any:
        assert self._program
        return self._program.process

    @property
    def is_running(self) -> bool:
        return self._program is not None and self._program.process.poll() is None

    @property
    def address(self) -> str:
        return self._environment[self._address]

    def start(self) -> None:
        """Start or restart it."""
        if self._program:
            self._program.stop()
        self._environment.setdefault(self._address, f"127.0.0.1:{free_port()}")
        self._program = Program(self._module, self._environment, stderr=self._log)
        if not self._program.ready:
            raise RuntimeError(f"{self.name} does not start:\n{Path(self._log.name).read_text()[-2000:]}")

    def seed(self, bug: str | None) -> None:
        """Restart it with this bug, or without any."""
        self._module = "tests.faults.seeded" if bug else self.name.rstrip("0123456789")
        self._environment[VARIABLE] = bug or ""
        self.start()

    def stop(self) -> None:
        if self._program:
            self._program.stop()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_until_ended(self) -> None:
        self.process.wait(timeout=60)


class Cluster:
    """The running parts. Faults run in the main thread, clients and proxies in the event loop of another thread."""

    def __init__(self, directory: Path) -> None:
        self._stack = ExitStack()
        self._directory = directory

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._loop = stack.enter_context(_running_loop())
            self.links = Links(self._loop)
            stack.callback(self.links.close)
            self.replica_set = ReplicaSet(self._directory, self.links)
            stack.callback(self.replica_set.stop)
            self.replica_set.start()
            log = stack.enter_context((self._directory / "programs.log").open("ab"))
            settings = {"USERFOLD_MONGODB_URI": self.replica_set.uri, "USERFOLD_DATABASE": DATABASE}
            self.servers = [
                Service(f"server{number}", "server", log, "USERFOLD_GRPC_ADDRESS", **settings) for number in range(2)
            ]
            for server in self.servers:
                stack.callback(server.stop)
                server.start()
                self.links.know(server.name, server.process.pid)
            addresses = [server.address for server in self.servers]
            self.gateways = [
                Service(f"gateway{number}", "gateway", log, "USERFOLD_HTTP_ADDRESS", USERFOLD_GRPC_ADDRESS=target)
                # Each prefers another server, and uses both.
                for number, target in enumerate([f"ipv4:{','.join(order)}" for order in (addresses, addresses[::-1])])
            ]
            for gateway in self.gateways:
                stack.callback(gateway.stop)
                gateway.start()
            self.client = stack.enter_context(MongoClient[dict[str, Any]](self.replica_set.uri, tz_aware=True))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def heal(self) -> None:
        """Start every process that has ended, and wait until the replica set is complete."""
        self.replica_set.heal()
        for service in (*self.servers, *self.gateways):
            if not service.is_running:
                service.start()
                self.links.know(service.name, service.process.pid)

    def seed(self, bug: str | None) -> None:
        """Restart the servers with this bug, or without any."""
        for server in self.servers:
            server.seed(bug)
            self.links.know(server.name, server.process.pid)

    @contextmanager
    def load(self, factor: int = 1) -> Iterator[tuple[Traffic, list[Application]]]:
        """Run clients of two new applications during the block. At its end they complete the current round."""
        database = self.client.get_database(DATABASE, write_concern=WriteConcern("majority"))
        applications = [register(database, generate_collector_key()) for _ in range(2)]
        gateways = [gateway.address for gateway in self.gateways]
        traffic = Traffic(History(time.time), gateways, [server.address for server in self.servers])

        async def run() -> None:
            clients = clients_of(applications, traffic, factor)
            try:
                await asyncio.gather(*(client.run() for client in clients))
            finally:
                for client in clients:
                    await client.close()

        running = asyncio.run_coroutine_threadsafe(run(), self._loop)
        try:
            yield traffic, applications
        finally:
            traffic.is_over = True
            running.result(timeout=60)

    def stored(self, applications: list[Application]) -> list[dict[str, Any]]:
        """All documents of the profiles of these applications, as a majority has them at one moment."""
        # After this write, a majority has every earlier write.
        self.client.get_database("faults", write_concern=WriteConcern("majority")).checks.insert_one({})
        ids = [application.application_id for application in applications]
        own = {"_id": {"$regex": f"^({'|'.join(ids)})/"}}
        with self.client.start_session(snapshot=True) as session:
            return list(self.client[DATABASE].profiles.find(own, session=session))

    def last_election(self) -> tuple[float, float]:
        """When the primary began to accept writes, and when a majority had one, in seconds since 1970."""
        metrics = self.replica_set.primary().command("replSetGetStatus").get("electionCandidateMetrics", {})
        never = datetime.fromtimestamp(0, UTC)
        began, confirmed = (
            metrics.get(f"{name}Date", never) for name in ("newTermStart", "wMajorityWriteAvailability")
        )
        return began.timestamp(), confirmed.timestamp()


@contextmanager
def _running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
