"""Absorption: a profile becomes a part of a user's profile, in steps of one document each.

1. A pointer to the user replaces the document, and holds it (see `pointers.py`).
2. The user's document gets what it lacks, and the id of the absorption: only if it is as it was read, and never anew.
3. The pointer drops what it held.

A write or a server that meets a pointer which still holds something takes the remaining steps. Each has an effect once
only, so several servers may take them at the same time, and after an interruption at any point.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from bson import ObjectId, decode, encode
from bson.raw_bson import RawBSONDocument
from pymongo.errors import DuplicateKeyError, WriteError
from pymongo.read_concern import ReadConcern

from server import limits
from server.errors import Overloaded, ProfileTooLarge
from server.mongo.client import Collection
from server.mongo.documents import only
from server.mongo.identity.pointers import IS_NO_POINTER, End, resolve
from server.mongo.writes.bulk import VALIDATION_FAILED
from server.mongo.writes.large_documents import LargeDocuments
from server.mongo.writes.values import FIELD, values_in
from server.users.identity.fill import ABSORPTIONS, fill

_ATTEMPTS: Final = 12
_PAUSE_SECONDS: Final = 0.002
"""How often a step is tried while other writes change its document, and how much longer each pause is."""

_MARGIN: Final = 1024
"""More than a pointer adds to what it holds, and an absorption to a profile."""

_SIZES: Final = {"bytes": {"$bsonSize": "$$ROOT"}, FIELD: 1}


class Absorption:
    """Absorbs profiles of a collection. Every method raises PyMongoError, or Overloaded where others keep changing the
    documents."""

    def __init__(self, profiles: Collection) -> None:
        self._profiles = profiles
        # A write meets the latest document, even if it has not reached a majority yet.
        self._latest = profiles.with_options(read_concern=ReadConcern("local"))
        raw: Any = profiles.codec_options.with_options(document_class=RawBSONDocument)
        self._raw: Any = self._latest.with_options(codec_options=raw)
        self._large = LargeDocuments()

    async def absorb(self, visitor: str, user: str) -> None:
        """Make the visitor with this `_id` a pointer to a user, and give the user what it had. A pointer stays one.

        Raises ProfileTooLarge, and leaves the visitor as it is, where both are too large together.
        """
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(attempt * _PAUSE_SECONDS)
            found = await self._latest.find_one({"_id": visitor}, {"pointer": 1, "suppressed_until": 1})
            if found is None:
                try:
                    await self._profiles.insert_one({"_id": visitor, "pointer": user})
                except DuplicateKeyError:
                    continue
                return
            if "suppressed_until" in found:
                return
            if "pointer" in found:
                await self.finish(visitor)
                return
            await self._require_room(visitor, user)
            if await self._replace(visitor, user):
                await self.finish(visitor)
                return
        raise Overloaded

    async def finish(self, pointer: str) -> None:
        """Take the remaining steps of an absorption. Nothing is left to do if there is no such pointer.

        Raises ProfileTooLarge where the user has grown since: the pointer then holds what is not absorbed.
        """
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(attempt * _PAUSE_SECONDS)
            targets = await resolve(self._latest, [pointer])
            if pointer not in targets:
                return
            target = targets[pointer]
            absorption = target.pointers[pointer]
            if absorption is None:
                # Changes nothing, and waits until a majority has the pointer.
                await self._profiles.update_one({"_id": pointer}, {"$unset": {"absorbed": ""}})
                return
            if target.end is End.NOWHERE:
                # The user was erased meanwhile, and so is what it would have got.
                await self._profiles.delete_one({"_id": pointer, "absorption": absorption})
                return
            if target.end is End.SUPPRESSED or await self._give(pointer, absorption, target.profile_id):
                held = {"absorbed": "", "absorption": ""}
                await self._profiles.update_one({"_id": pointer, "absorption": absorption}, {"$unset": held})
                return
        raise Overloaded

    async def _replace(self, visitor: str, user: str) -> bool:
        """Replace a visitor by a pointer that holds it. False if it is no visitor any more."""
        profile = {"_id": visitor, **IS_NO_POINTER, "suppressed_until": {"$exists": False}}
        pointer = {"_id": "$_id", "pointer": {"$literal": user}, "absorption": ObjectId(), "absorbed": "$$ROOT"}
        try:
            return (await self._profiles.update_one(profile, [{"$replaceWith": pointer}])).matched_count > 0
        except WriteError as error:
            raise _too_large(error) from error

    async def _give(self, pointer: str, absorption: object, user: str) -> bool:
        """Give a user what a pointer holds. False if one of the two has changed."""
        documents = await self._documents(pointer, user)
        if documents is None or documents[0].get("absorption") != absorption or "user_id" not in documents[1]:
            return False
        stored = documents[1]
        if absorption in stored.get(ABSORPTIONS, ()):
            return True
        changed = await self._filled(stored, documents[0]["absorbed"], absorption)
        try:
            return (await self._profiles.update_one(only(stored), {"$set": changed})).matched_count > 0
        except WriteError as error:
            raise _too_large(error) from error

    async def _require_room(self, visitor: str, user: str) -> None:
        """Raise ProfileTooLarge if a user and a visitor are too large together."""
        user = targets[user].profile_id if (targets := await resolve(self._latest, [user])) else user
        sizes = [each async for each in self._latest.find({"_id": {"$in": [visitor, user]}}, _SIZES)]
        is_small = sum(each["bytes"] for each in sizes) <= limits.PROFILE_BYTES - _MARGIN
        if is_small and sum(each.get(FIELD, 0) for each in sizes) <= limits.PROFILE_VALUES:
            return
        documents = await self._documents(visitor, user)
        if documents is None:
            return
        absorbed, stored = documents
        changed = await self._filled(stored, absorbed, ObjectId())
        whole = {**decode(stored.raw, self._profiles.codec_options), **changed}
        size = len(await self._large.work(len(stored.raw), lambda: encode(whole)))
        if max(size, len(absorbed.raw)) > limits.PROFILE_BYTES - _MARGIN:
            raise ProfileTooLarge

    async def _documents(self, first: str, second: str) -> tuple[RawBSONDocument, RawBSONDocument] | None:
        """Two documents, or None if one of them is not there any more."""
        found = {each["_id"]: each async for each in self._raw.find({"_id": {"$in": [first, second]}})}
        return (found[first], found[second]) if len(found) == 2 else None

    async def _filled(self, user: RawBSONDocument, absorbed: RawBSONDocument, absorption: object) -> dict[str, Any]:
        """The fields of a user that change. Raises ProfileTooLarge if it would hold too many values."""
        options: Any = self._profiles.codec_options

        def filled() -> dict[str, Any]:
            return filled_document(decode(user.raw, options), decode(absorbed.raw, options), absorption)

        return await self._large.work(len(user.raw) + len(absorbed.raw), filled)


def filled_document(user: Mapping[str, Any], absorbed: Mapping[str, Any], absorption: object) -> dict[str, Any]:
    """The fields of a user's document that change when it absorbs another one, with the number of its values.

    Raises ProfileTooLarge if it would hold too many values, and more than before.
    """
    changed = fill(user, absorbed, absorption)
    if "metadata" in changed:
        values = values_in(changed["metadata"])
        if values > max(limits.PROFILE_VALUES, values_in(user.get("metadata", {}))):
            raise ProfileTooLarge
        changed[FIELD] = values
    return changed


def _too_large(error: WriteError) -> Exception:
    return ProfileTooLarge() if error.code == VALIDATION_FAILED else error
