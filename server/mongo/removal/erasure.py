"""Erases profiles, and removes aliases."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pymongo import DeleteOne, UpdateOne, timeout
from pymongo.errors import PyMongoError

from server.errors import DatabaseUnavailable, UserfoldError, UserNotFound, WriteOutcomeUnknown
from server.model import USERS, AliasRemoval, Erasure, ProfileKind, WouldErase
from server.mongo.client import Database
from server.mongo.driver import READ_SECONDS, WRITE_SECONDS
from server.mongo.failures import read_failures
from server.mongo.writes.bulk import DUPLICATE_KEY, Operation, failure_of, write_in_bulk
from server.mongo.writes.update_document import SENT_ALIAS
from server.users.ids import visitor_id
from server.users.ports import Erased

_ALIAS_COUNT: Final = {"$size": {"$ifNull": ["$aliases", []]}}

_Key = TypeVar("_Key", bound=Hashable)


class MongoProfileErasure:
    """Erasure of the profiles of one kind in a MongoDB database. Aliases, and visitors, are those of users.

    To suppress later updates, a tombstone replaces the profile's document: its `_id`, which is a digest, and the
    start and the end of the suppression, `suppressed_time` and `suppressed_until`. A later write upserts on `_id`, so
    it meets the tombstone, and the validator of the collection refuses it. MongoDB deletes the tombstone within about a
    minute of its end.

    Nothing here uses findAndModify: to be able to retry it, MongoDB would keep the profile in another collection.
    """

    def __init__(self, database: Database, kind: ProfileKind = USERS) -> None:
        self._profiles = database.get_collection(kind.collection)

    async def erase(self, erasures: Sequence[Erasure]) -> Sequence[Erased]:
        pending = {each.profile_id: each for each in erasures}
        found: set[str] = set()
        outcomes: dict[str, Erased] = {}
        unread: UserfoldError = DatabaseUnavailable()
        # For all rounds together, so that the caller receives the response in time.
        with timeout(WRITE_SECONDS):
            while pending:
                outcomes |= await self._erase(pending, found, unread)
                unread = WriteOutcomeUnknown()
                pending = {key: each for key, each in pending.items() if key not in outcomes}
        return _once_each([each.profile_id for each in erasures], outcomes)

    async def _erase(
        self, erasures: Mapping[str, Erasure], found: set[str], unread: UserfoldError
    ) -> Mapping[str, Erased]:
        """Erase what is stored now, and return the outcomes that are known. Users with a profile are added to `found`.

        If the profiles cannot be read, the outcome of all is `unread`. If another write interferes, such as an update
        that names another visitor, only failures are returned, and the next round erases the remaining profiles.
        """
        profile = {"_id": {"$in": list(erasures)}, "suppressed_until": {"$exists": False}}
        try:
            documents = await self._profiles.find(profile, projection={"anonymous_id": 1}).to_list(len(erasures))
        except PyMongoError:
            return dict.fromkeys(erasures, unread)
        named: dict[str, str | None] = {document["_id"]: document.get("anonymous_id") for document in documents}
        found |= named.keys()
        # The visitors first: only the profiles name them.
        visitors = {
            key: DeleteOne({"_id": visitor_id(erasures[key].application_id, visitor)})
            for key, visitor in named.items()
            if visitor is not None
        }
        failures, _ = await self._write(visitors)
        operations = {
            key: _erase_profile(erasure, named[key]) if key in named else _upsert_tombstone(erasure)
            for key, erasure in erasures.items()
            if key not in failures and (key in named or erasure.suppressed_until is not None)
        }
        failed, all_matched = await self._write(operations)
        if not all_matched:
            return {**failures, **failed}
        return {**{key: key in found for key in erasures}, **failures, **failed}

    async def preview(self, erasures: Sequence[Erasure]) -> Sequence[WouldErase]:
        wanted = {each.profile_id: each for each in erasures}
        with read_failures(), timeout(READ_SECONDS):
            users = await self._counted({"_id": {"$in": list(wanted)}, "suppressed_until": {"$exists": False}})
            named = {key: user["anonymous_id"] for key, user in users.items() if "anonymous_id" in user}
            visitor_ids = {key: visitor_id(wanted[key].application_id, name) for key, name in named.items()}
            visitors = await self._counted({"_id": {"$in": list(visitor_ids.values())}}) if visitor_ids else {}
        previews = []
        for each in erasures:
            # As of an erasure, the second outcome of a user is that nothing is stored.
            gone = [users.pop(each.profile_id, None), visitors.pop(visitor_ids.get(each.profile_id, ""), None)]
            aliases = sum(document["alias_count"] for document in gone if document)
            previews.append(WouldErase(gone[0] is not None, aliases, int(gone[1] is not None)))
        return previews

    async def _counted(self, query: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """The visitors' names and the numbers of aliases of the profiles that match, by `_id`."""
        cursor = self._profiles.find(query, projection={"anonymous_id": 1, "alias_count": _ALIAS_COUNT})
        return {document["_id"]: document async for document in cursor}

    async def remove_aliases(self, removals: Sequence[AliasRemoval]) -> Sequence[Erased]:
        with timeout(WRITE_SECONDS):
            return await self._remove_aliases(removals)

    async def _remove_aliases(self, removals: Sequence[AliasRemoval]) -> Sequence[Erased]:
        wanted = {
            "_id": {"$in": list({each.profile_id for each in removals})},
            "user_id": {"$exists": True},
        }
        aliases = list({each.alias for each in removals})
        held = {"aliases": {"$setIntersection": [{"$ifNull": ["$aliases", []]}, {"$literal": aliases}]}}
        try:
            documents = await self._profiles.find(wanted, projection=held).to_list(len(removals))
        except PyMongoError:
            return [DatabaseUnavailable() for _ in removals]
        stored: dict[str, Sequence[bytes]] = {document["_id"]: document["aliases"] for document in documents}
        operations = {
            # The alias may also be the one that was sent last.
            each: UpdateOne({"_id": each.profile_id}, {"$pull": {"aliases": each.alias}, "$unset": {SENT_ALIAS: ""}})
            for each in removals
            if each.alias in stored.get(each.profile_id, ())
        }
        outcomes: dict[AliasRemoval, Erased] = {
            each: each in operations if each.profile_id in stored else UserNotFound() for each in removals
        }
        failures, _ = await self._write(operations)
        return _once_each(removals, {**outcomes, **failures})

    async def _write(self, operations: Mapping[_Key, Operation]) -> tuple[Mapping[_Key, UserfoldError], bool]:
        """Apply operations. Returns the failures, and whether each remaining operation matched its document."""
        if not operations:
            return {}, True
        result = await write_in_bulk(self._profiles, list(operations.values()))
        failures: dict[_Key, UserfoldError] = {}
        all_matched = True
        for position, key in enumerate(operations):
            code = result.codes.get(position)
            if code == DUPLICATE_KEY:
                all_matched = False
            elif code is not None:
                failures[key] = failure_of(code)
            elif position in result.unknown:
                failures[key] = WriteOutcomeUnknown()
        if not result.unknown:
            all_matched &= result.effective == len(operations) - len(failures)
        return failures, all_matched


