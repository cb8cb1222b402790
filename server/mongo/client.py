"""The connection to MongoDB and what must be there before the first update: collections, validator, indexes.

The only module that imports Motor, which is at the end of its life: a move to PyMongo's own asynchronous client touches
this file, and the annotations in the rest of this package.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from server.limits import ALIASES, PROFILE_BYTES, PROFILE_VALUES
from server.mongo.driver import WRITE_SECONDS, options_for
from server.settings import InvalidSetting

Document = Mapping[str, Any]
Client = AsyncIOMotorClient[dict[str, Any]]
Database = AsyncIOMotorDatabase[dict[str, Any]]
Collection = AsyncIOMotorCollection[dict[str, Any]]
Session = AsyncIOMotorClientSession
Cursor: TypeAlias = Any
"""Of a query or an aggregation: Motor's own types have nothing in common that says what both can."""

_PING_SECONDS = 2.0

# Acknowledged only when a majority of the members has it in the journal, whatever the URI or the cluster says.
_WRITE_CONCERN = WriteConcern(w="majority", j=True, wtimeout=int(1_000 * WRITE_SECONDS))

# MongoDB's error codes: another server has just created the collection; there is no such collection, or index.
_NAMESPACE_EXISTS = 48
_NOT_THERE = frozenset({26, 27})

# The last line of defence of three limits and one promise: MongoDB refuses a write that would break them, with error
# 121.
_PROFILE_VALIDATOR = {
    "$expr": {"$lte": [{"$bsonSize": "$$ROOT"}, PROFILE_BYTES]},
    f"aliases.{ALIASES}": {"$exists": False},
    # An upper bound, which each write raises (see `values.py`). Profiles of before do not have it.
    "values": {"$not": {"$gt": PROFILE_VALUES}},
    # A tombstone stays one: each update sets the other field. So MongoDB refuses the late update of an erased user in
    # the write itself, and nobody has to look before.
    "$or": [{"suppressed_until": {"$exists": False}}, {"modified_time": {"$exists": False}}],
}

# Updates come in no order, and each makes all of a page dirty, to be written again. Pages of 8 KB instead of 32 save
# a fifth of MongoDB's work with a million profiles, for up to four times the space on disk.
_PROFILE_STORAGE = {"wiredTiger": {"configString": "leaf_page_max=8KB"}}


def connect(uri: str, **options: object) -> Client:
    """A client of the MongoDB at `uri`, with `options` of the driver's instead of ours. Connects at first use; belongs
    to the running event loop. Raises InvalidSetting where `uri` is none.
    """
    try:
        chosen: Any = options_for(uri, **options)
        return AsyncIOMotorClient(uri, tz_aware=True, **chosen)
    except (PyMongoError, ValueError) as error:
        raise InvalidSetting("USERFOLD_MONGODB_URI is not a MongoDB connection string") from error


def open_database(client: Client, name: str) -> Database:
    """The database, with the guarantees that every read and write of ours needs."""
    return client.get_database(
        name,
        codec_options=CodecOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_CLAMP),
        write_concern=_WRITE_CONCERN,
        read_concern=ReadConcern("majority"),
        read_preference=ReadPreference.PRIMARY,
    )


async def prepare(database: Database) -> None:
    """Create the collections, the validator and the indexes that are missing. Several servers may do so at once.

    Raises InvalidSetting where MongoDB does not let us.
    """
    try:
        await _create_what_is_missing(database)
    except PyMongoError as error:
        raise unusable(database, error) from error


def unusable(database: Database, error: PyMongoError) -> InvalidSetting:
    """What to raise where the database cannot be used. The driver's own text may hold what the URI holds."""
    return InvalidSetting(
        f"the MongoDB of USERFOLD_MONGODB_URI cannot be used ({type(error).__name__}, code"
        f" {getattr(error, 'code', None)}): it must be a replica set or sharded cluster that can be reached from"
        f" here, on which collections of the database {database.name!r} may be created and written"
    )


async def _create_what_is_missing(database: Database) -> None:
    storage: dict[str, Any] = {"storageEngine": _PROFILE_STORAGE}
    for options in (storage, {}):
        try:
            await database.create_collection("profiles", validator=_PROFILE_VALIDATOR, **options)
            break
        except CollectionInvalid:
            exists = True
        except OperationFailure as error:
            exists = error.code == _NAMESPACE_EXISTS
            if not (exists or options):
                raise
        if exists:
            # It may be of an older version: an equal validator is no change.
            await database.command("collMod", "profiles", validator=_PROFILE_VALIDATOR)
            break
        # Another storage engine than WiredTiger knows no such pages.
    profiles = database.get_collection("profiles")
    # Bound to the application already, unlike the others. A profile without the field costs nothing.
    await profiles.create_index("aliases", sparse=True)
    # Tombstones go by themselves, within a minute of their end.
    await profiles.create_index("suppressed_until", expireAfterSeconds=0, sparse=True)
    for field in ("avatar_url", "company_id"):
        await profiles.create_index(["application_id", field], partialFilterExpression={field: {"$exists": True}})
    # The order of lists and the range of reports. `_id` is unique, so no two users have one place in the order.
    users = {"user_id": {"$exists": True}}
    await profiles.create_index(["application_id", "created_time", "_id"], partialFilterExpression=users)
    await database.get_collection("credentials").create_index("credential_id", unique=True)
    # Of a time when an application held the digests itself: they would let only one be without.
    for name in ("collector_digest_1", "token_digest_1"):
        try:
            await database.get_collection("applications").drop_index(name)
        except OperationFailure as error:
            if error.code not in _NOT_THERE:
                raise


async def answers(database: Database) -> bool:
    """Whether the primary answers now."""
    try:
        with pymongo.timeout(_PING_SECONDS):
            await database.command("ping")
    except PyMongoError:
        return False
    return True
