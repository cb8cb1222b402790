"""The short part of `make stalls`: some of its rows, bounded by function calls instead of time.

The programs count the function calls of each callback of their event loops. While a callback runs, every other
application waits, so no input may cause a long one.
"""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo.database import Database

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from tests.stalls.attacker import send
from tests.stalls.calls import Channels, Who
from tests.stalls.dense_profiles import LEGACY, store_legacy
from tests.stalls.rows.row import LATE
from tests.stalls.rows.table import ROWS
from tests.support.applications import Application, register
from tests.support.programs import Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

_DATABASE: Final = "userfold_counted"

_MAX_CALLS: Final = 150_000
"""The limit for one callback: two slices of work, and the code around them."""

_MAX_CALLS_UNAUTHENTICATED: Final = 20_000
"""The limit for all callbacks of a call with an unknown credential, whatever its body: the body that is read and
discarded arrives in pieces of 64 KB."""

_EXPENSIVE: Final = (
    *("dots", "dots-rpc", "dots-stream", "email-many", "arrays", "zeros-struct", "objects", "small-users"),
    *("agents", "valid", "valid-rpc", "valid-stream", "exact", "pipeline-rpc", "invalid", "invalid-stream"),
    *("nulls-get", "nulls-list", "nulls-company", "nulls-token-rpc", "nulls-exports-rpc", "nulls-exact"),
    "operations",
)
_UNAUTHENTICATED: Final = ("no-credential", "no-credential-rpc", "unknown-credential", "unknown-rpc")


@dataclass(frozen=True)
class Counted:
    """A program that counts its function calls."""

    program: Program
    file: Path

    def calls(self) -> dict[str, int]:
        """The largest count of one callback, and the count of all, since the last time."""
        self.file.unlink(missing_ok=True)
        self.program.process.send_signal(signal.SIGUSR1)
        wait_until(self.file.exists)
        counts: dict[str, int] = json.loads(self.file.read_text())
        return counts


@dataclass(frozen=True)
class Programs:
    """Both programs, and the applications of the rows."""

    server: Counted
    gateway: Counted
    applications: dict[str, Application]

    def send(self, name: str) -> tuple[Counter[str], dict[str, dict[str, int]]]:
        """Send a row's calls. Returns the responses, and the counts of each program."""
        row = ROWS[name]
        application = self.applications[row.of]
        server, gateway = self.server.program.ready, self.gateway.program.ready
        who = Who(gateway["http"], server["grpc"], application.collector_key, application.management_token)
        attack = row.build(who)

        async def send_all() -> Counter[str]:
            channels = Channels(who)
            try:
                return await send(attack, channels)
            finally:
                await channels.close()

        for program in (self.server, self.gateway):
            program.calls()
        answers = asyncio.run(send_all())
        return answers, {"server": self.server.calls(), "gateway": self.gateway.calls()}


@pytest.fixture(scope="module")
def programs(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Programs]:
    own = database.client[_DATABASE]
    folder = tmp_path_factory.mktemp("counted")

    def started(name: str, **environment: str) -> Counted:
        file = folder / name
        environment |= {"COUNTED_FILE": str(file), "COUNTED_PROGRAM": name}
        return Counted(Program("tests.stalls.call_counter", environment), file)

    server = started(
        "server",
        USERFOLD_MONGODB_URI=mongod.uri,
        USERFOLD_DATABASE=_DATABASE,
        USERFOLD_GRPC_ADDRESS="127.0.0.1:0",
    )
    gateway = started(
        "gateway", USERFOLD_GRPC_ADDRESS=server.program.ready["grpc"], USERFOLD_HTTP_ADDRESS="127.0.0.1:0"
    )
    try:
        applications = {name: register(own, generate_collector_key()) for name in ("A", "nulls")}
        store_legacy(own, applications["nulls"], LEGACY["nulls"](), users=17)
        yield Programs(server, gateway, applications)
    finally:
        assert gateway.program.stop() == 0
        assert server.program.stop() == 0
        database.client.drop_database(_DATABASE)


@pytest.mark.parametrize("name", _EXPENSIVE)
def test_no_callback_is_long(programs: Programs, name: str) -> None:
    answers, calls = programs.send(name)
    # Counting slows the programs down, so a write may exceed its deadline.
    assert {answer.split()[0] for answer in answers} <= {*ROWS[name].may, *LATE}
    assert not [answer for answer in answers if "INTERNAL" in answer]
    assert {program: counted["largest"] for program, counted in calls.items() if counted["largest"] > _MAX_CALLS} == {}


@pytest.mark.parametrize("name", _UNAUTHENTICATED)
def test_a_call_with_an_unknown_credential_is_cheap(programs: Programs, name: str) -> None:
    answers, calls = programs.send(name)
    assert {answer.split()[0] for answer in answers} <= {*ROWS[name].may}
    limit = _MAX_CALLS_UNAUTHENTICATED * sum(answers.values())
    assert {program: counted["total"] for program, counted in calls.items() if counted["total"] > limit} == {}
