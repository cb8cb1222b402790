"""`userfold backup` and `userfold restore`: backups under concurrent writes, refusals, and restored databases."""

import gzip
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from bson import decode_all
from pymongo import MongoClient
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from server.mongo.migrations import MIGRATIONS, version_after
from tests.cli.conftest import Run, run_userfold
from tests.support.applications import Application, register
from tests.support.programs import Program, run_program
from tests.support.stack import Api

pytestmark = pytest.mark.long

_PROFILES = 1000


class Command:
    """Runs the backup command on a database."""

    def __init__(self, mongod: EmbeddedMongod) -> None:
        self._uri = mongod.uri

    def __call__(self, name: str, *arguments: object, database: str) -> Run:
        words = ("restore",) if name == "restore" else ("backup", name)
        return run_userfold(
            *words, *arguments, variables={"USERFOLD_MONGODB_URI": self._uri, "USERFOLD_DATABASE": database}
        )


@pytest.fixture
def command(mongod: EmbeddedMongod) -> Command:
    return Command(mongod)


@pytest.fixture
def source(database: Database[dict[str, Any]]) -> Iterator[Database[dict[str, Any]]]:
    """A database of this test."""
    yield database.client["userfold_backup"]
    database.client.drop_database("userfold_backup")


@pytest.fixture
def target(database: Database[dict[str, Any]]) -> Iterator[Database[dict[str, Any]]]:
    """Another database of this test."""
    yield database.client["userfold_restore"]
    database.client.drop_database("userfold_restore")


@pytest.fixture
def saved(command: Command, source: Database[dict[str, Any]], tmp_path: Path) -> Path:
    """A backup of the database `source`, which holds one profile."""
    source.profiles.insert_one({"_id": "a/u/1", "application_id": "a", "user_id": "u", "company_id": "backed up"})
    source.schema.insert_one({"_id": "schema", "version": 1, "clean": 1, "least": 1, "newest": 1})
    path = tmp_path / "backup"
    run = command("create", path, database=source.name)
    assert (run.returncode, run.stderr) == (0, "")
    return path


