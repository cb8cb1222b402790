"""Profiles as they are read from MongoDB: one by its id, look-ups, lists, counts and reports."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Protocol, TypeAlias

from bson import decode, encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import ExecutionTimeout, NetworkTimeout, PyMongoError

from server import limits
from server.errors import DatabaseUnavailable, ExportTooLarge, QueryTooSlow, UserfoldError, UserNotFound
from server.keys import unescape_object
from server.listing import Listing
from server.lookup import TOKENS
from server.mask import WHOLE, masked, projection
from server.model import CampaignGroup, CampaignReport, Lookup, Profile, StoredUser
from server.pages import Position
from server.plan import visitor_id
from server.query import Query, users_of
from server.report import Report, group_from_document
from server.store.database import Cursor, Database

# MongoDB's error codes where a time limit was reached.
_TOO_SLOW = frozenset({50, 262})

_WHOLE = projection(WHOLE)
_MILLISECONDS = 1_000 * limits.QUERY_SECONDS
_LATEST_FIRST = [("modified_time", -1), ("modified_nanos", -1), ("_id", 1)]
_EXPORTED_AT_ONCE = 20
_NO_USERS = CampaignGroup({}, 0, (), 0.0, 0)

# Users beyond one a token that a query for many tokens may find.
_SHARING = 100

Found: TypeAlias = tuple[Sequence[Profile], bool]
"""The users that a look-up finds, the latest `modified_time` first, and whether there are more."""


class ProfileQueries(Protocol):
    """Where profiles are read.

    Every answer must hold what was acknowledged before the call. Every method must raise DatabaseUnavailable when the
    database does not answer. None but `find` may answer a visitor without a user id, or what an erasure leaves.
    """

    async def find(self, profile_id: str) -> Profile | None:
        """The profile."""

    async def export(self, application_id: str, profile_ids: Sequence[str]) -> Sequence[StoredUser | UserfoldError]:
        """Everything that is stored about each user, or UserNotFound, as much as `limits.EXPORT_BYTES` hold; for the
        rest ExportTooLarge."""

    async def look_up(self, lookup: Lookup) -> Found:
        """The users that have something in common."""

    async def look_up_tokens(self, lookups: Sequence[Lookup]) -> Sequence[Found] | None:
        """The users of each of several look-ups of session tokens, by one query; None where there are too many."""

    async def list_users(self, listing: Listing) -> tuple[Sequence[Profile], Position | None]:
        """One page, and where it ended; None where nobody follows. Must raise QueryTooSlow after its time."""

    async def count(self, query: Query) -> int:
        """How many users match. Must raise QueryTooSlow after its time."""

    async def report(self, report: Report) -> CampaignReport:
        """The report, its groups and its total of one moment. Must raise QueryTooSlow after its time."""


class MongoProfileQueries:
    """The queries of the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._client = database.client
        self._profiles = database.get_collection("profiles")
        self._options: CodecOptions[dict[str, Any]] = self._profiles.codec_options
        # As bytes, which tell the size of an answer before it is read.
        self._raw = self._profiles.with_options(self._options.with_options(document_class=RawBSONDocument))

    async def find(self, profile_id: str) -> Profile | None:
        with _failures():
            document = await self._profiles.find_one({"_id": profile_id}, projection=_WHOLE)
        # What an erasure may leave under the id of a user is none.
        return profile_from_document(document) if document and "user_id" in document else None

    async def export(self, application_id: str, profile_ids: Sequence[str]) -> Sequence[StoredUser | UserfoldError]:
        found: list[StoredUser | UserfoldError] = []
        room = limits.EXPORT_BYTES
        with _failures():
            for start in range(0, len(profile_ids), _EXPORTED_AT_ONCE):
                if room < 0:
                    break
                ids = profile_ids[start : start + _EXPORTED_AT_ONCE]
                users = await self._documents(users_of(application_id) | {"_id": {"$in": ids}})
                named = {key: user["anonymous_id"] for key, user in users.items() if "anonymous_id" in user}
                visitor_ids = {key: visitor_id(application_id, name) for key, name in named.items()}
                visitors = await self._documents({"_id": {"$in": [*visitor_ids.values()]}})
                for key in ids:
                    user, visitor = users.get(key), visitors.get(visitor_ids.get(key, ""))
                    room -= sum(len(encode(each)) for each in (user, visitor) if each is not None)
                    if room < 0:
                        break
                    found.append(UserNotFound() if user is None else _stored_user(user, visitor))
        return found + [ExportTooLarge()] * (len(profile_ids) - len(found))

    async def _documents(self, query: Query) -> Mapping[str, dict[str, Any]]:
        """The whole documents, by their ids."""
        return {document["_id"]: document async for document in self._profiles.find(query)}

    async def look_up(self, lookup: Lookup) -> Found:
        query = {**users_of(lookup.application_id), lookup.field: {"$eq": lookup.value}}
        with _failures():
            cursor = self._raw.find(query, projection=_WHOLE, max_time_ms=_MILLISECONDS)
            documents, has_more = await self._read(cursor.sort(_LATEST_FIRST).limit(lookup.most + 1), lookup.most)
        return [profile_from_document(document) for document in documents], has_more

    async def look_up_tokens(self, lookups: Sequence[Lookup]) -> Sequence[Found] | None:
        digests = [*{lookup.value for lookup in lookups}]
        # Nothing but an index of tokens can serve this, so MongoDB has no plans to compare.
        query = {TOKENS: {"$in": digests}, "user_id": {"$exists": True}}
        fields = _WHOLE | {"application_id": 1, "asked": {"$setIntersection": ["$" + TOKENS, digests]}}
        most = len(digests) + _SHARING
        with _failures():
            cursor = self._raw.find(query, projection=fields, max_time_ms=_MILLISECONDS)
            documents, has_more = await self._read(cursor.limit(most + 1), most)
        if has_more:
            return None
        documents = sorted(documents, key=itemgetter("_id"))
        documents.sort(key=itemgetter("modified_time", "modified_nanos"), reverse=True)
        found: dict[tuple[str, object], list[dict[str, Any]]] = {}
        for document in documents:
            for digest in document["asked"]:
                found.setdefault((document["application_id"], digest), []).append(document)
        return [
            ([profile_from_document(document) for document in holders[: lookup.most]], len(holders) > lookup.most)
            for lookup in lookups
            for holders in (found.get((lookup.application_id, lookup.value), ()),)
        ]

    async def list_users(self, listing: Listing) -> tuple[Sequence[Profile], Position | None]:
        direction = -1 if listing.descending else 1
        with _failures():
            cursor = self._raw.find(listing.query, projection=projection(listing.mask), max_time_ms=_MILLISECONDS)
            cursor.sort([(key, direction) for key in listing.keys]).limit(listing.most + 1)
            documents, has_more = await self._read(cursor, listing.most)
        position = [documents[-1][key] for key in listing.keys] if has_more else None
        return [masked(profile_from_document(document), listing.mask) for document in documents], position

    async def count(self, query: Query) -> int:
        with _failures():
            return await self._profiles.count_documents(query, maxTimeMS=_MILLISECONDS)

    async def report(self, report: Report) -> CampaignReport:
        options = {"allowDiskUse": True, "maxTimeMS": 1_000 * limits.REPORT_SECONDS}
        with _failures():
            async with asyncio.timeout(limits.REPORT_SECONDS):
                # One snapshot: the groups are to add up to the total.
                async with await self._client.start_session(snapshot=True) as session:
                    cursor = self._raw.aggregate(report.groups, session=session, **options)
                    groups, has_more = await self._read(cursor, report.most)
                    total, _ = await self._read(self._raw.aggregate(report.total, session=session, **options), 1)
        return CampaignReport(
            groups=[group_from_document(report.names, document) for document in groups],
            has_more=has_more,
            total=group_from_document((), total[0]) if total else _NO_USERS,
        )

    async def _read(self, cursor: Cursor, most: int) -> tuple[Sequence[dict[str, Any]], bool]:
        """The first documents, `most` of them or as many as an answer can hold, and whether there are more."""
        documents: list[dict[str, Any]] = []
        size = 0
        async for document in cursor.batch_size(most + 1):
            size += len(document.raw)
            if len(documents) == most or (documents and size > limits.PAGE_BYTES):
                await cursor.close()
                return documents, True
            documents.append(decode(document.raw, self._options))
        return documents, False


