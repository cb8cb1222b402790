"""Look-ups of users by a stored value, those of session tokens alone or together."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import ConnectionFailure, ServerSelectionTimeoutError

from server import limits
from server.model import Fetched, Lookup
from server.mongo.client import Cursor, Database
from server.mongo.documents import FetchedDocument
from server.mongo.failures import read_failures
from server.mongo.queries.cursors import ANSWER_SECONDS, read_documents
from server.mongo.queries.projections import projection
from server.mongo.queries.user_queries import lookup_query, lookup_sort, token_pipeline
from server.query.field_mask import WHOLE
from server.users.finding.lookup import SENT_ALIAS, TOKENS, position_in
from server.users.ports import Found

_WHOLE = projection(WHOLE)
_WITH_SENT_ALIAS = _WHOLE | {SENT_ALIAS: 1}
_MILLISECONDS = 1_000 * limits.QUERY_SECONDS
_NEVER = datetime.min.replace(tzinfo=UTC)

# How many users more than tokens a query for many tokens may find.
_SHARING: Final = 100

_IS_LARGE = {"$gt": [{"$bsonSize": "$metadata"}, limits.GROUPED_METADATA_BYTES]}
_GROUPED = _WITH_SENT_ALIAS | {
    "application_id": 1,
    "is_large": _IS_LARGE,
    "metadata": {"$cond": [_IS_LARGE, "$$REMOVE", "$metadata"]},
}


class Lookups:
    """The look-ups in the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._profiles = database.get_collection("profiles")
        self._options: CodecOptions[Any] = self._profiles.codec_options
        # As bytes, so that the size of a document is known before it is decoded.
        self._raw = self._profiles.with_options(self._options.with_options(document_class=RawBSONDocument))

    async def look_up(self, lookup: Lookup) -> Found:
        """As of ProfileQueries."""
        if lookup.field == TOKENS:
            # The order depends on the token, so it is computed.
            pipeline = token_pipeline(lookup, _WITH_SENT_ALIAS)
            cursor: Cursor = self._raw.aggregate(pipeline, maxTimeMS=_MILLISECONDS)
        else:
            cursor = self._raw.find(lookup_query(lookup), projection=_WHOLE, max_time_ms=_MILLISECONDS)
            cursor.sort([*lookup_sort(lookup).items()]).limit(lookup.limit + 1)
        documents, has_more = await read_documents(cursor, lookup.limit)
        return [self._fetched(document) for document in documents], has_more

    async def look_up_tokens(self, lookups: Sequence[Lookup]) -> Sequence[Found | None] | None:
        """As of ProfileQueries."""
        if len(lookups) == 1:
            return [await self._look_up_token(lookups[0])]
        digests = [*{lookup.value for lookup in lookups}]
        # Only the index of aliases can serve this query, so MongoDB need not compare plans.
        query = {TOKENS: {"$in": digests}, "user_id": {"$exists": True}}
        fields = _GROUPED | {"asked": {"$setIntersection": ["$" + TOKENS, digests]}}
        limit = len(digests) + _SHARING
        cursor = self._raw.find(query, projection=fields, max_time_ms=_MILLISECONDS)
        documents, has_more = await read_documents(cursor.limit(limit + 1), limit, limits.GROUP_LOOKUP_BYTES)
        if has_more:
            return None
        found: dict[tuple[str, object], list[RawBSONDocument]] = {}
        for document in sorted(documents, key=itemgetter("_id")):
            for digest in document["asked"]:
                found.setdefault((document["application_id"], digest), []).append(document)
        return [self._found(lookup, found.get((lookup.application_id, lookup.value), ())) for lookup in lookups]

    async def _look_up_token(self, lookup: Lookup) -> Found | None:
        """The user of a lone look-up of a session token, found in as few steps of MongoDB and the driver as possible.

        None if the look-up must have a query of its own.
        """
        command: dict[str, Any] = {
            "find": self._profiles.name,
            "filter": {TOKENS: lookup.value, "user_id": {"$exists": True}},
            # The order of several users, and whether there are more, would take another kind of query.
            "limit": 2,
            "singleBatch": True,
            "maxTimeMS": _MILLISECONDS,
            "readConcern": self._profiles.read_concern.document,
        }
        with read_failures():
            async with asyncio.timeout(limits.QUERY_SECONDS + ANSWER_SECONDS):
                try:
                    result = await self._profiles.database.command(command, codec_options=self._raw.codec_options)
                except ConnectionFailure as error:
                    if isinstance(error, ServerSelectionTimeoutError):
                        raise
                    # The driver repeats a query, unlike this command.
                    return None
        documents: Sequence[RawBSONDocument] = result["cursor"]["firstBatch"]
        if len(documents) > 1 or sum(len(document.raw) for document in documents) > limits.GROUPED_LOOKUP_BYTES:
            return None
        own = (document for document in documents if document["application_id"] == lookup.application_id)
        return [self._fetched(document) for document in own], False

    def _found(self, lookup: Lookup, documents: Sequence[RawBSONDocument]) -> Found | None:
        """The result of a look-up that found these documents, which are in the order of their ids."""

        def times(document: RawBSONDocument) -> list[Any]:
            *times, _ = position_in(lookup, self._fetched(document))
            return [time or _NEVER for time in times]

        # Most tokens are of one user. Documents with the same times stay in their order, also in reverse.
        page = documents if len(documents) < 2 else sorted(documents, key=times, reverse=True)[: lookup.limit]
        size = sum(len(document.raw) for document in page)
        if size > limits.GROUPED_LOOKUP_BYTES or any(document["is_large"] for document in page):
            return None
        return [self._fetched(document) for document in page], len(documents) > lookup.limit

    def _fetched(self, document: RawBSONDocument) -> Fetched:
        return FetchedDocument(document, self._options)
