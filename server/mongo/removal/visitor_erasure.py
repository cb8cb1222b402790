"""Erases visitors."""

from typing import Any, Final

from pymongo import DeleteOne, timeout
from pymongo.read_concern import ReadConcern

from server.errors import VisitorIdentified, WriteOutcomeUnknown
from server.model import VISITORS, WouldErase
from server.mongo.client import VISITORS_QUERY, Database
from server.mongo.driver import READ_SECONDS
from server.mongo.failures import read_failures
from server.mongo.writes.bulk import failure_of, write_in_bulk

_PREVIEWED: Final = {"pointer": 1, VISITORS.key: 1, "alias_count": {"$size": {"$ifNull": ["$aliases", []]}}}


class MongoVisitorErasure:
    """Erasure of visitors in the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._profiles = database.get_collection("profiles")
        # A pointer that stopped an erasure may not have reached a majority yet.
        self._latest = self._profiles.with_options(read_concern=ReadConcern("local"))

    async def erase(self, visitor_id: str) -> bool:
        result = await write_in_bulk(self._profiles, [DeleteOne({"_id": visitor_id, **VISITORS_QUERY})])
        if result.codes:
            raise failure_of(result.codes[0])
        if result.unknown:
            raise WriteOutcomeUnknown
        if not result.effective:
            with read_failures(), timeout(READ_SECONDS):
                document: Any = await self._latest.find_one({"_id": visitor_id}, projection=["pointer"])
            _require_visitor(document)
        return bool(result.effective)

    async def preview(self, visitor_id: str) -> WouldErase:
        with read_failures(), timeout(READ_SECONDS):
            document: Any = await self._profiles.find_one({"_id": visitor_id}, projection=_PREVIEWED)
        _require_visitor(document)
        # A tombstone is no visitor.
        is_stored = document is not None and VISITORS.key in document
        return WouldErase(is_stored, document["alias_count"] if is_stored else 0, int(is_stored))


def _require_visitor(document: Any) -> None:
    if document is not None and "pointer" in document:
        raise VisitorIdentified
