"""Bulk writes, and what MongoDB's errors mean."""

from collections.abc import Collection as Container
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pymongo import DeleteOne, InsertOne, UpdateOne, timeout
from pymongo.errors import BulkWriteError, ConnectionFailure, DocumentTooLarge, PyMongoError, WriteConcernError

from server.errors import ProfileTooLarge, UserfoldError, WriteOutcomeUnknown, WriteRejected
from server.mongo.client import Collection
from server.mongo.driver import WRITE_SECONDS

Operation: TypeAlias = UpdateOne | DeleteOne | InsertOne[dict[str, Any]]

# MongoDB's error codes.
PATH_MEETS_NON_OBJECT: Final = 28
VALIDATION_FAILED: Final = 121
DUPLICATE_KEY: Final = 11000
_BSON_TOO_LARGE = 10334
_TOO_LARGE = frozenset({_BSON_TOO_LARGE, 17280, 17419, 17420})
# No time, no primary, no connection or no space was left: a part of the command may have been applied before.
_OUTCOME_UNKNOWN = frozenset(
    {6, 7, 50, 64, 89, 91, 100, 134, 189, 202, 262, 317, 384, 9001, 10107, 11600, 11601, 11602, 13435, 13436, 14031}
)
# Not authorized, not authenticated, no such command, option or namespace: no operation would succeed.
_OF_THE_COMMAND = frozenset({13, 18, 20, 26, 59, 72, 73, 8000})
# The code of an error of the driver's encoder, for instance of half a surrogate pair.
_NOT_ENCODED = 0


_UPDATE: Final = 1
"""The driver's number of the command `update`."""


class Upsert(UpdateOne):
    """An upsert on an `_id`, as the statement of MongoDB's command `update`.

    The driver checks and copies what callers give it, and builds this statement. Here it is known to be one. All that
    the driver does for a bulk write, such as numbering it for retries, is as for other operations.
    """

    __slots__ = ("_statement",)

    def __init__(self, document_id: str, update: object) -> None:
        self._statement: dict[str, Any] = {"q": {"_id": document_id}, "u": update, "multi": False, "upsert": True}

    def _add_to_bulk(self, bulkobj: Any) -> None:
        bulkobj.ops.append((_UPDATE, self._statement))

    async def write_alone(self, collection: Collection) -> int:
        """Apply the upsert without a bulk, which costs more. Returns how many documents matched or were created."""
        result = await collection.update_one(self._statement["q"], self._statement["u"], upsert=True)
        return result.matched_count + (result.upserted_id is not None)


@dataclass(frozen=True, slots=True)
class BulkResult:
    """The result of a bulk write.

    `codes` are MongoDB's error codes by the operation's position. The outcome of an operation in `unknown` that has no
    code is unknown. All other operations are durable, and `effective` of them matched or created a document.
    """

    codes: Mapping[int, int]
    unknown: Container[int]
    effective: int


async def write_in_bulk(collection: Collection, operations: Sequence[Operation]) -> BulkResult:
    """Apply operations on different documents, in any order. No failure affects another operation. Raises nothing.

    Bisection finds an operation that makes the whole command fail.
    """
    with timeout(WRITE_SECONDS):
        return await _write(collection, operations)


async def _write(collection: Collection, operations: Sequence[Operation]) -> BulkResult:
    everything = range(len(operations))
    try:
        if len(operations) == 1 and isinstance(operations[0], Upsert):
            return BulkResult({}, (), await operations[0].write_alone(collection))
        result = await collection.bulk_write(operations, ordered=False)
        return BulkResult({}, (), result.matched_count + result.upserted_count + result.deleted_count)
    except BulkWriteError as error:
        details: Mapping[str, Any] = error.details
        return BulkResult(
            {item["index"]: item["code"] for item in details["writeErrors"]},
            # A write concern error means that the majority did not confirm, even without any write error.
            everything if details["writeConcernErrors"] else (),
            details["nMatched"] + details["nUpserted"] + details["nRemoved"],
        )
    except (ConnectionFailure, WriteConcernError):
        # The majority did not confirm a write that is not in a bulk.
        return BulkResult({}, everything, 0)
    except Exception as error:
        code = _code_of(error)
    if len(operations) == 1 or code in _OUTCOME_UNKNOWN or code in _OF_THE_COMMAND:
        return BulkResult(dict.fromkeys(everything, code), (), 0)
    # A part of the command may have been applied before it failed. Applying it again changes nothing.
    half = len(operations) // 2
    first = await _write(collection, operations[:half])
    second = await _write(collection, operations[half:])
    return BulkResult(
        {**first.codes, **{half + position: code for position, code in second.codes.items()}},
        {*first.unknown, *(half + position for position in second.unknown)},
        first.effective + second.effective,
    )


def _code_of(error: Exception) -> int:
    if isinstance(error, DocumentTooLarge):
        return _BSON_TOO_LARGE
    if isinstance(error, PyMongoError):
        return getattr(error, "code", None) or _NOT_ENCODED
    # The encoder raises errors of Python, such as OverflowError and UnicodeEncodeError.
    return _NOT_ENCODED


def is_too_large(error: Exception) -> bool:
    """Whether a document, or a command, was too large."""
    return _code_of(error) in _TOO_LARGE


def failure_of(code: int) -> UserfoldError:
    """The error of a write that failed with this error code of MongoDB."""
    if code == VALIDATION_FAILED or code in _TOO_LARGE:
        return ProfileTooLarge()
    return WriteOutcomeUnknown() if code in _OUTCOME_UNKNOWN else WriteRejected(code)