def _everything(database: Database[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """All documents but those that a running server writes, and without the time that it writes to credentials."""
    names = set(database.list_collection_names()) - {"servers", "leases"}
    found = {name: list(database[name].find({}, {"last_used_time": 0}).sort("_id")) for name in names}
    return {name: documents for name, documents in found.items() if documents}


def test_a_backup_is_a_snapshot_under_concurrent_writes(
    command: Command, source: Database[dict[str, Any]], target: Database[dict[str, Any]], tmp_path: Path
) -> None:
    filling = [{"_id": f"a/u/{number}", "filling": "x" * 1000} for number in range(_PROFILES)]
    # Collections are read in the order of their names.
    source.applications.insert_one({"_id": "first", "count": 0})
    source.profiles.insert_many(filling)
    source.profiles.insert_one({"_id": "last", "count": 0})
    stopped = threading.Event()

    def write() -> None:
        count = 0
        while not stopped.is_set():
            count += 1
            source.applications.update_one({"_id": "first"}, {"$set": {"count": count}})
            source.profiles.update_one({"_id": "last"}, {"$set": {"count": count}})

    writer = threading.Thread(target=write)
    path = tmp_path / "backup"
    # The profiles take several reads, one so slow that it would see later counts without a snapshot.
    slow = {"failCommands": ["getMore"], "blockConnection": True, "blockTimeMS": 300, "appName": "userfold"}
    source.client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": slow})
    writer.start()
    try:
        run = command("create", path, database=source.name)
    finally:
        stopped.set()
        writer.join()
    assert run.stdout == f"backed up  {_PROFILES + 1:,} profiles, 0 companies, 1 applications, 0 credentials\n"
    assert command("restore", path, database=target.name).returncode == 0
    first, last = target.applications.find_one() or {}, target.profiles.find_one({"_id": "last"}) or {}
    written = source.profiles.find_one({"_id": "last"}) or {}
    assert last["count"] <= first["count"] <= last["count"] + 1
    assert written["count"] > last["count"]
    assert target.profiles.count_documents({"filling": {"$exists": True}}) == _PROFILES


def test_a_backup_has_the_documented_format_and_only_its_owner_can_read_it(
    saved: Path, source: Database[dict[str, Any]]
) -> None:
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    header, *documents, end = decode_all(gzip.decompress(saved.read_bytes()))
    assert (header["userfold_backup"], header["least"]) == (1, 1)
    assert documents == [
        {"collection": "profiles", "documents": 1},
        source.profiles.find_one(),
        {"collection": "schema", "documents": 1},
        source.schema.find_one(),
    ]
    assert end["documents"] == 2


def test_an_existing_file_is_not_overwritten(command: Command, saved: Path, source: Database[dict[str, Any]]) -> None:
    before = saved.read_bytes()
    run = command("create", saved, database=source.name)
    assert (run.returncode, run.stderr) == (1, f"userfold: {saved} already exists\n")
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["backup"]


def test_a_backup_that_fails_leaves_no_file(command: Command, source: Database[dict[str, Any]], tmp_path: Path) -> None:
    source.profiles.insert_one({"_id": "x"})
    failing = {"failCommands": ["find"], "errorCode": 239, "appName": "userfold"}
    source.client.admin.command({"configureFailPoint": "failCommand", "mode": {"skip": 1}, "data": failing})
    try:
        run = command("create", tmp_path / "backup", database=source.name)
    finally:
        source.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert run.returncode == 1
    assert "minSnapshotHistoryWindowInSeconds" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_backed_up_only_if_that_is_asked_for(
    command: Command, source: Database[dict[str, Any]], tmp_path: Path
) -> None:
    # What a server creates at its start is nothing to keep.
    source.schema.insert_one({"_id": "schema", "version": 1, "clean": 1, "least": 1, "newest": 1})
    path = tmp_path / "backup"
    run = command("create", path, database=source.name)
    assert (run.returncode, run.stdout) == (1, "")
    assert f"{source.name!r} is empty" in run.stderr
    assert "USERFOLD_DATABASE" in run.stderr
    assert list(tmp_path.iterdir()) == []
    run = command("create", "--allow-empty", path, database=source.name)
    assert (run.returncode, run.stdout) == (
        0,
        "backed up  0 profiles, 0 companies, 0 applications, 0 credentials\n",
    )
    path.unlink()
    source.credentials.insert_one({"_id": b"x", "credential_id": "x"})
    assert command("create", path, database=source.name).returncode == 0


def test_a_damaged_backup_is_refused_before_anything_is_written(
    command: Command, saved: Path, source: Database[dict[str, Any]]
) -> None:
    before = _everything(source)
    whole = saved.read_bytes()
    inflated = gzip.decompress(whole)
    changed = inflated.replace(b"backed up", b"bad thing")
    assert changed != inflated
    without_end = inflated[: -len(inflated) // 3]
    damaged = [whole[:length] for length in (0, 5, len(whole) // 2, len(whole) - 9, len(whole) - 1)]
    damaged += [
        gzip.compress(text) for text in (changed, without_end, inflated + b"\0", b"", inflated[:-1], b"\xff" * 9)
    ]
    damaged += [whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], b"no gzip", inflated]
    for text in damaged:
        saved.write_bytes(text)
        for arguments in (("verify", saved), ("restore", saved, "--replace")):
            run = command(*arguments, database=source.name)
            assert run.returncode == 1
            assert run.stderr.startswith(("userfold: this is no backup", "userfold: the backup "))
    assert _everything(source) == before
    saved.write_bytes(whole)
    assert command("verify", saved, database="none").stdout.startswith("whole  1 profiles")


def test_a_backup_of_a_newer_schema_is_refused(command: Command, source: Database[dict[str, Any]], saved: Path) -> None:
    saved.unlink()
    newer = version_after(MIGRATIONS) + 1
    source.schema.update_one({}, {"$set": {"least": newer}})
    assert command("create", saved, database=source.name).returncode == 0
    run = command("restore", saved, database="userfold_restore")
    assert run.returncode == 1
    assert f"it takes one that knows version {newer} of the schema" in run.stderr


def test_a_database_in_use_or_with_data_is_not_restored_into(
    command: Command, saved: Path, target: Database[dict[str, Any]]
) -> None:
    target.credentials.insert_one({"_id": b"x", "credential_id": "x"})
    before = _everything(target)
    run = command("restore", saved, database=target.name)
    assert (run.returncode, "--replace" in run.stderr) == (1, True)
    target.servers.insert_one({"_id": "s", "version": 1})
    target.servers.update_one({}, [{"$set": {"seen": "$$NOW"}}])
    run = command("restore", saved, "--replace", database=target.name)
    assert (run.returncode, "stop them all" in run.stderr) == (1, True)
    assert _everything(target) == before
    target.servers.drop()
    assert command("restore", saved, "--replace", database=target.name).returncode == 0
    assert set(_everything(target)) == {"profiles", "schema"}


def test_an_interrupted_restore_is_completed_by_another(
    command: Command, saved: Path, source: Database[dict[str, Any]], target: Database[dict[str, Any]]
) -> None:
    failing = {"failCommands": ["insert"], "errorCode": 13, "appName": "userfold"}
    target.client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": failing})
    assert command("restore", saved, database=target.name).returncode == 1
    target.profiles.insert_one({"_id": "half of it"})
    assert (target.schema.find_one() or {})["restoring"]
    # No backup accepts the incomplete database either, just as servers refuse it.
    run = command("create", saved.with_suffix(".half"), database=target.name)
    assert (run.returncode, "a part of a backup" in run.stderr) == (1, True)
    assert command("restore", saved, database=target.name).returncode == 0
    assert _everything(target) == _everything(source)
    assert "suppressed_until_1" in target.profiles.index_information()


def test_a_user_erased_after_the_backup_is_not_restored(
    command: Command, api: Api, application: Application, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """In a copy of the database, which the servers of other tests use."""
    name = "userfold_restore"
    mine = {"_id": {"$regex": f"^{application.application_id}/"}}
    api.update({"anonymous_id": "v"})
    api.update({"anonymous_id": "w"})
    api.stored({"anonymous_id": "v"}, user_id="erased")
    api.stored({"anonymous_id": "w"}, user_id="stays")
    path = tmp_path / "backup"
    assert command("create", path, database=database.name).returncode == 0
    assert api.client.delete("/v1/users/erased?suppress_days=9", headers=api.reader).status_code == 200
    left = list(database.profiles.find(mine).sort("_id"))
    # The tombstones of a user and a visitor, a user, and the pointer of the other visitor.
    assert [set(each) == {"_id", "suppressed_time", "suppressed_until"} for each in left].count(True) == 2
    assert len(left) == 4
    try:
        database.client[name].profiles.insert_many(database.profiles.find(mine))
        run = command("restore", path, "--replace", database=name)
        assert run.stdout.splitlines()[1] == "left out  1 users, who are erased in the database"
        assert list(database.client[name].profiles.find(mine).sort("_id")) == left
    finally:
        database.client.drop_database(name)


def test_the_embedded_database_is_backed_up_while_it_runs_and_restored_elsewhere() -> None:
    def run(*arguments: object, data_dir: Path) -> Run:
        return run_program("cli.main", *arguments, variables={"USERFOLD_DATA_DIR": str(data_dir)})

    def call(server: Program, method: str, request: Any, *credential: tuple[str, str]) -> Any:
        with grpc.insecure_channel(server.ready["grpc"]) as channel:
            return getattr(UserServiceStub(channel), method)(request, metadata=credential)

    with tempfile.TemporaryDirectory() as directory:
        here, there, path = Path(directory, "here"), Path(directory, "there"), Path(directory, "backup")
        server = Program("server", {"USERFOLD_DATA_DIR": str(here), "USERFOLD_GRPC_ADDRESS": "127.0.0.1:0"})
        uri = (here / "mongodb.uri").read_text()
        with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
            application = register(client.userfold, generate_collector_key())
            reader = ("authorization", f"Bearer {application.management_token}")
            writer = ("x-moesif-application-id", application.collector_key)
            for user_id in ("a", "b", "c"):
                update = UserUpdate(user_id=user_id, session_token=f"token of {user_id}")
                call(server, "UpdateUser", pb.UpdateUserRequest(user=update), writer)
            call(server, "DeleteUser", pb.DeleteUserRequest(user_id="c", suppress_days=9), reader)
            page = call(server, "ListUsers", pb.ListUsersRequest(page_size=1), reader)
            made = run("backup", "create", path, data_dir=here)
            assert (made.returncode, made.stderr) == (0, "")
            stored = _everything(client.userfold)
        assert server.stop() == 0
        restored = run("restore", path, data_dir=there)
        assert (restored.returncode, restored.stdout) == (0, made.stdout.replace("backed up", "restored"))

        server = Program("server", {"USERFOLD_DATA_DIR": str(there), "USERFOLD_GRPC_ADDRESS": "127.0.0.1:0"})
        with MongoClient[dict[str, Any]]((there / "mongodb.uri").read_text(), tz_aware=True) as client:
            assert _everything(client.userfold) == stored
            assert {"aliases_1", "suppressed_until_1"} <= client.userfold.profiles.index_information().keys()
        request = pb.ListUsersRequest(page_size=1, page_token=page.next_page_token)
        assert [user.user_id for user in call(server, "ListUsers", request, reader).users] == ["b"]
        found = call(server, "LookupUsers", pb.LookupUsersRequest(session_token="token of a"), reader)
        assert [user.user_id for user in found.users] == ["a"]
        late = call(server, "UpdateUser", pb.UpdateUserRequest(user=UserUpdate(user_id="c")), writer)
        assert [warning.reason for warning in late.warnings] == ["SUPPRESSED"]
        assert server.stop() == 0
        assert not (there / "mongodb.uri").exists()
