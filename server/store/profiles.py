"""Profiles as they are written to MongoDB: one atomic upsert for each write, and what became of it."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, ConnectionFailure, PyMongoError

from server.errors import ProfileTooLarge, UserfoldError, WriteOutcomeUnknown, WriteRejected
from server.model import ProfileWrite
from server.operation import dotted_update, exact_update
from server.plan import fold
from server.store.database import Database

Outcome = UserfoldError | None
"""What became of a write: None means that a majority of MongoDB's members has it in the journal."""

# MongoDB's error codes.
_PATH_MEETS_NON_OBJECT = 28
_VALIDATION_FAILED = 121
_DUPLICATE_KEY = 11000
_TOO_LARGE = frozenset({10334, 17280, 17419, 17420})
_OUTCOME_UNKNOWN = frozenset({50, 64, 91, 189, 10107, 11600, 11601, 11602, 13435, 13436})

# Racing upserts on exactly {_id} do not fail on MongoDB 6; elsewhere one retry is nearly always enough.
_ATTEMPTS = 5


class ProfileStore(Protocol):
    """Where profiles are written."""

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        """Apply writes, those of one profile in their order, and tell what became of each, in the order given.

        Must not let one write's failure touch another's. Must return None only for a write that is durable. Must not
        raise for anything that the database does.
        """

    async def remove_alias(self, profile_id: str, alias: bytes) -> bool | None:
        """Take an alias away, durably, and tell whether it was there; None where there is no profile. Must raise the
        errors that `apply` tells."""


class MongoProfileStore:
    """The profile store in the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._profiles = database.get_collection("profiles")

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = [None] * len(writes)
        queues: dict[str, deque[int]] = {}
        for index, write in enumerate(writes):
            queues.setdefault(write.profile_id, deque()).append(index)
        one_by_one: set[str] = set()
        while queues:
            batch: list[tuple[str, ProfileWrite, int]] = []
            for profile_id, queue in queues.items():
                waiting = [writes[index] for index in ([queue[0]] if profile_id in one_by_one else queue)]
                batch.append((profile_id, *fold(waiting)))
            results = await self._write([write for _, write, _ in batch])
            for (profile_id, _, count), outcome in zip(batch, results, strict=True):
                if isinstance(outcome, ProfileTooLarge) and count > 1:
                    # Those before the one too many are fine: only one after the other tells which.
                    one_by_one.add(profile_id)
                    continue
                queue = queues[profile_id]
                # After an unknown outcome, a later write of the profile could end up below a repeated earlier one.
                for _ in range(len(queue) if isinstance(outcome, WriteOutcomeUnknown) else count):
                    outcomes[queue.popleft()] = outcome
            queues = {profile_id: queue for profile_id, queue in queues.items() if queue}
        return outcomes

    async def _write(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        """Apply writes of different profiles."""
        outcomes: list[Outcome] = [None] * len(writes)
        exact = [write.exact for write in writes]
        pending = list(range(len(writes)))
        for _ in range(_ATTEMPTS):
            errors, unknown = await self._bulk_write([(writes[index], exact[index]) for index in pending])
            again = []
            for position, index in enumerate(pending):
                code = errors.get(position)
                if code is None:
                    outcomes[index] = WriteOutcomeUnknown() if unknown else None
                elif code == _DUPLICATE_KEY:
                    outcomes[index] = WriteOutcomeUnknown()
                    again.append(index)
                elif code in (_PATH_MEETS_NON_OBJECT, _VALIDATION_FAILED) and not exact[index]:
                    exact[index] = True
                    again.append(index)
                else:
                    outcomes[index] = _failure(code)
            pending = again
            if not pending:
                break
        return outcomes

    async def _bulk_write(self, writes: Iterable[tuple[ProfileWrite, bool]]) -> tuple[Mapping[int, int], bool]:
        """One bulk write: the error codes by position, and whether all that has no error is of unknown outcome."""
        operations = [
            # Nothing but `_id` in the filter: with any other predicate, racing upserts fail with a duplicate key.
            UpdateOne({"_id": write.profile_id}, exact_update(write) if exact else dotted_update(write), upsert=True)
            for write, exact in writes
        ]
        errors: dict[int, int] = {}
        unknown = False
        try:
            await self._profiles.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            errors = {item["index"]: item["code"] for item in error.details["writeErrors"]}
            # Without any write error, too, a write concern error means that the majority did not confirm.
            unknown = bool(error.details["writeConcernErrors"])
        except ConnectionFailure:
            unknown = True
        except PyMongoError as error:
            errors = dict.fromkeys(range(len(operations)), getattr(error, "code", None) or 0)
        return errors, unknown

    async def remove_alias(self, profile_id: str, alias: bytes) -> bool | None:
        try:
            result = await self._profiles.update_one({"_id": profile_id}, {"$pull": {"aliases": alias}})
        except ConnectionFailure as error:
            raise WriteOutcomeUnknown from error
        except PyMongoError as error:
            raise _failure(getattr(error, "code", None) or 0) from error
        return bool(result.modified_count) if result.matched_count else None


def _failure(code: int) -> UserfoldError:
    if code == _VALIDATION_FAILED or code in _TOO_LARGE:
        return ProfileTooLarge()
    return WriteOutcomeUnknown() if code in _OUTCOME_UNKNOWN else WriteRejected(code)
