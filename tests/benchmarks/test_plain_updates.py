"""What the plain applications store, in a real MongoDB. FastAPI itself is not installed here."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import BulkWriteError

from benchmarks.contenders.plain_batcher import Batcher
from benchmarks.contenders.plain_updates import schema_operation
from benchmarks.load.users import update_of
from server.local.mongod import EmbeddedMongod
from server.mongo import client as mongodb


@dataclass
class Campaign:
    utm_source: str

    def model_dump(self, *, exclude_none: bool) -> dict[str, Any]:
        assert exclude_none
        return {"utm_source": self.utm_source}


@dataclass
class User:
    """As the model of the plain application."""

    user_id: str
    company_id: str | None = None
    session_token: str | None = None
    modified_time: datetime | None = None
    ip_address: str | None = None
    user_agent_string: str | None = None
    campaign: Any = None
    metadata: dict[str, Any] | None = None


async def test_the_plain_application_with_the_same_schema_keeps_the_first_campaign(mongod: EmbeddedMongod) -> None:
    motor = mongodb.connect(mongod.uri)
    database = mongodb.open_database(motor, "plain_schema_test")
    await mongodb.prepare(database)
    await database.profiles.delete_many({})
    update = update_of("u")
    without = User("u", metadata={"email": "u@acmeinc.com"})
    for user in (without, *(User("u", update["company_id"], campaign=Campaign(source)) for source in ("a", "b"))):
        criteria, change = schema_operation(user, "192.0.2.1")
        await database.profiles.update_one(criteria, change, upsert=True)
    stored = await database.profiles.find_one({"_id": "u"})
    motor.close()
    assert stored is not None
    assert stored["initial_campaign"] == [{"utm_source": "a"}]
    assert stored["campaign"] == {"utm_source": "b"}
    # The fields of Userfold's indexes.
    assert {"application_id", "user_id", "created_time", "company_id", "avatar_url", "email_key"} <= {*stored}


@pytest.fixture
def collection_name(mongod: EmbeddedMongod) -> str:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client.batcher_test.users.drop()
    return "batcher_test"


async def test_the_batcher_stores_every_update_and_reports_each_error_to_its_own_request(
    mongod: EmbeddedMongod, collection_name: str
) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongod.uri) as client:
        users = client[collection_name].users
        batcher = Batcher(users)

        async def update(number: int) -> None:
            # A path that ends in a dot is refused.
            path = "a." if number == 7 else "a"
            await batcher.update_one({"_id": number % 200}, {"$inc": {path: 1}}, upsert=True)

        outcomes = await asyncio.gather(*(update(number) for number in range(250)), return_exceptions=True)
        assert [number for number, outcome in enumerate(outcomes) if outcome] == [7]
        assert isinstance(outcomes[7], BulkWriteError)
        assert await users.count_documents({"a": 1}) == 151
        assert await users.count_documents({"a": 2}) == 49
