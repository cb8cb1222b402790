"""Writes a snapshot of a database to a backup, and restores it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any, Final

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from server.errors import BackupFailed
from server.model import KINDS
from server.mongo import client as mongodb
from server.mongo.backups.archive import ArchiveReader, ArchiveWriter
from server.mongo.client import LEASES, REFUSALS, Collection, Database, unusable
from server.mongo.schema import KEY, SCHEMA, SERVERS, oldest_serving, require_served
from server.mongo.writes.bulk import DUPLICATE_KEY
from server.users.identity.fill import anonymous_ids_of
from server.users.ids import visitor_id

Counts = Mapping[str, int]
"""Documents by their collection."""

_SLICE: Final = 1000
_SLICE_BYTES: Final = 8 * 1024 * 1024
_RAW = CodecOptions(document_class=RawBSONDocument)
# MongoDB's error code for an expired snapshot.
_SNAPSHOT_TOO_OLD = 239
_KEPT = (*(kind.collection for kind in KINDS), "applications", "credentials")
"""A database is empty if these collections are."""

_OPERATIONAL = frozenset({SERVERS, REFUSALS, LEASES})
"""Collections that describe how the database is used. A backup does not hold them."""

_PROFILE = {"suppressed_until": {"$exists": False}}
"""Matches every document but tombstones."""


@contextmanager
def _errors(database: Database) -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        if getattr(error, "code", None) != _SNAPSHOT_TOO_OLD:
            raise unusable(database, error) from error
        raise BackupFailed(
            "it took longer than MongoDB keeps a snapshot: set its parameter minSnapshotHistoryWindowInSeconds"
        ) from error


async def dump(database: Database, file: IO[bytes], *, allow_empty: bool) -> Counts:
    """Write a backup of the database as it is now, while others write to it. Only a slice is held in memory.

    Raises BackupFailed, also for an empty database that is not allowed, or InvalidSetting.
    """
    with _errors(database):
        counts = await _dump(database, file)
    if not (allow_empty or any(counts.get(name) for name in _KEPT)):
        raise BackupFailed(
            f"the database {database.name!r} is empty: check USERFOLD_MONGODB_URI, USERFOLD_DATABASE and"
            " USERFOLD_DATA_DIR, or allow a backup of nothing with --allow-empty"
        )
    return counts


async def _dump(database: Database, file: IO[bytes]) -> Counts:
    schema = await database.get_collection(SCHEMA).find_one(KEY) or {}
    if schema.get("restoring"):
        raise BackupFailed("the database holds a part of a backup, and no more")
    names = [
        name
        for name in sorted(await database.list_collection_names())
        if name not in _OPERATIONAL and not name.startswith("system.")
    ]
    counts = Counter(dict.fromkeys(names, 0))
    archive = ArchiveWriter(file, {"created_time": datetime.now(UTC), "least": schema.get("least", 1)})
    # All reads of the session are of the moment of its first one.
    async with await database.client.start_session(snapshot=True) as session:
        for name in names:
            documents: list[bytes] = []
            size = 0
            async for document in database.get_collection(name, codec_options=_RAW).find({}, session=session):
                if len(documents) == _SLICE or size > _SLICE_BYTES:
                    archive.add(name, documents)
                    documents, size = [], 0
                documents.append(document.raw)
                size += len(document.raw)
                counts[name] += 1
            archive.add(name, documents)
    archive.close()
    return counts


def verify(file: IO[bytes]) -> tuple[Mapping[str, Any], Counts]:
    """Read a whole backup, and return its header and what it holds. Raises BackupFailed if it is damaged."""
    archive = ArchiveReader(file)
    counts: Counter[str] = Counter()
    for name, documents in archive.slices():
        counts[name] += len(documents)
    return archive.header, counts


async def load(database: Database, file: IO[bytes], version: int, *, replace: bool) -> int:
    """Replace the database by a backup, except users who are erased in the database. Returns their number.

    Tombstones stay, and the visitor whom such a user names in the backup is not restored. No server starts on the
    database until the end, so an interrupted restore must be repeated. Verify the file first. Raises BackupFailed, or
    InvalidSetting if a program of this version cannot serve the backup.
    """
    with _errors(database):
        return await _load(database, file, version, replace=replace)


async def _load(database: Database, file: IO[bytes], version: int, *, replace: bool) -> int:
    schema = database.get_collection(SCHEMA)
    archive = ArchiveReader(file)
    require_served(archive.header, version)
    if await oldest_serving(database) is not None:
        raise BackupFailed("servers use the database: stop them all first, and wait a minute for one that was killed")
    if not (replace or (await schema.find_one(KEY) or {}).get("restoring") or await _is_empty(database)):
        raise BackupFailed("the database is not empty; all that it holds would be replaced with --replace")
    await schema.replace_one(KEY, {"restoring": True}, upsert=True)
    await mongodb.prepare(database)
    for name in await database.list_collection_names():
        if name not in (SCHEMA, SERVERS):
            await database.get_collection(name).delete_many(_PROFILE)
    stored_schema: Mapping[str, Any] = {"version": 1, "clean": 1, "least": 1}
    erased: list[str] = []
    visitors: list[str] = []
    for name, documents in archive.slices():
        collection = database.get_collection(name, codec_options=_RAW)
        raw = [RawBSONDocument(document) for document in documents]
        if name == SCHEMA:
            stored_schema = dict(raw[0]) if raw else stored_schema
        elif raw:
            refused = await _insert(collection, raw)
            users = [each for each in refused if "user_id" in each]
            erased += [each["_id"] for each in users]
            visitors += [
                visitor_id(each["application_id"], anonymous_id)
                for each in users
                for anonymous_id in anonymous_ids_of(each)
            ]
    for field, ids in (("_id", visitors), ("pointer", erased)):
        for start in range(0, len(ids), _SLICE):
            gone = {field: {"$in": ids[start : start + _SLICE]}, **_PROFILE}
            await database.get_collection("profiles").delete_many(gone)
    lease = ("_id", "holder", "until", "position")
    await schema.replace_one(KEY, {field: value for field, value in stored_schema.items() if field not in lease})
    return len(erased)


async def _is_empty(database: Database) -> bool:
    return not any([await database.get_collection(name).find_one({}, projection=["_id"]) for name in _KEPT])


async def _insert(collection: Collection, documents: Sequence[RawBSONDocument]) -> Sequence[Mapping[str, Any]]:
    """Insert documents into a collection. Returns those for which it holds a tombstone."""
    try:
        await collection.insert_many(documents, ordered=False)
        return []
    except BulkWriteError as error:
        details: Mapping[str, Any] = error.details
        if details["writeConcernErrors"] or any(each["code"] != DUPLICATE_KEY for each in details["writeErrors"]):
            raise
        refused = [documents[each["index"]] for each in details["writeErrors"]]
    await _lengthen(collection, (each for each in refused if "suppressed_until" in each))
    return [each for each in refused if "suppressed_until" not in each]


async def _lengthen(collection: Collection, tombstones: Iterable[Mapping[str, Any]]) -> None:
    """Extend stored tombstones to the later end of two."""
    longer = [
        UpdateOne({"_id": each["_id"]}, {"$max": {"suppressed_until": each["suppressed_until"]}}) for each in tombstones
    ]
    if longer:
        await collection.bulk_write(longer, ordered=False)
