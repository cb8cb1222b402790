"""Taking profiles, and parts of them, out of MongoDB for good."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pymongo import DeleteOne, UpdateOne, timeout
from pymongo.errors import PyMongoError

from server.errors import DatabaseUnavailable, UserfoldError, UserNotFound, WriteOutcomeUnknown
from server.model import AliasRemoval, Erasure
from server.mongo.bulk import DUPLICATE_KEY, Operation, failure_of, write_in_bulk
from server.mongo.client import Database
from server.mongo.driver import WRITE_SECONDS
from server.users.ids import visitor_id
from server.users.ports import Erased

_Key = TypeVar("_Key", bound=Hashable)


class MongoProfileErasure:
    """Erasure in the collection `profiles` of a MongoDB database.

    To keep an erasure up, the profile's document becomes one of nothing but `_id`, a digest, and `suppressed_until`.
    Every later write meets it, since it upserts on `_id`, and is refused by the collection's validator. An index drops
    it within a minute or so after its end.

    Never with findAndModify: to be able to retry it, MongoDB would keep the profile in a collection of its own.
    """

    def __init__(self, database: Database) -> None:
        self._profiles = database.get_collection("profiles")

    async def erase(self, erasures: Sequence[Erasure]) -> Sequence[Erased]:
        pending = {each.profile_id: each for each in erasures}
        found: set[str] = set()
        outcomes: dict[str, Erased] = {}
        unread: UserfoldError = DatabaseUnavailable()
        # For all rounds together, so that whoever asked is answered in time.
        with timeout(WRITE_SECONDS):
            while pending:
                outcomes |= await self._erase(pending, found, unread)
                unread = WriteOutcomeUnknown()
                pending = {key: each for key, each in pending.items() if key not in outcomes}
        return _once_each([each.profile_id for each in erasures], outcomes)

    async def _erase(
        self, erasures: Mapping[str, Erasure], found: set[str], unread: UserfoldError
    ) -> Mapping[str, Erased]:
        """Erase by what is stored now; whoever has a profile is added to `found`. Where that cannot be read, all are
        `unread`.

        Where something comes between, such as an update that names another visitor, nothing is told but failures: the
        next round meets what is left.
        """
        profile = {"_id": {"$in": list(erasures)}, "suppressed_until": {"$exists": False}}
        try:
            documents = await self._profiles.find(profile, projection={"anonymous_id": 1}).to_list(len(erasures))
        except PyMongoError:
            return dict.fromkeys(erasures, unread)
        named: dict[str, str | None] = {document["_id"]: document.get("anonymous_id") for document in documents}
        found |= named.keys()
        # The visitors first: after the profiles, nothing would tell who they were.
        visitors = {
            key: DeleteOne({"_id": visitor_id(erasures[key].application_id, visitor)})
            for key, visitor in named.items()
            if visitor is not None
        }
        failures, _ = await self._write(visitors)
        operations = {
            key: _erase_profile(erasure, named[key]) if key in named else _keep_up(erasure)
            for key, erasure in erasures.items()
            if key not in failures and (key in named or erasure.suppressed_until is not None)
        }
        failed, has_met_all = await self._write(operations)
        if not has_met_all:
            return {**failures, **failed}
        return {**{key: key in found for key in erasures}, **failures, **failed}

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
            each: UpdateOne({"_id": each.profile_id}, {"$pull": {"aliases": each.alias}})
            for each in removals
            if each.alias in stored.get(each.profile_id, ())
        }
        outcomes: dict[AliasRemoval, Erased] = {
            each: each in operations if each.profile_id in stored else UserNotFound() for each in removals
        }
        failures, _ = await self._write(operations)
        return _once_each(removals, {**outcomes, **failures})

    async def _write(self, operations: Mapping[_Key, Operation]) -> tuple[Mapping[_Key, UserfoldError], bool]:
        """Apply operations: what failed, and whether every other one met what it was meant for."""
        if not operations:
            return {}, True
        result = await write_in_bulk(self._profiles, list(operations.values()))
        failures: dict[_Key, UserfoldError] = {}
        has_met_all = True
        for position, key in enumerate(operations):
            code = result.codes.get(position)
            if code == DUPLICATE_KEY:
                has_met_all = False
            elif code is not None:
                failures[key] = failure_of(code)
            elif position in result.unknown:
                failures[key] = WriteOutcomeUnknown()
        if not result.unknown:
            has_met_all &= result.effective == len(operations) - len(failures)
        return failures, has_met_all


def _erase_profile(erasure: Erasure, visitor: str | None) -> Operation:
    """Erases a profile as long as it names this visitor, or none."""
    profile = {
        "_id": erasure.profile_id,
        "anonymous_id": {"$in": [None, visitor]},
        "suppressed_until": {"$exists": False},
    }
    return DeleteOne(profile) if erasure.suppressed_until is None else UpdateOne(profile, _kept_up(erasure))


def _keep_up(erasure: Erasure) -> Operation:
    """Keeps the erasure of one who has no profile up. Fails with a duplicate key where there is one by now."""
    return UpdateOne({"_id": erasure.profile_id, "modified_time": {"$exists": False}}, _kept_up(erasure), upsert=True)


def _kept_up(erasure: Erasure) -> list[dict[str, Any]]:
    """The update that leaves nothing but the end of the period, the later one of two."""
    end = {"$max": ["$suppressed_until", erasure.suppressed_until]}
    return [{"$replaceWith": {"_id": "$_id", "suppressed_until": end}}]


def _once_each(keys: Iterable[_Key], outcomes: Mapping[_Key, Erased]) -> Sequence[Erased]:
    """The outcome of each key; that of one which comes again is that nothing was there any more."""
    left = dict(outcomes)
    told = []
    for key in keys:
        told.append(left[key])
        if left[key] is True:
            left[key] = False
    return told
