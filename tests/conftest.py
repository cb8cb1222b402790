"""The real parts that tests stand on: one mongod, and the server and the gateway as an operator runs them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import httpx2
import hypothesis
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from runtime.child import start_child, stop_child
from server.accounts.credentials import (
    StoredCredential,
    digest,
    generate_application_id,
    generate_collector_key,
    generate_credential_id,
    generate_management_token,
)
from server.accounts.scopes import COLLECTOR_SCOPES
from server.local.mongod import EmbeddedMongod
from server.model import CredentialKind, Scope
from server.mongo.accounts import document_from_credential
from server.mongo.replica_set import initiate

DATABASE = "userfold_test"


_STARTED: Final = frozenset({"mongod", "stack", "database", "api"})
"""Fixtures that start a program."""

_ALONE: Final = frozenset({"contract", "gateway", "runtime", "server"})
"""Folders whose other tests need none. At the top level is what holds for the running stack."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark what `make test-fast` leaves out."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder not in _ALONE or _STARTED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@dataclass(frozen=True)
class Application:
    """A registered application, of one test alone: no test sees another's users."""

    application_id: str
    collector_key: str
    management_token: str


@dataclass(frozen=True)
class Stack:
    """A running server and gateway."""

    http: str
    grpc: str


class Program:
    """`python -m NAME`, until `stop`. `ready` holds what its ready line says, `printed` its stdout."""

    def __init__(self, name: str, stderr: IO[bytes] | None = None, **environment: str) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("USERFOLD_")}
        self.process = start_child(
            [sys.executable, "-m", name],
            environment=inherited | environment,
            stdout=subprocess.PIPE,
            stderr=stderr.fileno() if stderr else None,
        )
        assert self.process.stdout
        self.printed = self.process.stdout.readline()
        words = self.printed.decode().split()
        self.ready = dict(word.split("=", 1) for word in words if "=" in word)

    def stop(self) -> int:
        """Stop it as an operator does; may be called again. Returns its exit status."""
        stop_child(self.process)
        assert self.process.stdout
        if not self.process.stdout.closed:
            self.printed += self.process.stdout.read()
            self.process.stdout.close()
        return self.process.returncode


class Api:
    """The HTTP API, as one application uses it."""

    def __init__(self, url: str, application: Application) -> None:
        self.client = httpx2.Client(base_url=url, timeout=30)
        self.application = application
        self.writer = {"X-Moesif-Application-Id": application.collector_key}
        self.reader = {"Authorization": f"Bearer {application.management_token}"}

    def update(self, user: object, **headers: str) -> httpx2.Response:
        return self.client.post("/v1/users", json=user, headers=self.writer | headers)

    def batch(self, users: object, **headers: str) -> httpx2.Response:
        return self.client.post("/v1/users/batch", json=users, headers=self.writer | headers)

    def raw(self, body: bytes, path: str = "/v1/users", **headers: str) -> httpx2.Response:
        return self.client.post(path, content=body, headers=self.writer | headers)

    def get(self, user_id: str) -> httpx2.Response:
        return self.client.get(f"/v1/users/{percent_encoded(user_id)}", headers=self.reader)

    def stored(self, *users: dict[str, Any], user_id: str = "u") -> Any:
        """The profile after updates, each sent alone and accepted."""
        for user in users:
            answer = self.update({"user_id": user_id} | user)
            assert answer.status_code == 201, answer.text
        answer = self.get(user_id)
        assert answer.status_code == 200, answer.text
        return answer.json()


def percent_encoded(text: str) -> str:
    """Every byte encoded: clients may otherwise take `.` or `..` for parts of a path."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.fixture(scope="session")
def mongod() -> Iterator[EmbeddedMongod]:
    """A real mongod, on which a test may also switch failures on."""
    with (
        # Not pytest's, which would keep 300 MB of each of the last runs.
        tempfile.TemporaryDirectory() as data_dir,
        EmbeddedMongod(
            Path(data_dir),
            # What is over is looked for each second, not each minute.
            ["--setParameter", "enableTestCommands=1", "--setParameter", "ttlMonitorSleepSecs=1"],
        ) as running,
    ):
        initiate(running.uri)
        yield running


@pytest.fixture(scope="session")
def database(mongod: EmbeddedMongod) -> Iterator[Database[dict[str, Any]]]:
    """The database of the stack, for looking behind the scenes."""
    with MongoClient[dict[str, Any]](mongod.uri, tz_aware=True) as client:
        yield client[DATABASE]


@pytest.fixture(scope="session")
def stack(mongod: EmbeddedMongod) -> Iterator[Stack]:
    """The server and the gateway, each a process of its own."""
    server = Program(
        "server",
        USERFOLD_MONGODB_URI=mongod.uri,
        USERFOLD_DATABASE=DATABASE,
        USERFOLD_GRPC_ADDRESS="127.0.0.1:0",
    )
    try:
        gateway = Program("gateway", USERFOLD_GRPC_ADDRESS=server.ready["grpc"], USERFOLD_HTTP_ADDRESS="127.0.0.1:0")
        try:
            yield Stack(http=gateway.ready["http"], grpc=server.ready["grpc"])
        finally:
            assert gateway.stop() == 0
    finally:
        assert server.stop() == 0


@pytest.fixture
def application(database: Database[dict[str, Any]]) -> Application:
    """A new application."""
    return register(database, generate_collector_key())


def register(database: Database[dict[str, Any]], collector_key: str) -> Application:
    """A new application with a collector key of the test's own choice."""
    application = Application(generate_application_id(), collector_key, generate_management_token())
    database.applications.insert_one({"_id": application.application_id, "name": "test"})
    grant(database, application, CredentialKind.COLLECTOR, collector_key, COLLECTOR_SCOPES)
    grant(database, application, CredentialKind.MANAGEMENT, application.management_token, {Scope.ADMIN})
    return application


def grant(
    database: Database[dict[str, Any]],
    application: Application,
    kind: CredentialKind,
    secret: str,
    scopes: Iterable[Scope],
    expire_time: datetime | None = None,
) -> None:
    """Give an application another credential."""
    credential = StoredCredential(
        digest=digest(secret),
        credential_id=generate_credential_id(),
        application_id=application.application_id,
        kind=kind,
        name="",
        scopes=frozenset(scopes),
        created_time=datetime.now(UTC),
        expire_time=expire_time,
    )
    database.credentials.insert_one(document_from_credential(credential))


@pytest.fixture
def api(stack: Stack, application: Application) -> Iterator[Api]:
    """The HTTP API of the stack, for a new application."""
    api = Api(stack.http, application)
    with api.client:
        yield api


# The same examples on every run, on any machine however busy: how long it takes to draw one says nothing.
hypothesis.settings.register_profile(
    "userfold",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("userfold")
