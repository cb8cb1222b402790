"""Erasing users, and taking session tokens from them, in MongoDB."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from server.errors import UserfoldError, UserNotFound
from server.model import AliasRemoval, Erasure
from server.plan import visitor_id
from server.store.database import Database
from server.store.failures import DUPLICATE_KEY, failure_of

# A batch waits for MongoDB's journal again and again: so many wait together, and leave the connections to others too.
_AT_ONCE = 16

_Item = TypeVar("_Item")


class ProfileErasure(Protocol):
    """Where users are erased."""

    async def erase(self, erasures: Sequence[Erasure]) -> Sequence[bool | UserfoldError]:
        """Erase profiles, and tell of each, in the order given, whether there was one; or what went wrong.

        Nothing of it must be left once it is told, nor come back while it is suppressed. Must not let one's failure
        touch another's, nor raise for anything that the database does.
        """

    async def remove_aliases(self, removals: Sequence[AliasRemoval]) -> Sequence[bool | UserfoldError]:
        """Take aliases away, durably, and tell of each whether it was there. Where there is no profile: UserNotFound.
        As with `erase`."""


class MongoProfileErasure:
    """The erasure in the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._profiles = database.get_collection("profiles")

    async def erase(self, erasures: Sequence[Erasure]) -> Sequence[bool | UserfoldError]:
        return await _each(self._erase, erasures)

    async def remove_aliases(self, removals: Sequence[AliasRemoval]) -> Sequence[bool | UserfoldError]:
        return await _each(self._remove_alias, removals)

    async def _erase(self, erasure: Erasure) -> bool:
        by_id = {"_id": erasure.profile_id}
        while True:
            profile = await self._profiles.find_one(by_id, projection={"anonymous_id": 1}) or {}
            # The visitor first: the profile alone tells who that is, and is what a second attempt would look for.
            named = profile.get("anonymous_id")
            if named is not None:
                await self._profiles.delete_one({"_id": visitor_id(erasure.application_id, named)})
            erased = await self._erase_profile(erasure, by_id | {"anonymous_id": named})
            if erased is not None:
                return erased

    async def _erase_profile(self, erasure: Erasure, unchanged: dict[str, Any]) -> bool | None:
        """Erase the profile if it names the same visitor still; None where it has changed meanwhile."""
        if erasure.suppressed_until is None:
            only = unchanged | {"suppressed_until": {"$exists": False}}
            if (await self._profiles.delete_one(only)).deleted_count:
                return True
            left = await self._profiles.find_one({"_id": erasure.profile_id}, projection={"suppressed_until": 1})
            return False if left is None or "suppressed_until" in left else None
        # A tombstone in place of the profile, in one write: every later update meets it, whatever server it comes to.
        until = {"$max": ["$suppressed_until", {"$literal": erasure.suppressed_until}]}
        try:
            before = await self._profiles.find_one_and_update(
                unchanged,
                [{"$replaceWith": {"_id": "$_id", "suppressed_until": until}}],
                upsert=True,
                projection={"user_id": 1},
                return_document=ReturnDocument.BEFORE,
            )
        except PyMongoError as error:
            if getattr(error, "code", None) == DUPLICATE_KEY:
                return None
            raise
        return before is not None and "user_id" in before

    async def _remove_alias(self, removal: AliasRemoval) -> bool:
        result = await self._profiles.update_one(
            {"_id": removal.profile_id, "user_id": {"$exists": True}}, {"$pull": {"aliases": removal.alias}}
        )
        if not result.matched_count:
            raise UserNotFound
        return bool(result.modified_count)


async def _each(do: Callable[[_Item], Awaitable[bool]], items: Sequence[_Item]) -> Sequence[bool | UserfoldError]:
    """What came of each, a few of them at once."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(item: _Item) -> bool | UserfoldError:
        async with room:
            try:
                return await do(item)
            except UserfoldError as error:
                return error
            except PyMongoError as error:
                return failure_of(error)

    return await asyncio.gather(*map(one, items))
