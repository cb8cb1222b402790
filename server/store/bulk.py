"""Bulk writes, and what MongoDB's refusals and silences mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pymongo import DeleteOne, UpdateOne, timeout
from pymongo.errors import BulkWriteError, ConnectionFailure, PyMongoError

from server.errors import ProfileTooLarge, UserfoldError, WriteOutcomeUnknown, WriteRejected
from server.store.database import Collection
from server.store.driver import WRITE_SECONDS

Operation: TypeAlias = UpdateOne | DeleteOne

# MongoDB's error codes.
PATH_MEETS_NON_OBJECT: Final = 28
VALIDATION_FAILED: Final = 121
DUPLICATE_KEY: Final = 11000
_TOO_LARGE = frozenset({10334, 17280, 17419, 17420})
# Out of time, out of a primary, out of a connection, out of room: a part of the command may have been done before.
_OUTCOME_UNKNOWN = frozenset(
    {6, 7, 50, 64, 89, 91, 100, 134, 189, 202, 262, 317, 384, 9001, 10107, 11600, 11601, 11602, 13435, 13436, 14031}
)


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of a bulk write.

    `codes` are MongoDB's error codes by the operation's position. Where `is_unknown`, so is the outcome of every
    operation without a code; else those are durable, and `effective` of them met or made a document.
    """

    codes: Mapping[int, int]
    is_unknown: bool
    effective: int


async def write_in_bulk(collection: Collection, operations: Sequence[Operation]) -> BulkResult:
    """Apply operations on different documents, in any order, none in the way of another. Raises nothing of the
    driver's."""
    try:
        with timeout(WRITE_SECONDS):
            result = await collection.bulk_write(operations, ordered=False)
        return BulkResult({}, False, result.matched_count + result.upserted_count + result.deleted_count)
    except BulkWriteError as error:
        told: Mapping[str, Any] = error.details
        return BulkResult(
            {item["index"]: item["code"] for item in told["writeErrors"]},
            # Without any write error, too, a write concern error means that the majority did not confirm.
            bool(told["writeConcernErrors"]),
            told["nMatched"] + told["nUpserted"] + told["nRemoved"],
        )
    except ConnectionFailure:
        return BulkResult({}, True, 0)
    except PyMongoError as error:
        return BulkResult(dict.fromkeys(range(len(operations)), getattr(error, "code", None) or 0), False, 0)


def failure_of(code: int) -> UserfoldError:
    """What a write that MongoDB answered with this error code is told as."""
    if code == VALIDATION_FAILED or code in _TOO_LARGE:
        return ProfileTooLarge()
    return WriteOutcomeUnknown() if code in _OUTCOME_UNKNOWN else WriteRejected(code)
