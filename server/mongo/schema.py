"""The version of the stored data: which programs can serve it, and which servers do.

One document holds it. All documents of the database are at least at `version`. `least` is the version of the oldest
program that can serve them, `newest` that of the newest program that prepared the collections, and `clean` that of the
oldest program that started since the latest pass of a migration began. `holder`, `until` and `position` are the lease
of the migrating server. A database without this document is at version 1.
"""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from server.mongo import client as mongodb
from server.mongo.client import Database, unusable
from server.settings import InvalidSetting

SCHEMA: Final = "schema"
SERVERS: Final = "servers"
KEY: Final[Mapping[str, Any]] = {"_id": "schema"}

# A server that was not seen for so long has ended. All times here are those of MongoDB's clock.
_GONE_MS = 60_000
_LONG_GONE_MS = 60 * _GONE_MS
_LEAVE_SECONDS = 1.0


async def prepare(database: Database, version: int) -> None:
    """Prepare the collections for a program of this version. Raises InvalidSetting if it cannot serve the database."""
    try:
        found = await database.get_collection(SCHEMA).find_one(KEY)
    except PyMongoError as error:
        raise unusable(database, error) from error
    require_served(found or {}, version)
    # An older program changes nothing that a newer one prepared, such as the validator.
    if found is None or found.get("newest", version) <= version:
        await mongodb.prepare(database)
        await _write(database, {"$max": {"newest": version}, "$setOnInsert": {"version": 1, "clean": 1, "least": 1}})


def require_served(schema: Mapping[str, Any], version: int) -> None:
    """Raise InvalidSetting if a program of this version cannot serve a database with this schema document."""
    if schema.get("restoring"):
        raise InvalidSetting("the database holds a part of a backup: run `userfold restore` again")
    if schema.get("least", 1) > version:
        raise InvalidSetting(
            f"the database was changed by a newer Userfold: it takes one that knows version {schema['least']} of the"
            f" schema, and this one knows version {version}. Start the newer one, or restore a backup of before"
        )


async def _write(database: Database, update: Mapping[str, Any]) -> dict[str, Any]:
    try:
        document: dict[str, Any] = await database.get_collection(SCHEMA).find_one_and_update(
            KEY, update, upsert=True, return_document=ReturnDocument.AFTER
        )
    except PyMongoError as error:
        raise unusable(database, error) from error
    return document


class Presence:
    """The entry of one server in the list of running servers."""

    def __init__(self, database: Database, version: int) -> None:
        self._database = database
        self._servers = database.get_collection(SERVERS)
        self._version = version
        self._id = secrets.token_hex(8)

    async def begin(self) -> None:
        """Add the entry, before the first write. Raises InvalidSetting if this version can no longer serve."""
        try:
            await self._servers.delete_many({"$expr": {"$lt": ["$seen", _ago(_LONG_GONE_MS)]}})
            await self.renew()
        except PyMongoError as error:
            raise unusable(self._database, error) from error
        # In this order: the server that ends a migration reads the list first, and then `clean`.
        schema = await _write(self._database, {"$min": {"version": self._version, "clean": self._version}})
        require_served(schema, self._version)

    async def renew(self) -> None:
        """Renew the entry. Raises PyMongoError."""
        seen = [{"$set": {"version": self._version, "seen": "$$NOW"}}]
        await self._servers.find_one_and_update({"_id": self._id}, seen, upsert=True, projection=["_id"])

    async def end(self) -> None:
        """Remove the entry, if MongoDB responds soon. Otherwise it expires after a minute."""
        with suppress(PyMongoError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._servers.delete_one({"_id": self._id})


async def stored_version(database: Database) -> int:
    """The version that all documents of the database have at least. Raises PyMongoError."""
    found = await database.get_collection(SCHEMA).find_one(KEY, projection=["version"])
    return found["version"] if found else 1


async def oldest_serving(database: Database) -> int | None:
    """The version of the oldest running server, or None. Raises PyMongoError."""
    present = {"$expr": {"$gte": ["$seen", _ago(_GONE_MS)]}}
    found = await database.get_collection(SERVERS).find_one(present, sort=[("version", 1)])
    return found["version"] if found else None


def _ago(milliseconds: int) -> dict[str, Any]:
    return {"$subtract": ["$$NOW", milliseconds]}
