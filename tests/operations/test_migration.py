"""The latest migration under writes of an old and a new server. The new server is killed in the middle."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from server.mongo.client import connect, open_database
from server.mongo.migrations import MIGRATIONS, version_after
from server.mongo.schema import prepare
from server.settings import InvalidSetting
from tests.support.applications import Application, register
from tests.support.programs import Program
from tests.support.stack import start_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

_PROFILES = 1000

_NEW = version_after(MIGRATIONS)
_OLD = _NEW - 1


class Writer(threading.Thread):
    """Sends updates to one server until `stop`, each with an anonymous id of its own.

    `acknowledged` maps each user id to its last company id, and `anonymous_ids` to all its anonymous ids.
    """

    def __init__(self, name: str, server: Program, application: Application) -> None:
        super().__init__(name=name)
        self.acknowledged: dict[str, str] = {}
        self.anonymous_ids: dict[str, list[str]] = {}
        self._server = server
        self._metadata = (("x-moesif-application-id", application.collector_key),)
        self._manager = (("authorization", f"Bearer {application.management_token}"),)
        self._stopped = threading.Event()

    def send(self, users: dict[str, str]) -> None:
        sent = [
            UserUpdate(user_id=user_id, company_id=company, anonymous_id=f"{company}/{user_id}")
            for user_id, company in users.items()
        ]
        assert self.codes(sent) == [0] * len(sent)
        self.acknowledged |= users
        for each in sent:
            self.anonymous_ids.setdefault(each.user_id, []).append(each.anonymous_id)

    def codes(self, sent: list[UserUpdate]) -> list[int]:
        """Send updates. Returns their gRPC codes."""
        with grpc.insecure_channel(self._server.ready["grpc"]) as channel:
            stub: Any = UserServiceStub(channel)
            response = stub.BatchUpdateUsers(pb.BatchUpdateUsersRequest(users=sent), metadata=self._metadata)
            return [result.error.code for result in response.results]

    def found(self, anonymous_id: str) -> list[str]:
        """The ids of the users who have an anonymous id."""
        with grpc.insecure_channel(self._server.ready["grpc"]) as channel:
            request = pb.LookupUsersRequest(anonymous_id=anonymous_id)
            response = UserServiceStub(channel).LookupUsers(request, metadata=self._manager)
            return [each.user_id for each in response.users]

    def run(self) -> None:
        count = 0
        while not self._stopped.wait(0.02):
            count += 1
            # Existing users, spread over the whole collection, and new ones.
            ids = [f"u{(count * 97 + 331 * each) % _PROFILES}-{self.name}" for each in range(10)]
            self.send({user_id: f"{self.name.upper()}-{count}" for user_id in [*ids, f"new-{self.name}-{count}"]})

    def stop(self) -> None:
        self._stopped.set()
        if self.is_alive():
            self.join()


@pytest.fixture
def fresh(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> Iterator[Database[dict[str, Any]]]:
    name = "userfold_migration"
    yield database.client[name]
    database.client.drop_database(name)


def test_old_and_new_servers_serve_while_one_migrates(
    mongod: EmbeddedMongod, fresh: Database[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    environment = {
        "USERFOLD_MONGODB_URI": mongod.uri,
        "USERFOLD_DATABASE": fresh.name,
        "USERFOLD_GRPC_ADDRESS": "127.0.0.1:0",
    }

    def schema() -> dict[str, Any]:
        return fresh.schema.find_one() or {}

    def left() -> int:
        return fresh.profiles.count_documents(dict(MIGRATIONS[-1].pending))

    with ExitStack() as stack:

        def start(module: str) -> Program:
            program = Program(module, environment)
            stack.callback(program.stop)
            return program

        def write(name: str, server: Program) -> Writer:
            writer = Writer(name, server, application)
            writers.append(writer)
            stack.callback(writer.stop)
            return writer

        writers: list[Writer] = []
        old = start("tests.operations.older_server")
        application = register(fresh, generate_collector_key())
        seed = write("seed", old)
        for name in ("old", "new"):
            for first in range(0, _PROFILES, 500):
                seed.send({f"u{number}-{name}": f"SEED-{number}" for number in range(first, first + 500)})
        wait_until(lambda: schema()["version"] == _OLD)
        assert left() == 2 * _PROFILES
        visit = UserUpdate(anonymous_id="browser", metadata_json=b'{"visits":{"first":1}}')
        sign_in = UserUpdate(user_id="visitor", anonymous_id="browser")
        assert seed.codes([visit, sign_in]) == [0, 0]

        by_old = write("old", old)
        by_old.start()
        killed = start("tests.operations.newer_server")
        wait_until(lambda: fresh.profiles.count_documents({"anonymous_ids": {"$exists": True}}) > 100)
        killed.process.kill()
        killed.process.wait()
        position = schema()["position"]
        assert left() > 0

        new = start("tests.operations.newer_server")
        by_new = write("new", new)
        by_new.start()
        # The old server has left the visitor apart, the new one makes it the user, whom the old one does not know then.
        assert by_new.codes([sign_in]) == [0]
        visit.metadata_json = b'{"visits":{"later":2}}'
        assert by_old.codes([visit]) == [grpc.StatusCode.UNAVAILABLE.value[0]]
        assert by_new.codes([visit]) == [0]
        wait_until(lambda: schema().get("position", position) != position)
        assert schema()["position"] > position
        # The migration has passed once, and the old server still writes documents that need it.
        wait_until(lambda: "position" not in schema())
        count = len(by_old.acknowledged)
        wait_until(lambda: len(by_old.acknowledged) > count + 20)
        assert schema()["version"] == _OLD
        assert left() > 0

        by_old.stop()
        assert old.stop() == 0
        wait_until(lambda: schema()["version"] == _NEW)
        assert left() == 0
        # After a return to the old version, the migration runs again.
        back = start("tests.operations.older_server")
        assert schema()["version"] == _OLD
        write("back", back).send({"u1-old": "BACK", "u0-back": "BACK"})
        assert back.stop() == 0
        wait_until(lambda: schema()["version"] == _NEW)
        by_new.stop()
        assert [by_new.found(each) for each in ("browser", "BACK/u1-old", "SEED-1/u1-new")] == [
            ["visitor"],
            ["u1-old"],
            ["u1-new"],
        ]

    expected: dict[str, str] = {}
    last: dict[str, str] = {}
    for writer in writers:
        expected |= writer.acknowledged
        last |= {user_id: ids[-1] for user_id, ids in writer.anonymous_ids.items()}
    stored = {each["user_id"]: each for each in fresh.profiles.find({"user_id": {"$exists": True}})}
    visitor = stored.pop("visitor")
    assert (visitor["anonymous_ids"], visitor["metadata"]) == (["browser"], {"visits": {"first": 1, "later": 2}})
    assert {user_id: each["company_id"] for user_id, each in stored.items()} == expected
    # An old server replaces the anonymous id of a user. A new server keeps the earlier id, also of an old server.
    assert {user_id: each["anonymous_ids"][-1] for user_id, each in stored.items()} == last
    for user_id, ids in by_new.anonymous_ids.items():
        assert stored[user_id]["anonymous_ids"] == [*seed.anonymous_ids.get(user_id, ()), *ids]
    logged = capfd.readouterr().err
    assert '"migrated"' in logged
    assert "defect" not in logged


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"least": 2}, "it takes one that knows version 2 of the schema, and this one knows version 1"),
        ({"restoring": True}, "run `userfold restore` again"),
    ],
)
async def test_a_server_refuses_a_database_that_it_cannot_serve(
    mongod: EmbeddedMongod, fresh: Database[dict[str, Any]], schema: dict[str, Any], message: str
) -> None:
    fresh.schema.insert_one({"_id": "schema"} | schema)
    client = connect(mongod.uri)
    with pytest.raises(InvalidSetting, match=message):
        await prepare(open_database(client, fresh.name), 1)
    client.close()
    # It has created nothing.
    assert fresh.list_collection_names() == ["schema"]


def test_an_older_server_does_not_change_what_a_newer_one_has_prepared(
    mongod: EmbeddedMongod, fresh: Database[dict[str, Any]]
) -> None:
    newest = _NEW + 1
    fresh.schema.insert_one({"_id": "schema", "newest": newest, "least": 1, "version": newest, "clean": newest})
    newer = {"$jsonSchema": {"description": "of the newer version"}}
    fresh.create_collection("profiles", validator=newer)
    server = start_server(mongod.uri, fresh.name)
    assert fresh.get_collection("profiles").options()["validator"] == newer
    assert (fresh.schema.find_one() or {})["version"] == _NEW
    assert fresh.servers.count_documents({"version": _NEW}) == 1
    assert server.stop() == 0
    assert fresh.servers.count_documents({}) == 0
