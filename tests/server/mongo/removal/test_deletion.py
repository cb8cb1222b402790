"""Applications deleted from a real MongoDB: all of one, nothing of another, also after an interruption."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from pymongo import MongoClient

from runtime.refusal_counts import Occurrences, RefusalKind
from server.accounts.credentials import generate_management_token, issue
from server.errors import ApplicationNotFound, DatabaseUnavailable
from server.local.mongod import EmbeddedMongod
from server.model import CompanyUpdate, CredentialKind, Erasure, ProfileUpdate, UserUpdate
from server.mongo.accounts.applications import MongoApplicationStore
from server.mongo.accounts.credentials import MongoCredentialStore
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.declared_indexes import DeclaredIndexes
from server.mongo.driver import WRITE_SECONDS
from server.mongo.refusals import MongoRefusals
from server.mongo.removal import deletion as module
from server.mongo.removal.deletion import ApplicationDeletion, Step
from server.mongo.removal.erasure import MongoProfileErasure
from server.mongo.schema import Presence
from server.mongo.writes.by_kind import MongoProfileStores
from server.query.declared_paths import declared_path
from server.rpc.credential_cache import KNOWN_SECONDS
from server.users.ids import alias_digest, profile_id
from server.users.update import plan_update
from tests.support.database_dump import OPLOG, dump

_NAME = "userfold_deletion_test"
_NOW = 1_767_323_045_678_000_000
_LATER = datetime(2100, 1, 1, tzinfo=UTC)
_KIND = RefusalKind("INVALID_REQUEST", False, "/v1/users", (), "curl/7.88.1")
_COUNTS = {"users": 3, "visitors": 1, "companies": 2, "suppressions": 1, "refusals": 1}
_COUNTS |= {"credentials": 2, "indexes": 1}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, _NAME)
    await prepare(database)
    yield database
    client.close()


@pytest.fixture
def deletion(opened: Database) -> ApplicationDeletion:
    return ApplicationDeletion(opened)


async def store(opened: Database, application_id: str) -> None:
    """Store something of every kind for an application."""
    applications = MongoApplicationStore(opened)
    now = datetime.now(UTC)
    kinds = (CredentialKind.COLLECTOR, CredentialKind.MANAGEMENT)
    issued = [issue(application_id, kind, generate_management_token(), now) for kind in kinds]
    await applications.ensure(application_id, f"name of {application_id}", issued, datetime.now(UTC))
    updates: list[ProfileUpdate] = [
        UserUpdate(f"{application_id}-{number}", session_token=application_id) for number in range(3)
    ]
    updates.append(UserUpdate(anonymous_id=application_id, metadata={application_id: application_id}))
    updates += [CompanyUpdate(f"{application_id}-{number}", company_domain=application_id) for number in range(2)]
    await MongoProfileStores(opened).apply([plan_update(application_id, update, _NOW).write for update in updates])
    await MongoProfileErasure(opened).erase([Erasure(application_id, profile_id(application_id, "erased"), _LATER)])
    await MongoRefusals(opened).add({application_id: {_KIND: Occurrences(1, now.timestamp(), now.timestamp())}})
    await applications.declare(application_id, declared_path("metadata.plan"), now)
    await DeclaredIndexes(opened).refresh()


def contents(mongod: EmbeddedMongod) -> Mapping[str, bytes]:
    """Everything in MongoDB but the oplog, and the indexes of the profiles."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        indexes = repr(client[_NAME].profiles.index_information()).encode()
        return {**dump(client, without={OPLOG}), "indexes": indexes}


def nothing(_step: Step, _number: int) -> None:
    """Report no progress."""


async def test_nothing_of_a_deleted_application_remains_and_everything_of_another(
    mongod: EmbeddedMongod, opened: Database, deletion: ApplicationDeletion
) -> None:
    deleted, kept = "d0d0d0d0d0d0d0d0", "d0d0d0d0d0d0d0d1"
    await store(opened, kept)
    before = {name: data for name, data in contents(mongod).items() if name.startswith(f"{_NAME}.")}
    await store(opened, deleted)
    traces = [deleted.encode(), alias_digest(deleted, deleted), profile_id(deleted, "erased").encode()]
    everything = b"".join(contents(mongod).values())
    assert all(trace in everything for trace in traces)
    assert await deletion.count(deleted) == _COUNTS
    await deletion.delete(deleted, nothing)
    everything = b"".join(contents(mongod).values())
    assert [trace for trace in traces if trace in everything] == []
    assert {name: data for name, data in contents(mongod).items() if name in before} == before
    assert await deletion.count(kept) == _COUNTS
    for again in (deletion.count(deleted), deletion.delete(deleted, nothing)):
        with pytest.raises(ApplicationNotFound):
            await again


async def test_an_interrupted_deletion_is_continued(
    opened: Database, deletion: ApplicationDeletion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 1)
    await store(opened, "interrupted")

    def interrupt(_step: Step, number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await deletion.delete("interrupted", interrupt)
    left = await deletion.count("interrupted")
    assert (left["credentials"], left["indexes"]) == (0, 0)
    assert left["users"] + left["suppressions"] == 2
    credential = issue("interrupted", CredentialKind.COLLECTOR, generate_management_token(), datetime.now(UTC))
    with pytest.raises(ApplicationNotFound):
        await MongoCredentialStore(opened).add(credential)
    await deletion.delete("interrupted", nothing)
    with pytest.raises(ApplicationNotFound):
        await deletion.count("interrupted")


async def test_data_is_deleted_when_running_servers_refuse_the_credentials(
    opened: Database, deletion: ApplicationDeletion, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A known credential, and a call that began with it.
    assert module.SETTLE_SECONDS >= KNOWN_SECONDS + 2 * WRITE_SECONDS
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.3)
    await store(opened, "served")
    steps: list[Step] = []
    server = Presence(opened, 1)
    await server.begin()
    try:
        await deletion.delete("served", lambda step, _: steps.append(step))
    finally:
        await server.end()
    assert steps == [Step.WAITING, Step.DELETING, Step.DELETING, Step.DELETING]


async def test_the_credentials_are_gone_while_servers_may_still_accept_them(
    opened: Database, deletion: ApplicationDeletion
) -> None:
    await store(opened, "waiting")

    def interrupt(_step: Step, _number: int) -> None:
        raise KeyboardInterrupt

    server = Presence(opened, 1)
    await server.begin()
    try:
        with pytest.raises(KeyboardInterrupt):
            await deletion.delete("waiting", interrupt)
    finally:
        await server.end()
    assert await deletion.count("waiting") == {**_COUNTS, "credentials": 0, "indexes": 1}
    await deletion.delete("waiting", nothing)


async def test_an_application_whose_id_begins_alike_keeps_its_data(
    opened: Database, deletion: ApplicationDeletion
) -> None:
    others = ["alike/u", "alike/a", "alike0", "alik"]
    for application_id in ("alike", *others):
        await store(opened, application_id)
    await deletion.delete("alike", nothing)
    assert [await deletion.count(other) for other in others] == [_COUNTS] * 4


async def test_an_application_is_renamed(opened: Database) -> None:
    applications = MongoApplicationStore(opened)
    await applications.ensure("renamed", "old", [], datetime.now(UTC))
    await applications.rename("renamed", "new")
    assert (await applications.application("renamed")).name == "new"
    with pytest.raises(ApplicationNotFound):
        await applications.rename("never", "new")


async def test_a_database_that_does_not_answer() -> None:
    client = connect("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1")
    with pytest.raises(DatabaseUnavailable):
        await ApplicationDeletion(open_database(client, _NAME)).count("app")
    client.close()
