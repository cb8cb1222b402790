"""Writes profiles to MongoDB, by one atomic upsert for each write."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from pymongo import timeout
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from server import limits
from server.errors import DatabaseUnavailable, ProfileTooLarge, WriteOutcomeUnknown
from server.model import STORED, SUPPRESSED, USERS, ProfileKind, ProfileWrite
from server.mongo.client import Database
from server.mongo.driver import WRITE_SECONDS
from server.mongo.identity.absorption import Absorption
from server.mongo.identity.identification import Identification
from server.mongo.identity.redirects import Redirects
from server.mongo.writes.bulk import (
    DUPLICATE_KEY,
    PATH_MEETS_NON_OBJECT,
    VALIDATION_FAILED,
    Upsert,
    failure_of,
    write_in_bulk,
)
from server.mongo.writes.conditional import ConditionalWrites
from server.mongo.writes.earlier_versions import changes_anonymous_id, migrating_update
from server.mongo.writes.full_aliases import FullAliases
from server.mongo.writes.update_document import dotted_update
from server.mongo.writes.values import FIELD, READ_SECONDS, Recount, add_values, add_values_exactly, may_add
from server.users.fold import fold
from server.users.ports import AGAIN, Again, Outcome

# Racing upserts on exactly {_id} do not fail on MongoDB 6. On others, one retry nearly always succeeds.
_ATTEMPTS = 5

# An upper bound of what a write adds to a profile beyond its `size`, such as the field of values.
_MARGIN = 64 * 1024

# What the validator checks.
_REASONS: dict[str, Any] = {
    "suppressed_until": 1,
    "pointer": 1,
    FIELD: 1,
    "has_first": {"$gt": [{"$size": {"$ifNull": ["$initial_campaign", []]}}, 0]},
    "alias_count": {"$size": {"$ifNull": ["$aliases", []]}},
    "ids": {"$size": {"$ifNull": ["$anonymous_ids", []]}},
    "bytes": {"$bsonSize": "$$ROOT"},
}


class MongoProfileStore:
    """The store of the profiles of one kind in a MongoDB database.

    `has_earlier` is true while there may be users of a version of the schema before `ALL_ANONYMOUS_IDS`.
    """

    def __init__(self, database: Database, kind: ProfileKind = USERS, *, has_earlier: bool = False) -> None:
        self.has_earlier = has_earlier
        self._profiles = database.get_collection(kind.collection)
        # The document that refused a write may not have reached a majority yet.
        self._latest = self._profiles.with_options(read_concern=ReadConcern("local"))
        self._recount = Recount(self._profiles)
        absorption = Absorption(self._profiles)
        self._redirects = Redirects(self._profiles, absorption, self._recount)
        self._identification = Identification(self._profiles, absorption)
        self._conditional = ConditionalWrites(self._profiles, self._recount, self._redirects)
        self._full_aliases = FullAliases()

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        if writes and writes[0].etag is not None:
            outcomes = await self._conditional.apply(writes)
        elif any(write.is_stored for write in writes):
            merged = iter(await self._merge([write for write in writes if not write.is_stored]))
            outcomes = [STORED if write.is_stored else next(merged) for write in writes]
        else:
            outcomes = await self._merge(writes)
        return await self._identification.outcomes(writes, outcomes)

    async def _merge(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        """Apply writes, those of one profile in their order."""
        if len({write.profile_id for write in writes}) == len(writes):
            return await self._write(writes)
        outcomes: list[Outcome | Again] = [WriteOutcomeUnknown()] * len(writes)
        queues: dict[str, deque[int]] = {}
        for index, write in enumerate(writes):
            queues.setdefault(write.profile_id, deque()).append(index)
        one_by_one: set[str] = set()
        while queues:
            batch: list[tuple[str, ProfileWrite, int]] = []
            for profile_id, queue in queues.items():
                waiting = [writes[index] for index in ([queue[0]] if profile_id in one_by_one else queue)]
                batch.append((profile_id, *_folded(waiting)))
            results = await self._write([write for _, write, _ in batch])
            for (profile_id, write, count), outcome in zip(batch, results, strict=True):
                if isinstance(outcome, ProfileTooLarge) and count > 1:
                    # Some of the folded writes may fit. Applied one by one, they do.
                    one_by_one.add(profile_id)
                    continue
                queue = queues[profile_id]
                if outcome is AGAIN:
                    for index in islice(queue, count):
                        each = writes[index]
                        each.exact, each.recount, each.follows = write.exact, write.recount, write.follows
                        each.lacks_first_campaign = write.lacks_first_campaign
                # After an unknown outcome, the caller may repeat a write, which then replaces a later write.
                ends_here = outcome is AGAIN or isinstance(outcome, WriteOutcomeUnknown)
                for _ in range(len(queue) if ends_here else count):
                    outcomes[queue.popleft()] = outcome
            queues = {profile_id: queue for profile_id, queue in queues.items() if queue}
        return outcomes

    async def _write(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        """Apply writes of different profiles."""
        outcomes: list[Outcome | Again] = [WriteOutcomeUnknown()] * len(writes)
        pending: list[int] = []
        later: list[int] = []
        for index, write in enumerate(writes):
            if write.aliases and not write.exact and self._full_aliases.exceeds(write):
                write.exact = True
                outcomes[index] = AGAIN
            else:
                (later if write.recount or write.follows else pending).append(index)
        refused = []
        for _ in range(_ATTEMPTS):
            if not pending:
                break
            result = await write_in_bulk(self._profiles, [self._operation(writes[index]) for index in pending])
            again = []
            for position, index in enumerate(pending):
                code = result.codes.get(position)
                if code is None:
                    if position not in result.unknown:
                        outcomes[index] = STORED
                        if writes[index].exact:
                            self._full_aliases.stored(writes[index])
                elif code == DUPLICATE_KEY:
                    again.append(index)
                elif code == PATH_MEETS_NON_OBJECT and not writes[index].exact:
                    writes[index].exact = True
                    outcomes[index] = AGAIN
                elif code == VALIDATION_FAILED:
                    refused.append(index)
                else:
                    outcomes[index] = failure_of(code)
            pending = again
        if refused:
            for index, reason in zip(refused, await self._reasons([writes[index] for index in refused]), strict=True):
                outcomes[index] = reason
        if later:
            with timeout(WRITE_SECONDS):
                slow = await asyncio.gather(*[self._write_slowly(writes[index]) for index in later])
            for index, outcome in zip(later, slow, strict=True):
                outcomes[index] = outcome
        return outcomes

    async def _write_slowly(self, write: ProfileWrite) -> Outcome | Again:
        """Apply a write of a profile that is a pointer, or must be counted."""
        return await (self._redirects.apply(write) if write.follows else self._recounted(write))

    async def _reasons(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        """The outcomes of writes that the validator refused."""
        query = {"_id": {"$in": [write.profile_id for write in writes]}}
        try:
            with timeout(READ_SECONDS):
                documents = await self._latest.find(query, projection=_REASONS).to_list(len(writes))
        except PyMongoError:
            return [DatabaseUnavailable() for _ in writes]
        stored = {document["_id"]: document for document in documents}
        return [self._reason(write, stored.get(write.profile_id, {})) for write in writes]

    def _reason(self, write: ProfileWrite, stored: Mapping[str, Any]) -> Outcome | Again:
        """The outcome of a write that the validator refused. The stored profile may have changed since."""
        if "suppressed_until" in stored:
            return SUPPRESSED
        if "pointer" in stored:
            write.follows = True
            return AGAIN
        if write.first_campaign and not (write.exact or write.lacks_first_campaign or stored.get("has_first")):
            write.lacks_first_campaign = True
            return AGAIN
        if (
            write.anonymous_ids
            and not write.exact
            and len(write.anonymous_ids) + stored.get("ids", 0) > limits.ANONYMOUS_IDS
        ):
            write.exact = True
            return AGAIN
        if write.aliases and not write.exact and stored.get("alias_count", 0) + len(write.aliases) > limits.ALIASES:
            self._full_aliases.add(write.profile_id)
            write.exact = True
            return AGAIN
        if stored.get(FIELD, 0) + may_add(write.values) > limits.PROFILE_VALUES:
            write.recount = True
            return AGAIN
        if write.aliases and not write.exact:
            # An alias that the profile has is not the last one.
            write.exact = True
            return AGAIN
        if stored.get("bytes", 0) + write.size + _MARGIN <= limits.PROFILE_BYTES:
            # The reason is gone. A suppression, for instance, has just ended.
            return DatabaseUnavailable()
        return ProfileTooLarge()

    def _operation(self, write: ProfileWrite) -> Upsert:
        # The filter is `_id` alone: with any other predicate, racing upserts fail with a duplicate key.
        if write.exact or (self.has_earlier and changes_anonymous_id(write)):
            pipeline = migrating_update(write)
            add_values_exactly(pipeline, write.values)
            return Upsert(write.profile_id, pipeline)
        update = dotted_update(write)
        add_values(update, write.values)
        return Upsert(write.profile_id, update)

    async def _recounted(self, write: ProfileWrite) -> Outcome | Again:
        outcome = await self._recount.write(write)
        if outcome is None:
            write.recount = False
            return AGAIN
        return outcome


def _folded(writes: Sequence[ProfileWrite]) -> tuple[ProfileWrite, int]:
    """One write for the first of `writes`, and how many of them it covers."""
    folded, count = fold(writes)
    if count > 1:
        parts = writes[:count]
        folded.exact = folded.exact or any(write.exact for write in parts)
        folded.recount = any(write.recount for write in parts)
        folded.follows = any(write.follows for write in parts)
        folded.lacks_first_campaign = any(write.lacks_first_campaign for write in parts)
    return folded, count
