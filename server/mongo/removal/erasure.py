"""Erases profiles, and removes aliases."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from pymongo import DeleteOne, UpdateOne, timeout
from pymongo.errors import PyMongoError

from server.errors import DatabaseUnavailable, UserfoldError, UserNotFound, WriteOutcomeUnknown
from server.model import USERS, AliasRemoval, Erasure, ProfileKind, WouldErase
from server.mongo.client import Database
from server.mongo.driver import READ_SECONDS, WRITE_SECONDS
from server.mongo.failures import read_failures
from server.mongo.identity.pointers import IS_NO_POINTER, IS_POINTER, pointers_to, resolve
from server.mongo.writes.bulk import DUPLICATE_KEY, Operation, failure_of, write_in_bulk
from server.mongo.writes.update_document import Pipeline
from server.users.finding.lookup import SENT_ALIAS
from server.users.identity.fill import anonymous_ids_of
from server.users.ids import visitor_id
from server.users.ports import Erased

_ALIAS_COUNT: Final = {"$size": {"$ifNull": ["$aliases", []]}}

_Key = TypeVar("_Key", bound=Hashable)


class MongoProfileErasure:
    """Erasure of the profiles of one kind in a MongoDB database. Aliases, and visitors, are those of users.

    To suppress later updates, a tombstone replaces the profile's document: its `_id`, which is a digest, and the
    start and the end of the suppression, `suppressed_time` and `suppressed_until`. A later write upserts on `_id`, so
    it meets the tombstone, and the validator of the collection refuses it. MongoDB deletes the tombstone within about a
    minute of its end. The pointers to the profile, and the visitors whom it names, are erased or replaced alike.

    Nothing here uses findAndModify: to be able to retry it, MongoDB would keep the profile in another collection.
    """

    def __init__(self, database: Database, kind: ProfileKind = USERS) -> None:
        self._kind = kind
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
        try:
            users = await self._users(erasures)
            stored = await self._stored(users.values(), ["anonymous_id", "anonymous_ids"])
            pointers = await self._pointers_to(users.values())
        except PyMongoError:
            return dict.fromkeys(erasures, unread)
        found |= {key for key, user in users.items() if user in stored}
        of_users = {users[key]: replace(each, profile_id=users[key]) for key, each in erasures.items()}
        # The visitors and pointers first: only the profiles name the visitors.
        gone = {pointer: _erase({"_id": pointer, **IS_POINTER}, of_users[user]) for pointer, user in pointers.items()}
        owners = dict(pointers)
        for user, document in stored.items():
            for visitor in _visitors(of_users[user].application_id, document):
                gone.setdefault(visitor, _erase({"_id": visitor, "anonymous_id": {"$exists": True}}, of_users[user]))
                owners.setdefault(visitor, user)
        failures = {owners[key]: failure for key, failure in (await self._write(gone))[0].items()}
        operations = {
            user: self._erase_profile(erasure, stored[user]) if user in stored else _upsert_tombstone(erasure)
            for user, erasure in of_users.items()
            if user not in failures and (user in stored or erasure.suppressed_until is not None)
        }
        failed, all_matched = await self._write(operations)
        failures |= failed
        failures |= await self._erase_late_pointers(of_users, [user for user in stored if user not in failures])
        outcomes = {user: failures.get(user) for user in of_users} if all_matched else failures
        return {
            key: key in found if (failure := outcomes[user]) is None else failure
            for key, user in users.items()
            if user in outcomes
        }

    async def _users(self, profile_ids: Iterable[str]) -> Mapping[str, str]:
        """The `_id` of the user that each of these stands for, if it is a pointer, or the same."""
        targets = await resolve(self._profiles, list(profile_ids)) if self._kind is USERS else {}
        return {key: targets[key].profile_id if key in targets else key for key in profile_ids}

    async def _stored(self, users: Iterable[str], fields: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Fields of the profiles that are stored, and their numbers of aliases."""
        return await self._counted({"_id": {"$in": list(users)}, self._kind.key: {"$exists": True}}, fields)

    async def _pointers_to(self, users: Iterable[str]) -> Mapping[str, str]:
        """The `_id`s of the pointers that lead to users, with the `_id`s of these."""
        return await pointers_to(self._profiles, list(users)) if self._kind is USERS else {}

    def _erase_profile(self, erasure: Erasure, stored: Mapping[str, Any]) -> Operation:
        """Erases a profile if it still names these visitors, and no others."""
        named = {name: stored.get(name) for name in ("anonymous_id", "anonymous_ids")}
        return _erase({"_id": erasure.profile_id, self._kind.key: {"$exists": True}, **named}, erasure)

    async def _erase_late_pointers(
        self, erasures: Mapping[str, Erasure], users: Sequence[str]
    ) -> Mapping[str, UserfoldError]:
        """Erase the pointers that were stored while their users were erased. Returns the failures."""
        if not users:
            return {}
        try:
            pointers = await self._pointers_to(users)
        except PyMongoError:
            return {user: WriteOutcomeUnknown() for user in users}
        late = {pointer: _erase({"_id": pointer, **IS_POINTER}, erasures[user]) for pointer, user in pointers.items()}
        return {pointers[key]: failure for key, failure in (await self._write(late))[0].items()}

    async def preview(self, erasures: Sequence[Erasure]) -> Sequence[WouldErase]:
        with read_failures(), timeout(READ_SECONDS):
            users = await self._users([each.profile_id for each in erasures])
            stored = {**await self._stored(users.values(), ["anonymous_id", "anonymous_ids"])}
            named = {
                visitor: users[each.profile_id]
                for each in erasures
                if users[each.profile_id] in stored
                for visitor in _visitors(each.application_id, stored[users[each.profile_id]])
            }
            visitors = await self._counted({"_id": {"$in": list(named)}, "anonymous_id": {"$exists": True}}, [])
            pointers = await self._pointers_to(users.values())
        numbers = Counter(pointers.values())
        previews = []
        for each in erasures:
            # As of an erasure, the second outcome of a user is that nothing is stored.
            user = users[each.profile_id]
            document = stored.pop(user, None)
            own = [visitor for key, visitor in visitors.items() if document and named[key] == user]
            aliases = sum(profile["alias_count"] for profile in (document, *own) if profile)
            previews.append(WouldErase(document is not None, aliases, len(own), numbers.pop(user, 0)))
        return previews

    async def _counted(self, query: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Fields of the profiles that match, and their numbers of aliases, by `_id`."""
        cursor = self._profiles.find(query, projection={**dict.fromkeys(fields, 1), "alias_count": _ALIAS_COUNT})
        return {document["_id"]: document async for document in cursor}

    async def remove_aliases(self, removals: Sequence[AliasRemoval]) -> Sequence[Erased]:
        with timeout(WRITE_SECONDS):
            return await self._remove_aliases(removals)

    async def _remove_aliases(self, requested: Sequence[AliasRemoval]) -> Sequence[Erased]:
        try:
            users = await self._users([each.profile_id for each in requested])
        except PyMongoError:
            return [DatabaseUnavailable() for _ in requested]
        removals = [replace(each, profile_id=users[each.profile_id]) for each in requested]
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
            each: UpdateOne({"_id": each.profile_id, "aliases": each.alias}, _without_alias(each.alias))
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


def _without_alias(alias: bytes) -> Pipeline:
    """Removes an alias, which may also be the one that was sent last."""
    removed = {"$literal": alias}
    others = {"$filter": {"input": "$aliases", "cond": {"$ne": ["$$this", removed]}}}
    is_last = {"$eq": [f"${SENT_ALIAS}.alias", removed]}
    return [{"$set": {"aliases": others, SENT_ALIAS: {"$cond": [is_last, "$$REMOVE", f"${SENT_ALIAS}"]}}}]


def _erase(query: Mapping[str, Any], erasure: Erasure) -> Operation:
    """Erases the document that matches, or makes it a tombstone."""
    return DeleteOne(query) if erasure.suppressed_until is None else UpdateOne(query, _tombstone(erasure))


def _upsert_tombstone(erasure: Erasure) -> Operation:
    """Suppresses updates of a user without a profile. Fails with a duplicate key if there is one meanwhile."""
    nothing = {"_id": erasure.profile_id, "modified_time": {"$exists": False}, **IS_NO_POINTER}
    return UpdateOne(nothing, _tombstone(erasure), upsert=True)


def _visitors(application_id: str, user: Mapping[str, Any]) -> Sequence[str]:
    """The `_id`s of the visitors whom a user's profile names."""
    return [visitor_id(application_id, anonymous_id) for anonymous_id in anonymous_ids_of(user)]


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
