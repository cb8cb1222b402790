"""Applications and credentials in a real MongoDB."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from server import applications
from server.accounts.credentials import (
    digest,
    generate_application_id,
    generate_collector_key,
    generate_management_token,
    rotate,
)
from server.errors import CredentialNotFound, CredentialReplaced
from server.local.mongod import EmbeddedMongod
from server.model import Scope
from server.mongo.accounts import MongoApplicationStore
from server.mongo.client import connect, open_database
from tests.support.applications import Application
from tests.support.stack import DATABASE

_DAY = timedelta(days=1)


@pytest.fixture
async def store(mongod: EmbeddedMongod) -> AsyncIterator[MongoApplicationStore]:
    client = connect(mongod.uri)
    yield MongoApplicationStore(open_database(client, DATABASE))
    client.close()


def test_an_application_that_is_registered_stays_as_it_is(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]]
) -> None:
    application_id = generate_application_id()
    keys = generate_collector_key(), generate_management_token()
    applications.ensure(mongod.uri, DATABASE, application_id, "Demo", *keys)
    key, token = database.credentials.find({"application_id": application_id})
    assert {key["_id"], token["_id"]} == {*map(digest, keys)}
    ended = {"expire_time": datetime.now(UTC), "replaced_by": "x", "scopes": []}
    database.credentials.update_one({"_id": key["_id"]}, {"$set": ended})
    database.credentials.delete_one({"_id": token["_id"]})
    before = list(database.credentials.find({"application_id": application_id}))
    applications.ensure(mongod.uri, DATABASE, application_id, "Demo", *keys)
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
        applications.ensure(mongod.uri, older.name, application_id, application_id, *keys)
        keys = generate_collector_key(), generate_management_token()
    assert older.credentials.count_documents({"_id": old["token_digest"], "application_id": "demo"}) == 1
    assert older.applications.count_documents({}) == 3


async def test_of_two_concurrent_rotations_of_a_credential_one_fails_and_adds_nothing(
    store: MongoApplicationStore, application: Application
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
    store: MongoApplicationStore, application: Application, database: Database[dict[str, Any]]
) -> None:
    key = {"_id": digest(application.management_token)}
    database.credentials.update_one(key, {"$set": {"scopes": ["read:users", "read:minds"]}})
    (found,) = await store.find_all([key["_id"]])
    assert found.scopes == {Scope.READ_USERS}
