"""Merges of users: one becomes a part of another one, by the rules of absorption, in one transaction."""

from contextlib import suppress
from typing import Any

from bson import ObjectId, decode
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from server.errors import ProfileTooLarge, UserNotFound
from server.model import UserMerge
from server.mongo.accounts.transactions import together
from server.mongo.client import Database, Session
from server.mongo.identity.absorption import filled_document
from server.mongo.identity.pointers import HOPS
from server.mongo.writes.bulk import VALIDATION_FAILED
from server.mongo.writes.large_documents import LargeDocuments


class MongoProfileMerges:
    """Merges in the collection `profiles` of a MongoDB database.

    The transaction writes to both documents. So of two merges that have one in common, MongoDB makes one of them start
    again, and it then meets the pointer that the other one left: no pointers ever lead to each other.

    While documents of an open transaction are changed, updates of these users wait, and so do those in their groups: if
    the server is killed then, until MongoDB ends the transaction, after a minute. So both changes are one command, the
    last one before the commit.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._profiles = database.get_collection("profiles")
        self._options: Any = self._profiles.codec_options
        raw: Any = self._options.with_options(document_class=RawBSONDocument)
        self._raw: Any = self._profiles.with_options(codec_options=raw)
        self._large = LargeDocuments()

    async def merge(self, merge: UserMerge) -> bool:
        """As of ProfileMerges."""
        merged = False

        async def write(session: Session) -> tuple[str, str]:
            nonlocal merged
            source = await self._user(merge.source_id, session)
            target = await self._user(merge.target_id, session)
            merged = source["_id"] != target["_id"]
            if merged:
                await self._merge(source, target, session)
            return source["_id"], target["_id"]

        source_id, target_id = await together(self._database, write)
        if merged:
            # Shortens the way of what leads to the source. Longer ways are followed as well.
            with suppress(PyMongoError):
                await self._profiles.update_many({"pointer": source_id}, {"$set": {"pointer": target_id}})
        return merged

    async def _merge(self, source: RawBSONDocument, target: RawBSONDocument, session: Session) -> None:
        def filled() -> dict[str, Any]:
            # The new id makes sure that the target is written.
            return filled_document(decode(target.raw, self._options), decode(source.raw, self._options), ObjectId())

        changed = await self._large.work(len(source.raw) + len(target.raw), filled)
        target_id, source_id = target["_id"], source["_id"]
        writes: list[UpdateOne | ReplaceOne[dict[str, Any]]] = [
            UpdateOne({"_id": target_id}, {"$set": changed}),
            ReplaceOne({"_id": source_id}, {"pointer": target_id}),
        ]
        try:
            await self._profiles.bulk_write(writes, session=session)
        except BulkWriteError as error:
            is_refused = any(each["code"] == VALIDATION_FAILED for each in error.details["writeErrors"])
            raise ProfileTooLarge if is_refused else error from error

    async def _user(self, profile_id: str, session: Session) -> RawBSONDocument:
        """The document of a user, or of the one that a pointer leads to. Raises UserNotFound."""
        for _ in range(HOPS):
            document: RawBSONDocument | None = await self._raw.find_one({"_id": profile_id}, session=session)
            if document is not None and "pointer" in document:
                profile_id = document["pointer"]
            elif document is None or "user_id" not in document:
                break
            else:
                return document
        raise UserNotFound
