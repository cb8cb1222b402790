"""Migrations of the schema, which run while servers of the old and the new version serve."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from server import metrics
from server.limits import PROFILE_BYTES
from server.mongo.client import Database
from server.mongo.schema import KEY, SCHEMA, Presence, oldest_serving, stored_version
from server.mongo.writes.earlier_versions import HAS_OTHER_ANONYMOUS_ID, WITH_OTHER_ANONYMOUS_ID
from server.users.finding.email_keys import ADDRESS_LENGTH

_log = structlog.get_logger("userfold.server")

SLICE: Final = 500
"""Documents that are examined together."""

BEAT_SECONDS: Final = 10.0
"""How often a server renews its presence, and checks whether there is something to migrate."""

LEASE_MS: Final = 30_000
"""How long a migrating server may be silent before another one takes over."""

_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Migration:
    """A step from one version to the next, which updates the documents of `collection`.

    `pending` must match every document of an older form: servers of the version before continue to write, and may
    change a document that was migrated. `update` is an aggregation pipeline after which `pending` no longer matches. It
    depends on nothing but the document, so it can be applied repeatedly. `oldest_program` is the version of the oldest
    program that can serve the result, usually the one before: so dropping or renaming a field takes two releases. All
    `_id`s of the collection must have the same type.
    """

    collection: str
    pending: Mapping[str, Any]
    update: Sequence[Mapping[str, Any]]
    oldest_program: int


# What Python's `str.strip` removes.
_BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_HAS_ADDRESS: Final = {
    "$and": [{"$eq": [{"$type": each}, "string"]} for each in ("$avatar_url", "$metadata.email")],
}
_TRIMMED_EMAIL: Final = {"$trim": {"input": "$metadata.email", "chars": _BLANKS}}
_EMAIL_KEY: Final = {"$toLower": _TRIMMED_EMAIL}
# In one expression, because MongoDB evaluates conditions in any order, and has no length of what is no string.
_LOOKS_LIKE_AN_ADDRESS: Final = {
    "$switch": {
        "branches": [
            {"case": {"$ne": [{"$type": "$metadata.email"}, "string"]}, "then": False},
            {"case": {"$gt": [{"$strLenCP": "$metadata.email"}, 2 * ADDRESS_LENGTH]}, "then": False},
            {"case": {"$gt": [{"$strLenCP": _TRIMMED_EMAIL}, ADDRESS_LENGTH]}, "then": False},
        ],
        "default": {"$regexMatch": {"input": _TRIMMED_EMAIL, "regex": ".@.", "options": "s"}},
    }
}
_ROOM: Final = {"$lte": [{"$bsonSize": "$$ROOT"}, PROFILE_BYTES - 4096]}

MIGRATIONS: Final[Sequence[Migration]] = (
    # The key by which addresses are suggested, as it was before version 3. The validator would refuse a profile that
    # grows beyond its limit: one that is nearly as large gets its key with the next address of its user.
    Migration(
        collection="profiles",
        pending={
            "$expr": {
                "$and": [
                    {"$ne": [{"$ifNull": ["$email_key", None]}, {"$cond": [_HAS_ADDRESS, _EMAIL_KEY, None]}]},
                    _ROOM,
                ]
            }
        },
        update=[{"$set": {"email_key": {"$cond": [_HAS_ADDRESS, _EMAIL_KEY, "$$REMOVE"]}}}],
        oldest_program=1,
    ),
    # `email_keys.irregular_key`, by which users are found whose addresses conform to no standard. Where a server of
    # version 1 has written, the step before removes all of these, and this one stores them again.
    Migration(
        collection="profiles",
        pending={
            **{field: {"$exists": False} for field in ("avatar_url", "email_key")},
            "$expr": {"$and": [_LOOKS_LIKE_AN_ADDRESS, _ROOM]},
        },
        update=[{"$set": {"email_key": _EMAIL_KEY}}],
        oldest_program=1,
    ),
    # The anonymous ids of each user, of which the version before has the latest alone.
    Migration(
        collection="profiles",
        pending={"user_id": {"$exists": True}, "$expr": {"$and": [HAS_OTHER_ANONYMOUS_ID, _ROOM]}},
        update=[{"$set": {"anonymous_ids": WITH_OTHER_ANONYMOUS_ID}}],
        oldest_program=1,
    ),
)
"""In order, the first one from version 1 to 2. A released migration never changes."""


def version_after(migrations: Sequence[Migration]) -> int:
    """The version of a program that knows these migrations."""
    return 1 + len(migrations)


@asynccontextmanager
async def serving(
    database: Database, migrations: Sequence[Migration], note_version: Callable[[int], None]
) -> AsyncIterator[None]:
    """Register as a server of a database for the block, and migrate the database when it holds the lease.

    `note_version` is called with the version that all stored documents have at least, soon and then repeatedly.

    Raises InvalidSetting if this program cannot serve the database.
    """
    version = version_after(migrations)
    metrics.SCHEMA_SUPPORTED.set(version)
    presence = Presence(database, version)
    await presence.begin()
    task = asyncio.create_task(_run(database, presence, Migrator(database, migrations), note_version))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await presence.end()


async def _run(
    database: Database, presence: Presence, migrator: "Migrator", note_version: Callable[[int], None]
) -> None:
    while True:
        try:
            await migrator.migrate()
            # Another server may have migrated.
            version = await stored_version(database)
            metrics.SCHEMA_VERSION.set(version)
            note_version(version)
            await asyncio.sleep(BEAT_SECONDS)
            await presence.renew()
        except PyMongoError as error:
            _log.warning("migration waiting", error=type(error).__name__, code=getattr(error, "code", None))
            await asyncio.sleep(BEAT_SECONDS)


class Migrator:
    """Migrates a database to the version of this program. Of all servers, the one that holds the lease does so.

    A migration passes over its collection immediately, and again when the last server of an older version has ended,
    since such a server may have written documents of the older form.
    """

    def __init__(self, database: Database, migrations: Sequence[Migration]) -> None:
        self._database = database
        self._schema = database.get_collection(SCHEMA)
        self._migrations = migrations
        self._version = version_after(migrations)
        self._id = secrets.token_hex(8)
        self._passed = 1
        """The version of the last migration that passed over its collection while older servers ran."""
        self._waits_for = (0, 0)
        """The version, and that of the oldest server, which the log named last."""

    async def migrate(self) -> None:
        """Migrate as far as possible now. Raises PyMongoError, after which it can be continued."""
        if not self._migrations:
            return
        while schema := await self._take():
            to = schema["version"] + 1
            migration = self._migrations[to - 2]
            oldest = await oldest_serving(self._database) or to
            if oldest < migration.oldest_program or (oldest < to and to <= self._passed):
                # This server keeps the lease, which the next beat renews, so no other repeats the pass.
                if self._waits_for != (to, oldest):
                    self._waits_for = to, oldest
                    _log.warning("migration waiting", version=to, oldest=oldest)
                return
            if not await self._pass(migration, to, schema.get("position")):
                return
            self._passed = to
            await self._finish(to)
        await self._schema.update_one({**KEY, "holder": self._id}, {"$unset": {"holder": "", "until": ""}})

    async def _take(self) -> dict[str, Any] | None:
        """Take the lease. None if there is nothing to do, or another server holds it."""
        expired = {"$expr": {"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]}}
        behind = {"version": {"$lt": self._version}, "$or": [{"holder": self._id}, expired]}
        return await self._write(behind, {"holder": self._id, "until": _until()})

    async def _pass(self, migration: Migration, to: int, position: object) -> bool:
        """Pass over the collection, from `position` if there is one. False if the lease was lost."""
        if position is None:
            await self._held({"clean": to, "least": {"$max": ["$least", migration.oldest_program]}})
            # After setting it: an older server that starts from now on lowers it itself.
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
            # Leave the database to callers.
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _finish(self, to: int) -> None:
        """End a pass, and the migration if no older server can have written during the pass."""
        await self._held({"position": "$$REMOVE"})
        alone = {"holder": self._id, "clean": {"$gte": to}}
        if await self._write(alone, {"version": to}):
            _log.info("migrated", version=to)

    async def _held(self, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """Set fields, and renew the lease. None if another server holds it."""
        return await self._write({"holder": self._id}, {**fields, "until": _until()})

    async def _write(self, query: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any] | None:
        document: dict[str, Any] | None = await self._schema.find_one_and_update(
            {**KEY, **query}, [{"$set": fields}], return_document=ReturnDocument.AFTER
        )
        return document


def _until() -> dict[str, Any]:
    return {"$add": ["$$NOW", LEASE_MS]}
