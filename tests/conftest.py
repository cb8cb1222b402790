"""Fixtures of all tests: one mongod, a running server and gateway, and an application for each test."""

import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from coverage import Coverage
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from server.mongo.replica_set import initiate
from tests.support.applications import Application, register
from tests.support.stack import DATABASE, Api, Stack, running_stack

_STARTS_A_PROGRAM: Final = frozenset({"mongod", "stack", "database", "api", "running", "site"})
"""Fixtures that start a program."""

_IN_PROCESS: Final = frozenset({"contract", "docs", "gateway", "runtime", "server"})
"""Folders whose tests start no program, unless they use one of these fixtures."""

_ONLY_CLIENTS: Final = frozenset(
    {"api", "bad_input", "clients", "console", "merge", "overload", "reads", "recordings", "stalls"}
)
"""Folders whose tests only call running programs. Coverage measures the programs, and not the tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `make test-fast` leaves out and those without coverage, and run long modules first."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder not in _IN_PROCESS or _STARTS_A_PROGRAM & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
        if folder in _ONLY_CLIENTS:
            item.add_marker(pytest.mark.unmeasured)
    # A long module that starts last would keep one process busy while the others have ended.
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Pause coverage during a test that is marked `unmeasured`."""
    coverage = Coverage.current() if item.get_closest_marker("unmeasured") else None
    if not coverage:
        return (yield)
    coverage.stop()
    try:
        return (yield)
    finally:
        coverage.start()


@pytest.fixture(scope="session")
def mongod() -> Iterator[EmbeddedMongod]:
    """A real mongod, in which a test can also make commands fail."""
    with (
        # Not pytest's directory, which would keep 300 MB of each of the last runs.
        tempfile.TemporaryDirectory() as data_dir,
        EmbeddedMongod(
            Path(data_dir),
            # Expired documents are deleted each second, not each minute.
            ["--setParameter", "enableTestCommands=1", "--setParameter", "ttlMonitorSleepSecs=1"],
        ) as running,
    ):
        initiate(running.uri)
        yield running


@pytest.fixture(scope="session")
def database(mongod: EmbeddedMongod) -> Iterator[Database[dict[str, Any]]]:
    """The database of the `stack` fixture, which a test sees no sooner than a server: both read what a majority has."""
    with MongoClient[dict[str, Any]](mongod.uri, tz_aware=True) as client:
        yield client.get_database(DATABASE, read_concern=ReadConcern("majority"))


@pytest.fixture(scope="session")
def stack(mongod: EmbeddedMongod) -> Iterator[Stack]:
    """A running server and gateway, which all tests share: without coverage, which would double their CPU time."""
    with running_stack(mongod.uri) as stack:
        yield stack


@pytest.fixture
def application(database: Database[dict[str, Any]]) -> Application:
    """A new application."""
    return register(database, generate_collector_key())


@pytest.fixture
def api(stack: Stack, application: Application) -> Iterator[Api]:
    """The HTTP API of the `stack` fixture, with the credentials of a new application."""
    api = Api(stack.http, application)
    with api.client:
        yield api


# The same examples in every run and on every machine, however busy: the time that it takes to draw one proves nothing.
hypothesis.settings.register_profile(
    "userfold",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("userfold")
