"""The preparation of the database before the first update."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from pymongo import MongoClient

from server.local.mongod import EmbeddedMongod
from server.mongo.client import connect, open_database, prepare
from server.mongo.declared_indexes import drop
from server.settings import InvalidSetting

_INDEX_IS_BUILT: Final = 12587


@contextmanager
def _failing(mongod: EmbeddedMongod, command: str, code: int) -> Iterator[None]:
    """Let the next command of a server fail with this code until the end of the block."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        data = {"failCommands": [command], "appName": "userfold", "errorCode": code}
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def _prepared(mongod: EmbeddedMongod, name: str, *, servers: int = 1) -> dict[str, Any]:
    """The description of the collection `profiles` after `servers` have prepared the database concurrently."""
    clients = [connect(mongod.uri) for _ in range(servers)]
    try:
        await asyncio.gather(*(prepare(open_database(client, name)) for client in clients))
    finally:
        for client in clients:
            client.close()
    with MongoClient[dict[str, Any]](mongod.uri) as sync:
        (found,) = sync[name].list_collections(filter={"name": "profiles"})
        (companies,) = sync[name].list_collections(filter={"name": "companies"})
        options: dict[str, Any] = found["options"]
        # The one that did not exist, or whose options were not refused.
        assert companies["options"]["validator"] == options["validator"]
        return options


async def test_profiles_lie_on_small_pages_behind_a_validator(mongod: EmbeddedMongod) -> None:
    options = await _prepared(mongod, "prepare_new", servers=4)
    assert options["storageEngine"] == {"wiredTiger": {"configString": "leaf_page_max=8KB"}}
    assert options["validator"]["aliases.1000"] == {"$exists": False}


async def test_an_existing_collection_gets_the_validator(mongod: EmbeddedMongod) -> None:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client.prepare_old.create_collection("profiles")
    assert "validator" in await _prepared(mongod, "prepare_old")


async def test_an_equal_validator_is_not_set_again(mongod: EmbeddedMongod) -> None:
    await _prepared(mongod, "prepare_again")
    with _failing(mongod, "collMod", 13):
        await _prepared(mongod, "prepare_again")


async def test_changes_wait_for_an_index_that_is_built(mongod: EmbeddedMongod) -> None:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        profiles = client.prepare_waiting.create_collection("profiles")
        profiles.create_index("unused", name="unused")
        with _failing(mongod, "collMod", _INDEX_IS_BUILT):
            assert "validator" in await _prepared(mongod, "prepare_waiting")
        own = connect(mongod.uri)
        with _failing(mongod, "dropIndexes", _INDEX_IS_BUILT):
            await drop(open_database(own, "prepare_waiting").get_collection("profiles"), "unused")
        own.close()
        assert "unused" not in profiles.index_information()


async def test_another_storage_engine_uses_its_own_pages(mongod: EmbeddedMongod) -> None:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        data = {"failCommands": ["create"], "appName": "userfold", "errorCode": 72}
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
    options = await _prepared(mongod, "prepare_other")
    assert list(options) == ["validator"]


async def test_a_refusal_of_the_database_is_reported_without_its_message(mongod: EmbeddedMongod) -> None:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        data = {"failCommands": ["create"], "appName": "userfold", "errorCode": 13}
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 2}, "data": data})
    with pytest.raises(InvalidSetting, match="OperationFailure, code 13"):
        await _prepared(mongod, "prepare_refused")