def _erase_profile(erasure: Erasure, visitor: str | None) -> Operation:
    """Erases a profile if it still names this visitor, or none."""
    profile = {
        "_id": erasure.profile_id,
        "anonymous_id": {"$in": [None, visitor]},
        "suppressed_until": {"$exists": False},
    }
    return DeleteOne(profile) if erasure.suppressed_until is None else UpdateOne(profile, _tombstone(erasure))


def _upsert_tombstone(erasure: Erasure) -> Operation:
    """Suppresses updates of a user without a profile. Fails with a duplicate key if there is one meanwhile."""
    return UpdateOne({"_id": erasure.profile_id, "modified_time": {"$exists": False}}, _tombstone(erasure), upsert=True)


def _tombstone(erasure: Erasure) -> list[dict[str, Any]]:
    """The update that makes a document a tombstone, with the earlier start and the later end of two."""
    start = {"$ifNull": ["$suppressed_time", "$$NOW"]}
    end = {"$max": ["$suppressed_until", erasure.suppressed_until]}
    return [{"$replaceWith": {"_id": "$_id", "suppressed_time": start, "suppressed_until": end}}]


def _once_each(keys: Iterable[_Key], outcomes: Mapping[_Key, Erased]) -> Sequence[Erased]:
    """The outcome of each key. If a key is repeated, only its first outcome is true."""
    remaining = dict(outcomes)
    results = []
    for key in keys:
        results.append(remaining[key])
        if remaining[key] is True:
            remaining[key] = False
    return results
