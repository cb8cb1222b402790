"""The version of what is stored: which programs can serve it, and which of them do.

One document says it: `version` is what all documents are at, at least; `least`, the version of the oldest program that
can serve them; `newest`, that of the newest one that prepared the collections; `clean`, that of the oldest one that
started since a migration last began from the start. `holder`, `until` and `position` are the lease of who migrates. A
database without it is at version 1.
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

# A server that was not seen for so long has ended. It is told by MongoDB's clock, like every time here.
_GONE_MS = 60_000
_LONG_GONE_MS = 60 * _GONE_MS
_LEAVE_SECONDS = 1.0


async def prepare(database: Database, version: int) -> None:
    """Make sure that the database can be served by a program of this version, and has all that it needs.

    Raises InvalidSetting where it is not so.
    """
    try:
        found = await database.get_collection(SCHEMA).find_one(KEY)
    except PyMongoError as error:
        raise unusable(database, error) from error
    require_served(found or {}, version)
    # What a newer program has prepared, an older one leaves as it is: a validator, for one, would be the former again.
    if found is None or found.get("newest", version) <= version:
        await mongodb.prepare(database)
        await _write(database, {"$max": {"newest": version}, "$setOnInsert": {"version": 1, "clean": 1, "least": 1}})


def require_served(schema: Mapping[str, Any], version: int) -> None:
    """Raise InvalidSetting where a program of this version cannot serve what has this schema document."""
    if schema.get("restoring"):
        raise InvalidSetting("the database holds a part of a backup: run `python -m server.backup restore` again")
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
    """One server on the list of those that serve."""

    def __init__(self, database: Database, version: int) -> None:
        self._database = database
        self._servers = database.get_collection(SERVERS)
        self._version = version
        self._id = secrets.token_hex(8)

    async def begin(self) -> None:
        """Be on the list, before the first write. Raises InvalidSetting where this version cannot serve any more."""
        try:
            await self._servers.delete_many({"$expr": {"$lt": ["$seen", _ago(_LONG_GONE_MS)]}})
            await self.renew()
        except PyMongoError as error:
            raise unusable(self._database, error) from error
        # In this order: whoever ends a migration looks at the list first, and then at `clean`.
        schema = await _write(self._database, {"$min": {"version": self._version, "clean": self._version}})
        require_served(schema, self._version)

    async def renew(self) -> None:
        """Say that this server serves. Raises PyMongoError."""
        seen = [{"$set": {"version": self._version, "seen": "$$NOW"}}]
        await self._servers.find_one_and_update({"_id": self._id}, seen, upsert=True, projection=["_id"])

    async def end(self) -> None:
        """Leave the list, if MongoDB answers at once; else the server is held to be gone after a minute."""
        with suppress(PyMongoError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._servers.delete_one({"_id": self._id})


async def oldest_serving(database: Database) -> int | None:
    """The version of the oldest program that serves; None where none does. Raises PyMongoError."""
    present = {"$expr": {"$gte": ["$seen", _ago(_GONE_MS)]}}
    found = await database.get_collection(SERVERS).find_one(present, sort=[("version", 1)])
    return found["version"] if found else None


def _ago(milliseconds: int) -> dict[str, Any]:
    return {"$subtract": ["$$NOW", milliseconds]}
