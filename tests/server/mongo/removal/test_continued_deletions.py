"""Deletions that callers began, and servers finish: by one of several, and by another one after that has ended."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from server.accounts.credentials import generate_application_id, generate_collector_key, issue
from server.errors import ApplicationNotFound
from server.local.mongod import EmbeddedMongod
from server.model import CredentialKind
from server.mongo.accounts.applications import MongoApplicationStore
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.removal.continued_deletions import LEASE_MS, ContinuedDeletions
from server.mongo.removal.deletion import ApplicationDeletion
from server.mongo.schema import Presence


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_continued_test")
    await prepare(database)
    yield database
    client.close()


async def _begun(opened: Database) -> str:
    """The id of an application with a user, whose deletion has begun."""
    application_id, now = generate_application_id(), datetime.now(UTC)
    key = issue(application_id, CredentialKind.COLLECTOR, generate_collector_key(), now)
    await MongoApplicationStore(opened).ensure(application_id, "x", [key], now)
    user: dict[str, Any] = {"_id": f"{application_id}/u/{'0' * 64}", "application_id": application_id, "user_id": "u"}
    await opened.get_collection("profiles").insert_one(user)
    await ApplicationDeletion(opened).begin(application_id, continued_by_servers=True)
    return application_id


async def _is_gone(opened: Database, application_id: str) -> bool:
    try:
        await ApplicationDeletion(opened).count(application_id)
    except ApplicationNotFound:
        return True
    return False


async def test_a_server_finishes_what_a_caller_began(opened: Database) -> None:
    application_id = await _begun(opened)
    assert (await ApplicationDeletion(opened).count(application_id))["credentials"] == 0
    await ContinuedDeletions(opened).finish_all()
    assert await _is_gone(opened, application_id)


async def test_a_deletion_that_an_operator_began_is_left_to_the_operator(opened: Database) -> None:
    application_id = generate_application_id()
    await MongoApplicationStore(opened).ensure(application_id, "x", [], datetime.now(UTC))
    await ApplicationDeletion(opened).begin(application_id)
    await ContinuedDeletions(opened).finish_all()
    assert not await _is_gone(opened, application_id)


async def test_another_server_takes_over_when_the_first_one_is_silent(opened: Database) -> None:
    application_id = await _begun(opened)
    applications = opened.get_collection("applications")
    server = Presence(opened, 1)
    await server.begin()
    try:
        # It waits until all servers refuse the credentials, and is killed meanwhile.
        killed = asyncio.create_task(ContinuedDeletions(opened).finish_all())
        async with asyncio.timeout(30):
            held = {"_id": application_id, "deletion_holder": {"$exists": True}}
            while await applications.find_one(held) is None:  # noqa: ASYNC110 - No event is set when it holds.
                await asyncio.sleep(0.01)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
    finally:
        await server.end()
    await ContinuedDeletions(opened).finish_all()
    assert not await _is_gone(opened, application_id)
    silent = {"deletion_until": datetime.now(UTC) - timedelta(milliseconds=LEASE_MS)}
    await applications.update_one({"_id": application_id}, {"$set": silent})
    await ContinuedDeletions(opened).finish_all()
    assert await _is_gone(opened, application_id)
