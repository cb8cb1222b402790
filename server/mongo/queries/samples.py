"""Reads the sample of a catalogue."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bson import decode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from server import limits
from server.errors import QueryTooSlow
from server.model import JsonObject
from server.mongo.client import Database
from server.mongo.failures import read_failures
from server.mongo.queries.cursors import ANSWER_SECONDS
from server.mongo.queries.user_queries import profiles_of
from server.users.catalogue.sample import SAMPLE_BYTES, SAMPLE_SECONDS, SAMPLE_USERS, Sample, SamplePlan

_AT_ONCE: Final = 100
"""Profiles that MongoDB returns together."""


class FetchedMetadataDocument:
    """A FetchedMetadata over the bytes of a document."""

    __slots__ = ("_document", "_options")

    def __init__(self, document: RawBSONDocument, options: CodecOptions[Any]) -> None:
        self._document = document
        self._options = options

    @property
    def size(self) -> int:
        """As of FetchedMetadata."""
        return len(self._document.raw)

    def metadata(self) -> JsonObject:
        """As of FetchedMetadata."""
        metadata: JsonObject = decode(self._document.raw, self._options).get("metadata", {})
        return metadata


class MongoMetadataSamples:
    """Samples of the collection `profiles` of a MongoDB database. `clock` returns seconds from any starting point."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        profiles = database.get_collection("profiles")
        self._options: CodecOptions[Any] = profiles.codec_options
        self._raw = profiles.with_options(self._options.with_options(document_class=RawBSONDocument))
        self._clock = clock

    async def sample(self, plan: SamplePlan) -> Sample:
        """As of MetadataSamples."""
        found: list[RawBSONDocument] = []
        is_complete = False
        try:
            with read_failures():
                async with asyncio.timeout(limits.QUERY_SECONDS + ANSWER_SECONDS):
                    is_complete = await self._read(plan, found)
        except QueryTooSlow:
            if not found:
                raise
        users = [FetchedMetadataDocument(document, self._options) for document in found]
        return Sample(users, None if is_complete else found[-1]["_id"])

    async def _read(self, plan: SamplePlan, found: list[RawBSONDocument]) -> bool:
        """Append the documents of a plan, in its order. Returns whether they are all users of the application."""
        started, size = self._clock(), 0
        for first, end in plan.ranges:
            query = profiles_of(plan.application_id) | {"_id": {"$gte": first, "$lt": end}}
            cursor = self._raw.find(query, projection=["metadata"], max_time_ms=1_000 * limits.QUERY_SECONDS)
            cursor.sort("_id", 1).hint("_id_").limit(SAMPLE_USERS + 1).batch_size(_AT_ONCE)
            async for document in cursor:
                # At a limit, this one shows that there are more.
                is_late = self._clock() - started > SAMPLE_SECONDS
                if found and (len(found) == SAMPLE_USERS or size > SAMPLE_BYTES or is_late):
                    await cursor.close()
                    return False
                found.append(document)
                size += len(document.raw)
        return True
