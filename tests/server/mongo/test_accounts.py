"""Applications and credentials in a real MongoDB."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from server.accounts.credentials import (
    digest,
    first_credentials,
    generate_application_id,
    generate_collector_key,
    generate_management_token,
    rotate,
)
from server.errors import CredentialNotFound, CredentialReplaced, WriteOutcomeUnknown
from server.local.demo import DemoApplication
from server.local.mongod import EmbeddedMongod
from server.model import Scope
from server.mongo.accounts import transactions
from server.mongo.accounts.credentials import MongoCredentialStore
from server.mongo.client import Session, connect, open_database
from tests.support.applications import Application
from tests.support.stack import DATABASE
from tests.support.waiting import wait_until

_DAY = timedelta(days=1)


@pytest.fixture
async def store(mongod: EmbeddedMongod) -> AsyncIterator[MongoCredentialStore]:
    client = connect(mongod.uri)
    yield MongoCredentialStore(open_database(client, DATABASE))
    client.close()


def test_an_application_that_is_registered_stays_as_it_is(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]]
) -> None:
    application_id = generate_application_id()
    keys = generate_collector_key(), generate_management_token()
    DemoApplication(application_id, *keys).register(mongod.uri, DATABASE)
    key, token = database.credentials.find({"application_id": application_id})
    assert {key["_id"], token["_id"]} == {*map(digest, keys)}
    ended = {"expire_time": datetime.now(UTC), "replaced_by": "x", "scopes": []}
    database.credentials.update_one({"_id": key["_id"]}, {"$set": ended})
    database.credentials.delete_one({"_id": token["_id"]})
    before = list(database.credentials.find({"application_id": application_id}))
    DemoApplication(application_id, *keys).register(mongod.uri, DATABASE)
    # Revoked, rotated and expired credentials are not restored.
    assert list(database.credentials.find({"application_id": application_id})) == before


def test_applications_of_an_older_version_get_their_credentials_and_let_others_be_registered(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]]
) -> None:
    older = database.client.userfold_older_test
    keys = generate_collector_key(), generate_management_token()
    old = {"_id": "demo", "name": "Demo", "collector_digest": digest(keys[0]), "token_digest": digest(keys[1])}
    older.applications.insert_one(old)
    for name in ("collector_digest", "token_digest"):
        older.applications.create_index(name, unique=True)
    for application_id in ("demo", "one", "two"):
        DemoApplication(application_id, *keys).register(mongod.uri, older.name)
        keys = generate_collector_key(), generate_management_token()
    assert older.credentials.count_documents({"_id": old["token_digest"], "application_id": "demo"}) == 1
    assert older.applications.count_documents({}) == 3


async def test_of_two_concurrent_rotations_of_a_credential_one_fails_and_adds_nothing(
    store: MongoCredentialStore, application: Application
) -> None:
    (credential,) = await store.find_all([digest(application.management_token)])
    first, second = (rotate(credential, secret, datetime.now(UTC), _DAY) for secret in ("first", "second"))
    await store.replace(*first)
    with pytest.raises(CredentialReplaced, match=first[1].credential_id):
        await store.replace(*second)
    (found,) = await store.find_all([credential.digest, digest("second")])
    assert found.replaced_by == first[1].credential_id
    await store.revoke(credential.credential_id)
    with pytest.raises(CredentialNotFound):
        await store.replace(*second)
    await store.revoke(first[1].credential_id)


async def test_a_scope_of_a_later_version_is_ignored(
    store: MongoCredentialStore, application: Application, database: Database[dict[str, Any]]
) -> None:
    key = {"_id": digest(application.management_token)}
    database.credentials.update_one(key, {"$set": {"scopes": ["read:users", "read:minds"]}})
    (found,) = await store.find_all([key["_id"]])
    assert found.scopes == {Scope.READ_USERS}


def _wait_until_transactions_have_ended(database: Database[dict[str, Any]], name: str) -> None:
    """Block until no transaction of clients of this name is open. Fails before MongoDB would end it by itself."""
    own: Any = [{"$currentOp": {"allUsers": True, "idleSessions": True}}, {"$match": {"appName": name}}]
    active: Any = {
        "$match": {"$or": [{"active": True, "command.lsid": {"$exists": True}}, {"transaction": {"$exists": True}}]}
    }
    wait_until(lambda: not list(database.client.admin.aggregate([*own, active])), 20)


async def test_a_call_that_is_cancelled_leaves_no_transaction_open(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]], application: Application
) -> None:
    name, admin = "cancelled", database.client.admin
    key, token, now = generate_collector_key(), generate_management_token(), datetime.now(UTC)
    credential, _ = first_credentials(application.application_id, key, token, now)
    block = {"failCommands": ["update"], "appName": name, "blockConnection": True, "blockTimeMS": 300}
    count = admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": block})["count"]
    with closing(connect(f"{mongod.uri}&appName={name}")) as client:
        call = asyncio.create_task(MongoCredentialStore(open_database(client, DATABASE)).add(credential))
        wait = {"waitForFailPoint": "failCommand", "timesEntered": count + 1, "maxTimeMS": 20_000}
        await asyncio.to_thread(admin.command, wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(_wait_until_transactions_have_ended, database, name)


async def test_a_call_that_is_out_of_time_leaves_no_transaction_open(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "out-of-time"
    monkeypatch.setattr(transactions, "WRITE_SECONDS", 0.5)

    async def write(session: Session) -> None:
        for _ in range(2):
            await client[DATABASE].credentials.delete_one({"_id": b"nobody"}, session=session)
            await asyncio.sleep(0.6)

    with closing(connect(f"{mongod.uri}&appName={name}")) as client:
        with pytest.raises(WriteOutcomeUnknown):
            await transactions.together(open_database(client, DATABASE), write)
        await asyncio.to_thread(_wait_until_transactions_have_ended, database, name)