@contextmanager
def _failures() -> Iterator[None]:
    """Raise what MongoDB's failures mean."""
    try:
        yield
    except TimeoutError as error:
        raise QueryTooSlow from error
    except PyMongoError as error:
        if isinstance(error, ExecutionTimeout | NetworkTimeout) or getattr(error, "code", None) in _TOO_SLOW:
            raise QueryTooSlow from error
        raise DatabaseUnavailable from error


def _stored_user(document: Mapping[str, Any], visitor: Mapping[str, Any] | None = None) -> StoredUser:
    aliases = document.get("aliases", ())
    return StoredUser(
        profile=profile_from_document({"user_id": "", **document, "alias_count": len(aliases)}),
        observed_ip_address=document.get("observed_ip_address"),
        aliases=[bytes(alias) for alias in aliases],
        visitor=None if visitor is None else _stored_user(visitor),
    )


def profile_from_document(document: Mapping[str, Any]) -> Profile:
    """The profile that a stored document, or a part of it, is: times joined, keys as the caller wrote them."""
    modified: datetime = document["modified_time"]
    since_epoch = modified - datetime(1970, 1, 1, tzinfo=UTC)
    milliseconds = (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000 + since_epoch.microseconds // 1_000
    same = ("company_id", "user_agent_string", "user_agent", "campaign", "anonymous_id")
    derived = ("avatar_url", "email_domain", "company_domain")
    return Profile(
        user_id=document["user_id"],
        created_time=document["created_time"],
        modified_time=milliseconds * 1_000_000 + document["modified_nanos"],
        metadata=unescape_object(document.get("metadata", {})),
        alias_count=document.get("alias_count"),
        ip_address=document.get("ip_address", document.get("observed_ip_address")),
        # Stored as an array of one, which is what one write can keep the first of.
        initial_campaign=next(iter(document.get("initial_campaign", ())), None),
        **{name: document.get(name) for name in same + derived},
    )
