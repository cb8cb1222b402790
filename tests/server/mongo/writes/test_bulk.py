"""Bulk writes in which one operation makes the whole command fail."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from pymongo import MongoClient, UpdateOne
from pymongo.errors import AutoReconnect, DocumentTooLarge, OperationFailure
from pymongo.synchronous.bulk import _Bulk

from server.errors import ProfileTooLarge, WriteOutcomeUnknown, WriteRejected
from server.local.mongod import EmbeddedMongod
from server.mongo.client import Collection, Database, connect, open_database
from server.mongo.writes.bulk import PATH_MEETS_NON_OBJECT, Upsert, failure_of, write_in_bulk


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    yield open_database(client, "userfold_bulk_test")
    client.close()


def _set(key: str, value: object) -> UpdateOne:
    return UpdateOne({"_id": key}, {"$set": {"a": value}}, upsert=True)


def _pipeline(key: str, size: int) -> UpdateOne:
    # Small as a document and large as an operation.
    return UpdateOne({"_id": key}, [{"$set": {"a": {"$substrBytes": ["x" * size, 0, 1]}}}], upsert=True)


def test_an_upsert_is_the_statement_that_the_driver_builds() -> None:
    update = {"$set": {"a": 1}}
    client: MongoClient[dict[str, Any]] = MongoClient(connect=False)
    bulk, built = (_Bulk(client.a.b, False, None) for _ in range(2))
    Upsert("u", update)._add_to_bulk(bulk)
    UpdateOne({"_id": "u"}, update, upsert=True)._add_to_bulk(built)
    assert bulk.ops == built.ops
    assert vars(bulk) == vars(built)
    client.close()


async def test_an_upsert_alone_has_the_result_of_a_bulk(opened: Database) -> None:
    collection = opened.get_collection("alone")
    for update, effective in (({"$set": {"a": 1}}, 1), ({"$set": {"a": 1}}, 1), ([{"$set": {"a": 2}}], 1)):
        result = await write_in_bulk(collection, [Upsert("u", update)])
        assert (result.codes, list(result.unknown), result.effective) == ({}, [], effective)
    assert await collection.find_one({}) == {"_id": "u", "a": 2}
    result = await write_in_bulk(collection, [Upsert("u", {"$set": {"a.b": 1}})])
    assert (result.codes, list(result.unknown), result.effective) == ({0: PATH_MEETS_NON_OBJECT}, [], 0)


@pytest.mark.parametrize(
    ("poison", "failure"),
    [
        (_set("poison", "half \ud83d"), WriteRejected),
        (_set("poison", 2**64), WriteRejected),
        (_set("poison", object()), WriteRejected),
        (_set("poison", "x" * (17 << 20)), ProfileTooLarge),
        (_pipeline("poison", 17 << 20), ProfileTooLarge),
        (_set("poison", "x" * (49 << 20)), ProfileTooLarge),
        (UpdateOne({"_id": "poison"}, [{"$nonsense": 1}]), WriteRejected),
    ],
    ids=["surrogate", "integer", "no BSON", "document", "pipeline", "message", "stage"],
)
async def test_an_operation_that_makes_the_command_fail_fails_alone(
    opened: Database, poison: UpdateOne, failure: type[Exception], request: pytest.FixtureRequest
) -> None:
    collection = opened.get_collection(request.node.name)
    for position in (0, 7, 19):
        await collection.delete_many({})
        operations = [_set(f"u{number}", number) for number in range(20)]
        operations[position] = poison
        result = await write_in_bulk(collection, operations)
        assert list(result.codes) == [position]
        assert isinstance(failure_of(result.codes[position]), failure)
        assert not result.unknown
        assert await collection.count_documents({}) == 19


class FakeCollection:
    """Fails as a whole if one of the operations is among `spoiled`. Counts its commands."""

    def __init__(self, spoiled: dict[int, Exception]) -> None:
        self.spoiled = spoiled
        self.commands = 0

    async def bulk_write(self, operations: list[int], ordered: bool) -> Any:
        self.commands += 1
        for operation in operations:
            if error := self.spoiled.get(operation):
                raise error

        class Result:
            matched_count = len(operations)
            upserted_count = deleted_count = 0

        return Result


async def _written(collection: FakeCollection, operations: int) -> Any:
    return await write_in_bulk(cast(Collection, collection), cast(Any, list(range(operations))))


async def test_one_of_many_is_found_with_few_commands() -> None:
    collection = FakeCollection({77: OperationFailure("", 10334)})
    result = await _written(collection, 128)
    assert (result.codes, result.effective) == ({77: 10334}, 127)
    assert collection.commands == 1 + 2 * 7


async def test_several_of_different_kinds_are_all_found() -> None:
    spoiled = {3: DocumentTooLarge(""), 60: AutoReconnect(), 90: OverflowError(), 127: OperationFailure("", 2)}
    result = await _written(FakeCollection(spoiled), 128)
    assert result.codes == {3: 10334, 90: 0, 127: 2}
    # A lost connection makes the outcome of all operations on it unknown, and of no other.
    assert 60 in result.unknown
    assert len(result.unknown) < 128
    assert result.effective == 128 - len(result.unknown) - 3


@pytest.mark.parametrize(
    ("code", "failure"), [(13, WriteRejected), (50, WriteOutcomeUnknown), (11600, WriteOutcomeUnknown)]
)
async def test_an_error_of_the_whole_command_is_not_bisected(code: int, failure: type[Exception]) -> None:
    collection = FakeCollection({5: OperationFailure("", code)})
    result = await _written(collection, 128)
    assert collection.commands == 1
    assert set(result.codes) == set(range(128))
    assert isinstance(failure_of(result.codes[5]), failure)
