"""Profiles as they are written to MongoDB: one atomic upsert for each write, and what became of it."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pymongo import UpdateOne
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from server.errors import ProfileTooLarge, UserfoldError, WriteOutcomeUnknown
from server.model import SUPPRESSED, ProfileWrite, Suppressed
from server.operation import dotted_update, exact_update
from server.plan import fold
from server.store.bulk import DUPLICATE_KEY, PATH_MEETS_NON_OBJECT, VALIDATION_FAILED, failure_of, write_in_bulk
from server.store.database import Database

Outcome = UserfoldError | Suppressed | None
"""What became of a write: None means that a majority of MongoDB's members has it in the journal."""

# Racing upserts on exactly {_id} do not fail on MongoDB 6; elsewhere one retry is nearly always enough.
_ATTEMPTS = 5


class ProfileStore(Protocol):
    """Where profiles are written."""

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        """Apply writes, those of one profile in their order, and tell what became of each, in the order given.

        Must not let one write's failure touch another's. Must return None only for a write that is durable. Must not
        raise for anything that the database does.
        """


class MongoProfileStore:
    """The profile store in the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._profiles = database.get_collection("profiles")
        # A majority may not have yet what has just refused a write.
        self._latest = self._profiles.with_options(read_concern=ReadConcern("local"))

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        if len({write.profile_id for write in writes}) == len(writes):
            return await self._write(writes)
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
        refused = []
        for _ in range(_ATTEMPTS):
            errors, unknown = await self._bulk_write([(writes[index], exact[index]) for index in pending])
            again = []
            for position, index in enumerate(pending):
                code = errors.get(position)
                if code is None:
                    outcomes[index] = WriteOutcomeUnknown() if unknown else None
                elif code == DUPLICATE_KEY:
                    outcomes[index] = WriteOutcomeUnknown()
                    again.append(index)
                elif code in (PATH_MEETS_NON_OBJECT, VALIDATION_FAILED) and not exact[index]:
                    exact[index] = True
                    again.append(index)
                else:
                    outcomes[index] = failure_of(code)
                    if code == VALIDATION_FAILED:
                        refused.append(index)
            pending = again
            if not pending:
                break
        if refused:
            suppressed = await self._suppressed([writes[index].profile_id for index in refused])
            for index in refused:
                if writes[index].profile_id in suppressed:
                    outcomes[index] = SUPPRESSED
        return outcomes

    async def _suppressed(self, profile_ids: Sequence[str]) -> set[str]:
        """Those of the profiles that are tombstones: the validator lets no update turn one into a profile."""
        query = {"_id": {"$in": profile_ids}, "suppressed_until": {"$exists": True}}
        try:
            return {document["_id"] async for document in self._latest.find(query, projection={"_id": 1})}
        except PyMongoError:
            # Nothing was written: too large is then as good an answer as any.
            return set()

    async def _bulk_write(self, writes: Iterable[tuple[ProfileWrite, bool]]) -> tuple[Mapping[int, int], bool]:
        """One bulk write: the error codes by position, and whether all that has no error is of unknown outcome."""
        operations = [
            # Nothing but `_id` in the filter: with any other predicate, racing upserts fail with a duplicate key.
            UpdateOne({"_id": write.profile_id}, exact_update(write) if exact else dotted_update(write), upsert=True)
            for write, exact in writes
        ]
        result = await write_in_bulk(self._profiles, operations)
        return result.codes, result.is_unknown
