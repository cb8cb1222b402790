"""Reads single visitors from MongoDB."""

from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import timeout

from server.errors import VisitorIdentified, VisitorNotFound
from server.model import VISITORS, Fetched
from server.mongo.client import Database
from server.mongo.documents import FetchedDocument
from server.mongo.driver import READ_SECONDS
from server.mongo.failures import read_failures


class MongoVisitorQueries:
    """The visitors in the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        profiles = database.get_collection("profiles")
        self._options: CodecOptions[Any] = profiles.codec_options
        self._raw = profiles.with_options(self._options.with_options(document_class=RawBSONDocument))

    async def find(self, visitor_id: str) -> Fetched:
        with read_failures(), timeout(READ_SECONDS):
            document: Any = await self._raw.find_one({"_id": visitor_id})
        if document is not None and "pointer" in document:
            raise VisitorIdentified
        # A tombstone is no visitor.
        if document is None or VISITORS.key not in document:
            raise VisitorNotFound
        return FetchedDocument(document, self._options)
