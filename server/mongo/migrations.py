"""The steps from one version of the schema to the next, taken while servers of both versions serve."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from server.mongo.client import Database
from server.mongo.schema import KEY, SCHEMA, Presence, oldest_serving

_log = structlog.get_logger("userfold.server")

SLICE: Final = 500
"""Documents that are looked at in one go."""

BEAT_SECONDS: Final = 10.0
"""How often a server says that it is there, and looks whether there is something to migrate."""

LEASE_MS: Final = 30_000
"""How long whoever migrates may be silent until another server takes over. A slice takes a fraction of a second."""

_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Migration:
    """A step from one version to the next: what it takes to bring a document of `collection` there.

    `pending` must match every document that is not as the new version has it, whoever wrote it: servers of the version
    before go on writing, and may change one that was there already. `update` is an aggregation pipeline after which
    `pending` no longer matches; all that it knows is the document, so it can be applied at any time and again. `least`
    is the version of the oldest program that can serve what it leaves: as a rule that of before, so that what drops or
    renames a field takes two releases. Every `_id` of the collection must be of one type.
    """

    collection: str
    pending: Mapping[str, Any]
    update: Sequence[Mapping[str, Any]]
    least: int


MIGRATIONS: Final[Sequence[Migration]] = ()
"""In their order, the first one from version 1 to 2. What was released is never changed."""


def version_after(migrations: Sequence[Migration]) -> int:
    """The version of a program that knows these migrations."""
    return 1 + len(migrations)


@asynccontextmanager
async def serving(database: Database, migrations: Sequence[Migration]) -> AsyncIterator[None]:
    """Be one of the servers of a database in the block, and migrate it when it is this one's turn.

    Raises InvalidSetting where this program cannot serve the database.
    """
    presence = Presence(database, version_after(migrations))
    await presence.begin()
    task = asyncio.create_task(_keep_up(presence, Migrator(database, migrations)))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await presence.end()


async def _keep_up(presence: Presence, migrator: "Migrator") -> None:
    while True:
        try:
            await migrator.migrate()
            await asyncio.sleep(BEAT_SECONDS)
            await presence.renew()
        except PyMongoError as error:
            _log.warning("the schema waits", error=type(error).__name__, code=getattr(error, "code", None))
            await asyncio.sleep(BEAT_SECONDS)


class Migrator:
    """Takes a database to the version of this program, together with others that do the same: one at a time.

    A migration goes over its collection at once, and once more when the last server of an older version has ended: only
    then is no document left that such a server wrote meanwhile.
    """

    def __init__(self, database: Database, migrations: Sequence[Migration]) -> None:
        self._database = database
        self._schema = database.get_collection(SCHEMA)
        self._migrations = migrations
        self._version = version_after(migrations)
        self._id = secrets.token_hex(8)
        self._passed = 1
        """The version that this one has gone over everything for, beside older servers."""

    async def migrate(self) -> None:
        """Do what can be done now. Raises PyMongoError; what is done by then stays done."""
        if not self._migrations:
            return
        while schema := await self._take():
            to = schema["version"] + 1
            migration = self._migrations[to - 2]
            oldest = await oldest_serving(self._database) or to
            if oldest < migration.least or (oldest < to and to <= self._passed):
                # Under the lease, which the next beat renews: no other one need go over everything.
                _log.info("the schema waits for older servers to end", version=to, oldest=oldest)
                return
            if not await self._pass(migration, to, schema.get("position")):
                return
            self._passed = to
            await self._finish(to)
        await self._schema.update_one({**KEY, "holder": self._id}, {"$unset": {"holder": "", "until": ""}})

    async def _take(self) -> dict[str, Any] | None:
        """Take the lease. None where there is nothing to do, or another server is doing it."""
        expired = {"$expr": {"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]}}
        behind = {"version": {"$lt": self._version}, "$or": [{"holder": self._id}, expired]}
        return await self._write(behind, {"holder": self._id, "until": _until()})

    async def _pass(self, migration: Migration, to: int, position: object) -> bool:
        """Go over the collection, from `position` on where one is given. False where the lease was lost."""
        if position is None:
            await self._held({"clean": to, "least": {"$max": ["$least", migration.least]}})
            # After that: an older server that starts from now on lowers it by itself.
            oldest = await oldest_serving(self._database) or to
            await self._schema.update_one({**KEY, "holder": self._id}, {"$min": {"clean": oldest}})
            _log.info("migrating", version=to)
        collection = self._database.get_collection(migration.collection)
        while True:
            after = {} if position is None else {"_id": {"$gt": position}}
            slice_ = await collection.find(after, projection=["_id"]).sort("_id", 1).to_list(SLICE)
            if not slice_:
                return True
            within = {"_id": {**after.get("_id", {}), "$lte": slice_[-1]["_id"]}}
            await collection.update_many({**within, **migration.pending}, list(migration.update))
            position = slice_[-1]["_id"]
            if await self._held({"position": {"$literal": position}}) is None:
                return False
            # Callers come first.
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _finish(self, to: int) -> None:
        """End a pass, and with it the migration where no older server may have written meanwhile."""
        await self._held({"position": "$$REMOVE"})
        alone = {"holder": self._id, "clean": {"$gte": to}}
        if await self._write(alone, {"version": to}):
            _log.info("migrated", version=to)

    async def _held(self, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """Set fields, and go on to hold the lease. None where another server has it by now."""
        return await self._write({"holder": self._id}, {**fields, "until": _until()})

    async def _write(self, query: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any] | None:
        document: dict[str, Any] | None = await self._schema.find_one_and_update(
            {**KEY, **query}, [{"$set": fields}], return_document=ReturnDocument.AFTER
        )
        return document


def _until() -> dict[str, Any]:
    return {"$add": ["$$NOW", LEASE_MS]}
