"""The connection to MongoDB, and what it needs before the first update: collections, validator and indexes.

This is the only module that imports Motor, which is deprecated. A move to PyMongo's asynchronous client changes this
file, and annotations in the rest of this package.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

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

from server.limits import ALIASES, ANONYMOUS_IDS, PROFILE_BYTES, PROFILE_VALUES
from server.model import KINDS
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

_INDEX_SECONDS = 3600.0
"""How long a new index of a large collection may take to be built."""

_BUILDING_SECONDS = 0.2
"""The time between two attempts to change a collection while MongoDB builds an index there."""

# A write is acknowledged when a majority of the members has it in the journal, whatever the URI or the cluster says.
_WRITE_CONCERN = WriteConcern(w="majority", j=True, wtimeout=int(1_000 * WRITE_SECONDS))

# MongoDB's error codes: another server has just created the collection; the collection or index does not exist.
_NAMESPACE_EXISTS = 48
_INDEX_IS_BUILT = 12587
NOT_THERE = frozenset({26, 27})

# Whether the alias of this update is the last one. An update on dot-paths cannot move an alias that is there already,
# and is refused then. An update without a token, and one of an older server, has another time, and an older server may
# have removed the alias.
_SENT_ALIAS_IS_LAST: Document = {
    "$or": [
        {"$ne": ["$sent_alias.time", "$stored_time"]},
        {"$eq": [{"$last": "$aliases"}, "$sent_alias.alias"]},
        {"$not": [{"$in": ["$sent_alias.alias", {"$ifNull": ["$aliases", []]}]}]},
    ]
}

# MongoDB refuses a write that would break a limit of profiles, leave aliases in another order than that in which they
# were sent, or store an erased user, with error 121.
PROFILE_VALIDATOR: Document = {
    "$expr": {"$lte": [{"$bsonSize": "$$ROOT"}, PROFILE_BYTES]},
    # A single alias is the last one. To look at it in an expression would be slower.
    "$or": [{"aliases.1": {"$exists": False}}, {"$expr": _SENT_ALIAS_IS_LAST}],
    f"aliases.{ALIASES}": {"$exists": False},
    # An upper bound, which writes raise (see `values.py`). Profiles of version 0.1 do not have it.
    "values": {"$not": {"$gt": PROFILE_VALUES}},
    f"anonymous_ids.{ANONYMOUS_IDS}": {"$exists": False},
    # Each update sets the modified time. So MongoDB refuses a late update of an erased user, and one that meets a
    # pointer (see `identity/pointers.py`), within the write itself, and no read before it is needed.
    "$nor": [
        *({field: {"$exists": True}, "modified_time": {"$exists": True}} for field in ("suppressed_until", "pointer")),
        # An update with a campaign sets the mark. So MongoDB refuses the first one of a profile that is there already,
        # which must store that campaign, and all others need not carry it.
        {"has_first_campaign": {"$exists": True}, "initial_campaign.0": {"$exists": False}},
    ],
}

TOMBSTONES = [("_id", 1), ("suppressed_until", 1)]
"""The index of all tombstones. Profiles are not in it."""

REFUSALS = "refusals"
"""The collection of refusals."""

LEASES = "leases"
"""The collection of what one server at a time does."""

_REFUSALS_SECONDS = 30 * 24 * 3600
"""How long a kind of refusals is stored after it happened last."""

BY_USER_ID = ["application_id", "user_id"]
"""The index of all users by user id, without visitors and without what an erasure leaves."""

BY_COMPANY_ID = ["application_id", "company_id"]
"""The index of all companies by their ids."""

BY_DOMAIN_KEY = ["application_id", "domain_key", "_id"]
"""The index of all companies with a domain."""

BY_EMAIL_KEY = ["application_id", "email_key"]
"""The index of all users with an email address, by its key. Visitors are not in it, however many have an address."""

BY_CREATED_TIME = ["application_id", "created_time", "_id"]
"""The index of all users, or companies, by the time of their creation: the order of lists, and what reports read. `_id`
makes the order unique."""

BY_VISITOR = ["application_id", "user_id", "created_time", "_id"]
"""The index of all visitors by the time of their creation. It costs no update of a user anything, because no update
changes one of these fields. The user id of a visitor is null, and makes the index alone decide what is a visitor.
"""

VISITORS_QUERY: Document = {"user_id": {"$eq": None}, "created_time": {"$exists": True}}
"""Matches visitors: neither users, nor what an erasure leaves, nor visitors who were identified."""

STRING: Document = {"$gte": ""}
"""Any string. Unlike `$exists`, an index alone can decide it."""

DATE: Document = {"$gte": datetime.min.replace(tzinfo=UTC)}
"""Any date, likewise."""


class NeededIndex(NamedTuple):
    """An index of a collection: its keys, all ascending, and its options."""

    collection: str
    keys: Sequence[str | tuple[str, int]]
    options: Document


INDEXES: Final = (
    # An alias is bound to its application, unlike the values below.
    NeededIndex("profiles", ["aliases"], {"sparse": True}),
    # MongoDB deletes tombstones within about a minute of their end.
    NeededIndex("profiles", ["suppressed_until"], {"expireAfterSeconds": 0, "sparse": True}),
    # The tombstones of one application.
    NeededIndex("profiles", TOMBSTONES, {"partialFilterExpression": {"suppressed_until": {"$exists": True}}}),
    *(
        NeededIndex("profiles", ["application_id", field], {"partialFilterExpression": {field: {"$exists": True}}})
        for field in ("avatar_url", "company_id")
    ),
    NeededIndex("profiles", BY_CREATED_TIME, {"partialFilterExpression": {"user_id": {"$exists": True}}}),
    # The number of all users, and their order by user id. Only queries for strings can use it, so it is no candidate
    # for others, which MongoDB would have to compare.
    NeededIndex("profiles", BY_USER_ID, {"partialFilterExpression": {"user_id": STRING}}),
    NeededIndex(
        "profiles", BY_EMAIL_KEY, {"partialFilterExpression": {"email_key": STRING, "user_id": {"$exists": True}}}
    ),
    # All users with an anonymous id. Visitors are not in these.
    *(
        NeededIndex(
            "profiles",
            ["application_id", field],
            {"partialFilterExpression": {field: {"$exists": True}, "user_id": {"$exists": True}}},
        )
        for field in ("anonymous_id", "anonymous_ids")
    ),
    NeededIndex("companies", BY_CREATED_TIME, {}),
    NeededIndex("companies", BY_COMPANY_ID, {}),
    NeededIndex("companies", BY_DOMAIN_KEY, {"partialFilterExpression": {"domain_key": {"$exists": True}}}),
    # The pointers to a profile, and those whose profile is not absorbed yet.
    *(NeededIndex("profiles", [field], {"sparse": True}) for field in ("pointer", "absorption")),
    NeededIndex("profiles", BY_VISITOR, {"partialFilterExpression": VISITORS_QUERY}),
    NeededIndex("credentials", ["credential_id"], {"unique": True}),
    NeededIndex("credentials", ["application_id"], {}),
    NeededIndex(REFUSALS, ["application_id", "last_time"], {}),
    NeededIndex(REFUSALS, ["last_time"], {"expireAfterSeconds": _REFUSALS_SECONDS}),
)
"""The indexes that every server creates at its start."""

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
    for name in dict.fromkeys(kind.collection for kind in KINDS):
        await _create_collection(database, name)
    # To build an index, MongoDB reads the whole collection, and responds when it is ready.
    with pymongo.timeout(_INDEX_SECONDS):
        for index in INDEXES:
            await database.get_collection(index.collection).create_index(index.keys, **index.options)
    # An early version stored the digests in applications. These unique indexes would allow only one without.
    for name in ("collector_digest_1", "token_digest_1"):
        try:
            await database.get_collection("applications").drop_index(name)
        except OperationFailure as error:
            if error.code not in NOT_THERE:
                raise


async def _create_collection(database: Database, name: str) -> None:
    """Create a collection of profiles, or set its validator."""
    storage: dict[str, Any] = {"storageEngine": _PROFILE_STORAGE}
    for options in (storage, {}):
        try:
            await database.create_collection(name, validator=PROFILE_VALIDATOR, **options)
            return
        except CollectionInvalid:
            exists = True
        except OperationFailure as error:
            exists = error.code == _NAMESPACE_EXISTS
            if not (exists or options):
                raise
        if exists:
            await _set_validator(database, name)
            return
        # Storage engines other than WiredTiger refuse the option.


async def _set_validator(database: Database, name: str) -> None:
    """Set the validator of a collection, which may be of an older version."""
    if (await database.get_collection(name).options()).get("validator") == PROFILE_VALIDATOR:
        return
    with pymongo.timeout(_INDEX_SECONDS):
        await once_built(lambda: database.command("collMod", name, validator=PROFILE_VALIDATOR))


async def once_built(change: Callable[[], Awaitable[object]]) -> None:
    """Make a change of a collection that MongoDB refuses while it builds an index there: as soon as it is ready.

    Raises PyMongoError, also where the time of `pymongo.timeout` ends before.
    """
    while True:
        try:
            await change()
            return
        except OperationFailure as error:
            if error.code != _INDEX_IS_BUILT:
                raise
        await asyncio.sleep(_BUILDING_SECONDS)


async def answers(database: Database) -> bool:
    """Whether the primary responds now."""
    try:
        with pymongo.timeout(_PING_SECONDS):
            await database.command("ping")
    except PyMongoError:
        return False
    return True
