"""Reads profiles from MongoDB: by id, look-ups, lists, counts and reports."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import timeout

from server import limits
from server.errors import NOT_FOUND, IndexRequired, QueryTooSlow, ResponseTooLarge, UserfoldError
from server.model import COMPANIES, USERS, VISITORS, CampaignReport, Fetched, Lookup, Prefix, ProfileKind
from server.mongo.client import BY_COMPANY_ID, BY_EMAIL_KEY, BY_USER_ID, BY_VISITOR, Database
from server.mongo.declared_indexes import DeclaredIndexes
from server.mongo.documents import FetchedDocument
from server.mongo.driver import READ_SECONDS
from server.mongo.failures import read_failures
from server.mongo.identity.pointers import resolve
from server.mongo.queries.cursors import ANSWER_SECONDS, read_documents
from server.mongo.queries.indexes import is_served, path_to_declare, reads_all
from server.mongo.queries.lookups import Lookups
from server.mongo.queries.projections import Projection, cut_projection, projection
from server.mongo.queries.reports import CampaignReports
from server.mongo.queries.user_queries import (
    Query,
    all_by_key,
    page_query,
    prefix_query,
    profile_query,
    profiles_of,
)
from server.query.conditions import ProfileQuery, StoredPath
from server.query.declared_paths import text_of
from server.query.field_mask import Mask, whole
from server.users.finding.suggest import SUGGESTED
from server.users.identity.fill import ABSORPTIONS, anonymous_ids_of
from server.users.ids import visitor_id
from server.users.list_users import Listing
from server.users.ports import Found
from server.users.report_campaigns import Report

_POINTER: Projection = {"pointer": 1}
_SUGGESTED = cut_projection(SUGGESTED, limits.SUGGESTED_CHARACTERS)
_EVERY = {USERS: BY_USER_ID, COMPANIES: BY_COMPANY_ID, VISITORS: BY_VISITOR}
_PREFIX_INDEXES = {"user_id": BY_USER_ID, "email_key": BY_EMAIL_KEY}
_MILLISECONDS = 1_000 * limits.QUERY_SECONDS

# Profiles of any size that are read by one query.
_LARGE_AT_ONCE = 20


class MongoProfileQueries:
    """The queries of the profiles of one kind in a MongoDB database. Look-ups, suggestions and reports are of users."""

    def __init__(self, database: Database, indexes: DeclaredIndexes | None = None, kind: ProfileKind = USERS) -> None:
        self._indexes = indexes
        self._kind = kind
        self._whole = whole(kind)
        self._whole_projection = projection(self._whole)
        self._profiles = database.get_collection(kind.collection)
        self._options: CodecOptions[Any] = self._profiles.codec_options
        # As bytes, so that the size of a document is known before it is decoded.
        self._raw = self._profiles.with_options(self._options.with_options(document_class=RawBSONDocument))
        self._lookups = Lookups(database)
        self._reports = CampaignReports(database)

    async def find(self, profile_id: str) -> Fetched | None:
        with read_failures(), timeout(READ_SECONDS):
            document: Any = await self._raw.find_one({"_id": profile_id}, projection=self._whole_projection | _POINTER)
            if document is not None and "pointer" in document:
                (followed,) = await self._followed([profile_id])
                document = await self._raw.find_one({"_id": followed}, projection=self._whole_projection)
        # A tombstone is no user.
        return self._fetched(document) if document is not None and self._kind.key in document else None

    async def find_many(self, profile_ids: Sequence[str], mask: Mask) -> Sequence[Fetched | UserfoldError]:
        found: list[Fetched | UserfoldError] = []
        room, fields = limits.ANSWER_BYTES, projection(mask)
        with read_failures(), timeout(READ_SECONDS):
            # Usually, this query reads all: a thousand profiles of this size fit into a response.
            is_small = {"$lte": [{"$bsonSize": "$$ROOT"}, limits.ANSWER_BYTES // limits.BATCH_UPDATES]}
            small = await self._documents({"_id": {"$in": profile_ids}, "$expr": is_small}, fields | _POINTER)
            if any("pointer" in document for document in small.values()):
                profile_ids = await self._followed(profile_ids)
                small = await self._documents({"_id": {"$in": profile_ids}, "$expr": is_small}, fields)
            for start in range(0, len(profile_ids), _LARGE_AT_ONCE):
                ids = profile_ids[start : start + _LARGE_AT_ONCE]
                left = [key for key in ids if key not in small]
                large = await self._documents({"_id": {"$in": left}}, fields) if left else {}
                for key in ids:
                    document = large.get(key, small.get(key))
                    if document is None or self._kind.key not in document:
                        found.append(NOT_FOUND[self._kind]())
                        continue
                    each = FetchedDocument(document, self._options, mask=mask)
                    room -= each.size
                    if room < 0 and any(isinstance(before, FetchedDocument) for before in found):
                        return found + [ResponseTooLarge()] * (len(profile_ids) - len(found))
                    found.append(each)
        return found

    async def export(self, application_id: str, profile_ids: Sequence[str]) -> Sequence[Fetched | UserfoldError]:
        found: list[Fetched | UserfoldError] = []
        room = limits.ANSWER_BYTES
        with read_failures(), timeout(READ_SECONDS):
            profile_ids = await self._followed(profile_ids)
            for start in range(0, len(profile_ids), _LARGE_AT_ONCE):
                ids = profile_ids[start : start + _LARGE_AT_ONCE]
                users = await self._documents(profiles_of(application_id, self._kind) | {"_id": {"$in": ids}})
                visitors = await self._visitors(application_id, users)
                for key in ids:
                    user = users.get(key)
                    each = None if user is None else FetchedDocument(user, self._options, visitors=visitors[key])
                    room -= each.size if each else 0
                    if room < 0 and any(isinstance(before, FetchedDocument) for before in found):
                        return found + [ResponseTooLarge()] * (len(profile_ids) - len(found))
                    found.append(each or NOT_FOUND[self._kind]())
        return found

    async def _visitors(
        self, application_id: str, users: Mapping[str, RawBSONDocument]
    ) -> Mapping[str, Sequence[RawBSONDocument]]:
        """The profiles of visitors that belong to each of these users and are no part of them, as many as fit."""
        found: dict[str, list[RawBSONDocument]] = {key: [] for key in users}
        if not users:
            return found
        named = {
            visitor_id(application_id, anonymous_id): key
            for key, user in users.items()
            for anonymous_id in anonymous_ids_of(user)
        }
        query = {
            "$or": [
                {"_id": {"$in": [*named]}, "anonymous_id": {"$exists": True}},
                {"pointer": {"$in": [*users]}, "absorption": {"$exists": True}},
            ]
        }
        room = limits.ANSWER_BYTES
        async for document in self._raw.find(query).sort("_id", 1):
            room -= len(document.raw)
            if room < 0:
                break
            if "pointer" not in document:
                found[named[document["_id"]]].append(document)
            elif document["absorption"] not in users[document["pointer"]].get(ABSORPTIONS, ()):
                found[document["pointer"]].append(document["absorbed"])
        return found

    async def _followed(self, profile_ids: Sequence[str]) -> Sequence[str]:
        """The ids, with those of users in place of pointers that lead to them."""
        targets = await resolve(self._profiles, profile_ids) if self._kind is USERS else {}
        return [targets[key].profile_id if key in targets else key for key in profile_ids]

    async def _documents(self, query: Query, fields: Projection | None = None) -> Mapping[str, RawBSONDocument]:
        """The documents that match, by `_id`."""
        cursor = self._raw.find(query, projection=fields).batch_size(limits.BATCH_UPDATES + 1)
        return {document["_id"]: document async for document in cursor}

    async def look_up(self, lookup: Lookup) -> Found:
        return await self._lookups.look_up(lookup)

    async def look_up_tokens(self, lookups: Sequence[Lookup]) -> Sequence[Found | None] | None:
        return await self._lookups.look_up_tokens(lookups)

    async def starting_with(self, prefix: Prefix) -> Sequence[Fetched]:
        cursor = self._raw.find(prefix_query(prefix), projection=_SUGGESTED, max_time_ms=_MILLISECONDS)
        cursor.sort(prefix.field, 1).limit(prefix.limit).hint(_PREFIX_INDEXES[prefix.field])
        documents, _ = await read_documents(cursor, prefix.limit)
        return [FetchedDocument(document, self._options, mask=SUGGESTED) for document in documents]

    async def list_users(self, listing: Listing) -> tuple[Sequence[Fetched], bool]:
        declared = self._declared(listing.query.application_id)
        await self._require_time(listing.query, listing.keys[0], declared)
        direction = -1 if listing.descending else 1
        # The order helps where no index finds the users.
        by_key = listing.keys[0] == self._kind.key and not is_served(listing.query, declared)
        query = page_query(listing, by_key=by_key)
        cursor = self._raw.find(query, projection=projection(listing.mask), max_time_ms=_MILLISECONDS)
        cursor.sort([(key, direction) for key in listing.keys]).limit(listing.limit + 1)
        if by_key:
            cursor.hint(_EVERY[self._kind])
        documents, has_more = await read_documents(cursor, listing.limit)
        return [FetchedDocument(document, self._options, mask=listing.mask) for document in documents], has_more

    async def count(self, query: ProfileQuery) -> int:
        await self._require_time(query, None, self._declared(query.application_id))
        with read_failures():
            async with asyncio.timeout(limits.QUERY_SECONDS + ANSWER_SECONDS):
                if query.conditions:
                    return await self._profiles.count_documents(profile_query(query), maxTimeMS=_MILLISECONDS)
                # No profile is read: the index alone counts.
                return await self._profiles.count_documents(
                    all_by_key(query.application_id, self._kind), maxTimeMS=_MILLISECONDS, hint=_EVERY[self._kind]
                )

    async def report(self, report: Report) -> CampaignReport:
        return await self._reports.report(report, self._declared(report.query.application_id))

    async def _require_time(self, query: ProfileQuery, order: str | None, declared: AbstractSet[StoredPath]) -> None:
        """Raise IndexRequired, or QueryTooSlow, for a query that reads all profiles of an application with too many."""
        if not reads_all(query, order, declared):
            return
        limit = limits.UNINDEXED_USERS
        with read_failures():
            async with asyncio.timeout(limits.QUERY_SECONDS + ANSWER_SECONDS):
                if await self._profiles.estimated_document_count(maxTimeMS=_MILLISECONDS) <= limit:
                    return
                profiles = await self._profiles.count_documents(
                    all_by_key(query.application_id, self._kind),
                    limit=limit + 1,
                    maxTimeMS=_MILLISECONDS,
                    hint=_EVERY[self._kind],
                )
        if profiles > limit:
            path = path_to_declare(query, order) if self._kind.has_declared_paths else None
            raise QueryTooSlow if path is None else IndexRequired(text_of(path))

    def _declared(self, application_id: str) -> AbstractSet[StoredPath]:
        return frozenset() if self._indexes is None else self._indexes.of(application_id)

    def _fetched(self, document: RawBSONDocument) -> Fetched:
        return FetchedDocument(document, self._options, mask=self._whole)
