"""The connection to MongoDB, and what it needs before the first update: collections, validator and indexes.

This is the only module that imports Motor, which is deprecated. A move to PyMongo's asynchronous client changes this
file, and annotations in the rest of this package.
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
"""The cursor of a query or an aggregation. Motor has no common type for both."""

_PING_SECONDS = 2.0

# A write is acknowledged when a majority of the members has it in the journal, whatever the URI or the cluster says.
_WRITE_CONCERN = WriteConcern(w="majority", j=True, wtimeout=int(1_000 * WRITE_SECONDS))

# MongoDB's error codes: another server has just created the collection; the collection or index does not exist.
_NAMESPACE_EXISTS = 48
NOT_THERE = frozenset({26, 27})

# MongoDB refuses a write that would break a limit of profiles or store an erased user, with error 121.
_PROFILE_VALIDATOR = {
    "$expr": {"$lte": [{"$bsonSize": "$$ROOT"}, PROFILE_BYTES]},
    f"aliases.{ALIASES}": {"$exists": False},
    # An upper bound, which writes raise (see `values.py`). Profiles of version 0.1 do not have it.
    "values": {"$not": {"$gt": PROFILE_VALUES}},
    # Each update sets the other field. So MongoDB refuses a late update of an erased user within the write itself, and
    # no read before it is needed.
    "$or": [{"suppressed_until": {"$exists": False}}, {"modified_time": {"$exists": False}}],
}

BY_USER_ID = ["application_id", "user_id"]
"""The index of all users by user id, without visitors and without what an erasure leaves."""

STRING: Document = {"$gte": ""}
"""Any string. Unlike `$exists`, an index alone can decide it."""

# Each update makes a whole page dirty, which is written again. Updates hit random pages, so small pages are cheaper.
# They may take more space on disk.
_PROFILE_STORAGE = {"wiredTiger": {"configString": "leaf_page_max=8KB"}}


def connect(uri: str, **options: object) -> Client:
    """A client of the MongoDB at `uri`. `options` of the driver replace the defaults.

    It connects at first use and belongs to the running event loop. Raises InvalidSetting for an invalid `uri`.
    """
    try:
        chosen: Any = options_for(uri, **options)
        return AsyncIOMotorClient(uri, tz_aware=True, **chosen)
    except (PyMongoError, ValueError) as error:
        raise InvalidSetting("USERFOLD_MONGODB_URI is not a MongoDB connection string") from error


def open_database(client: Client, name: str) -> Database:
    """The database, with the read and write concerns that every operation needs."""
    return client.get_database(
        name,
        codec_options=CodecOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_CLAMP),
        write_concern=_WRITE_CONCERN,
        read_concern=ReadConcern("majority"),
        read_preference=ReadPreference.PRIMARY,
    )


async def prepare(database: Database) -> None:
    """Create the collections, the validator and the indexes that are missing. Servers may do so concurrently.

    Raises InvalidSetting if MongoDB refuses.
    """
    try:
        await _create_what_is_missing(database)
    except PyMongoError as error:
        raise unusable(database, error) from error


def unusable(database: Database, error: PyMongoError) -> InvalidSetting:
    """The exception to raise if the database cannot be used. The driver's message may hold a part of the URI."""
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
            # The validator may be of an older version. An equal one changes nothing.
            await database.command("collMod", "profiles", validator=_PROFILE_VALIDATOR)
            break
        # Storage engines other than WiredTiger refuse the option.
    profiles = database.get_collection("profiles")
    # An alias is bound to its application, unlike the values below.
    await profiles.create_index("aliases", sparse=True)
    # MongoDB deletes tombstones within about a minute of their end.
    await profiles.create_index("suppressed_until", expireAfterSeconds=0, sparse=True)
    for field in ("avatar_url", "company_id"):
        await profiles.create_index(["application_id", field], partialFilterExpression={field: {"$exists": True}})
    # The order of lists and the range of reports. `_id` makes the order unique.
    users = {"user_id": {"$exists": True}}
    await profiles.create_index(["application_id", "created_time", "_id"], partialFilterExpression=users)
    # The number of all users, and their order by user id. Only queries for strings can use it, so it is no candidate
    # for others, which MongoDB would have to compare.
    await profiles.create_index(BY_USER_ID, partialFilterExpression={"user_id": STRING})
    await database.get_collection("credentials").create_index("credential_id", unique=True)
    # An early version stored the digests in applications. These unique indexes would allow only one without.
    for name in ("collector_digest_1", "token_digest_1"):
        try:
            await database.get_collection("applications").drop_index(name)
        except OperationFailure as error:
            if error.code not in NOT_THERE:
                raise


async def answers(database: Database) -> bool:
    """Whether the primary responds now."""
    try:
        with pymongo.timeout(_PING_SECONDS):
            await database.command("ping")
    except PyMongoError:
        return False
    return True
