"""All programs of a benchmark, started on one machine: one mongod, Userfold, and what it is compared with."""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from pymongo import MongoClient

from benchmarks.contenders.clients import (
    Contender,
    Eve,
    Parse,
    Plain,
    PlainBatcher,
    PlainPymongo,
    PlainSchema,
    Userfold,
    UserfoldCompanies,
    UvicornGateway,
)
from benchmarks.environment.machine import CACHE, CORES
from benchmarks.environment.paths import NODE, PARSE, PEERS_PACKAGES, PEERS_PYTHON
from benchmarks.environment.processes import Service, free_port
from server.accounts import credentials
from server.local.demo import DemoApplication
from server.local.mongod import EmbeddedMongod
from server.mongo import client as mongodb
from server.mongo.replica_set import initiate

UserfoldClient = TypeVar("UserfoldClient", bound=Userfold)


class Stack:
    """The running programs. `peers` are those that Userfold is compared with. Logs and data are below `directory`."""

    def __init__(self, directory: Path, *, peers: bool = True) -> None:
        self.directory = directory
        self._peers = peers
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _start(self) -> None:
        mongod = self._exit.enter_context(EmbeddedMongod(self.directory / "mongod"))
        initiate(mongod.uri)
        self.uri = mongod.uri
        self.mongod_pid = mongod.process.pid
        self.client: MongoClient[dict[str, Any]] = self._exit.enter_context(MongoClient(mongod.uri))
        self.client.admin.command(
            {"setParameter": 1, "wiredTigerEngineRuntimeConfig": f"cache_size={CACHE}"},
        )
        self.userfold, self.grpc = self.start_userfold("userfold")
        if self._peers:
            self._start_peers()

    def _start_peers(self) -> None:
        self.uvicorn = self._start_uvicorn()
        self.companies = self.new_application(UserfoldCompanies, self.userfold.url, self.userfold.services, "userfold")
        self.plain = self._start_plain(Plain)
        self.plain_schema = self._start_plain(PlainSchema)
        self.plain_batcher = self._start_plain(PlainBatcher)
        self.plain_pymongo = self._start_plain(PlainPymongo)
        self.parse = self._start_parse()
        self.eve = self._start_eve()
        self.echo = self.start("echo", [sys.executable, "-m", "benchmarks.contenders.grpc_echo"])
        self.echo_target = self.echo.ready_field("grpc")

    @property
    def contenders(self) -> Sequence[Contender]:
        """The servers that receive updates over HTTP, Userfold first."""
        plain = (self.plain, self.plain_schema, self.plain_batcher, self.plain_pymongo)
        return (self.userfold, *plain, self.parse, self.eve)

    def start(self, name: str, command: Sequence[str], **environment: str) -> Service:
        """Start a program that is stopped with the stack."""
        service = Service(name, command, self.directory, environment)
        self._exit.callback(service.stop)
        return service

    def start_userfold(self, database: str, *, workers: int = 1) -> tuple[Userfold, str]:
        """Start a server and a gateway on their own database. Returns a client, and the address of the server."""
        python = [sys.executable, "-m"]
        server = self.start(
            f"{database}-server",
            [*python, "server"],
            USERFOLD_MONGODB_URI=self.uri,
            USERFOLD_DATABASE=database,
            USERFOLD_GRPC_ADDRESS="127.0.0.1:0",
            USERFOLD_WORKERS=str(workers),
        )
        grpc = server.ready_field("grpc")
        gateway = self.start(
            f"{database}-gateway",
            [*python, "gateway"],
            USERFOLD_GRPC_ADDRESS=grpc,
            USERFOLD_HTTP_ADDRESS="127.0.0.1:0",
            USERFOLD_ADMIN_ADDRESS="127.0.0.1:0",
            USERFOLD_WORKERS=str(workers),
        )
        return self.new_application(Userfold, gateway.ready_field("http"), [server, gateway], database), grpc

    def new_application(
        self, client: type[UserfoldClient], url: str, services: Sequence[Service], database: str
    ) -> UserfoldClient:
        """Create an application in a running Userfold, and return a client with its credentials."""
        application, key = credentials.generate_application_id(), credentials.generate_collector_key()
        token = credentials.generate_management_token()
        DemoApplication(application, key, token).register(self.uri, database)
        return client(
            application,
            url,
            services,
            self.client[database][client.KIND.collection],
            headers={"X-Moesif-Application-Id": key},
            reading={"Authorization": f"Bearer {token}"},
        )

    def _start_uvicorn(self) -> UvicornGateway:
        """A second gateway in front of the same server."""
        gateway = self.start(
            "uvicorn-gateway",
            [sys.executable, "-m", "benchmarks.contenders.uvicorn_gateway", str(PEERS_PACKAGES)],
            USERFOLD_GRPC_ADDRESS=self.grpc,
            USERFOLD_HTTP_ADDRESS="127.0.0.1:0",
        )
        services = [self.userfold.services[0], gateway]
        return self.new_application(UvicornGateway, gateway.ready_field("http"), services, "userfold")

    def _start_plain(self, client: type[Plain]) -> Plain:
        """Start a variant of the plain application, with one worker per core."""
        if client is PlainSchema:
            asyncio.run(self._create_schema(client.name))
        port, key = free_port(), secrets.token_hex(16)
        uvicorn = [str(PEERS_PYTHON), "-m", "uvicorn", "--factory", f"benchmarks.contenders.plain_app:{client.name}"]
        arguments = ["--workers", str(CORES), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
        service = self.start(
            client.name,
            [*uvicorn, "--port", str(port), *arguments],
            PLAIN_MONGODB_URI=self.uri,
            PLAIN_APPLICATION_ID=key,
        )
        url = f"http://127.0.0.1:{port}"
        service.wait_for_http(url)
        return client(url, [service], self.client[client.name].profiles, headers={"X-Moesif-Application-Id": key})

    async def _create_schema(self, database: str) -> None:
        """Create the collection, the validator and the indexes of Userfold's profiles."""
        client = mongodb.connect(self.uri)
        await mongodb.prepare(mongodb.open_database(client, database))
        client.close()

    def _start_parse(self) -> Parse:
        port, key, master = free_port(), secrets.token_hex(16), secrets.token_hex(16)
        url = f"http://127.0.0.1:{port}"
        service = self.start(
            "parse",
            [str(NODE), str(PARSE / "node_modules/.bin/parse-server")],
            **{
                "PORT": str(port),
                "PARSE_SERVER_HOST": "127.0.0.1",
                "PARSE_SERVER_URL": f"{url}/parse",
                "PARSE_SERVER_DATABASE_URI": self._acknowledged("parse"),
                "PARSE_SERVER_APPLICATION_ID": key,
                "PARSE_SERVER_MASTER_KEY": master,
                "PARSE_SERVER_CLOUD": str(PARSE / "cloud.js"),
                "PARSE_SERVER_CLUSTER": str(CORES),
                "PARSE_SERVER_ALLOW_CUSTOM_OBJECT_ID": "true",
                "PARSE_SERVER_LOGS_FOLDER": str(self.directory / "parse-logs"),
                "PARSE_SERVER_LOG_LEVEL": "error",
                "PARSE_SERVER_LOG_LEVELS_CLOUD_FUNCTION_SUCCESS": "silent",
                "NODE_ENV": "production",
            },
        )
        service.wait_for_http(url)
        headers = {"X-Parse-Application-Id": key}
        reading = {"X-Parse-Master-Key": master}
        return Parse(url, [service], self.client.parse.Profile, headers=headers, reading=reading)

    def _start_eve(self) -> Eve:
        port = free_port()
        # The default workers of gunicorn cannot keep connections open; those with threads can.
        arguments = ["--workers", str(2 * CORES + 1), "--worker-class", "gthread", "--threads", "16"]
        arguments += ["--keep-alive", "75"]
        service = self.start(
            "eve",
            [
                str(PEERS_PYTHON),
                "-m",
                "gunicorn",
                "benchmarks.contenders.eve_app:app",
                "--bind",
                f"127.0.0.1:{port}",
                *arguments,
            ],
            EVE_MONGODB_URI=self._acknowledged("eve"),
        )
        url = f"http://127.0.0.1:{port}"
        service.wait_for_http(url)
        return Eve(url, [service], self.client.eve.users)

    def _acknowledged(self, database: str) -> str:
        """The connection string of a database, with the write concern that all contenders use."""
        base, _, options = self.uri.partition("/?")
        return f"{base}/{database}?{options}&w=majority&journal=true"
