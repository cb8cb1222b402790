"""Deletes visitors who had no update for a period.

A pass walks over the visitors who were created before the period, in the order of an index, in small steps. Of all
servers, the one that holds the lease makes it, once a day.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from pymongo import DeleteOne, ReturnDocument, UpdateOne
from pymongo.errors import PyMongoError

from server import metrics
from server.merge.times import stored_time
from server.mongo.client import BY_VISITOR, LEASES, VISITORS_QUERY, Database
from server.mongo.writes.bulk import write_in_bulk

_log = structlog.get_logger("userfold.server")

REFRESH_SECONDS: Final = 60.0
"""How often a server checks whether it is time for a pass."""

LEASE_MS: Final = 30_000
"""How long a server may be silent before another one takes over. It begins the pass again."""

PASS_SECONDS: Final = 24 * 3600
"""How long after the end of a pass the next one begins."""

SLICE: Final = 500
"""Visitors that are examined together."""

_PAUSE_SECONDS: Final = 0.05
_KEY: Final[Mapping[str, Any]] = {"_id": "visitor expiry"}


class VisitorExpiry:
    """Deletes visitors without updates for `days`. `clock` returns nanoseconds since 1970-01-01 UTC."""

    def __init__(self, database: Database, days: int, clock: Callable[[], int], slice_size: int = SLICE) -> None:
        self._profiles = database.get_collection("profiles")
        self._leases = database.get_collection(LEASES)
        self._period = timedelta(days=days)
        self._clock = clock
        self._slice = slice_size
        self._id = secrets.token_hex(8)

    async def run(self) -> None:
        """Make passes repeatedly. Returns at once where visitors never expire."""
        while self._period:
            try:
                await self.expire()
            except PyMongoError as error:
                _log.warning("expiry waiting", error=type(error).__name__, code=getattr(error, "code", None))
            await asyncio.sleep(REFRESH_SECONDS)

    async def expire(self) -> None:
        """Make a pass, if it is time for one and no other server makes it. Raises PyMongoError."""
        await self._leases.update_one(_KEY, {"$setOnInsert": {"next_time": stored_time(0)[0]}}, upsert=True)
        expired = {"$expr": {"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]}}
        if not await self._take({"next_time": {"$lte": self._now()}, "$or": [{"holder": self._id}, expired]}):
            return
        before, deleted = self._now() - self._period, 0
        async for visitors in self._created_before(before):
            number = await self._delete_expired(visitors, before)
            metrics.EXPIRED_VISITORS.inc(number)
            deleted += number
            if not await self._take({"holder": self._id}):
                break
            # Leave the database to callers.
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            ended = {"$set": {"next_time": self._now() + timedelta(seconds=PASS_SECONDS)}, "$unset": {"until": ""}}
            await self._leases.update_one({**_KEY, "holder": self._id}, ended)
        if deleted:
            _log.info("visitors expired", deleted=deleted)

    async def _created_before(self, time: datetime) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """All visitors who were created before a time, in slices."""
        application_id = ""
        while True:
            of_next = {**VISITORS_QUERY, "application_id": {"$gt": application_id}, "created_time": {"$lt": time}}
            found = self._profiles.find(of_next, projection=["application_id"]).hint(_INDEX).sort("application_id", 1)
            first = await found.limit(1).to_list(1)
            if not first:
                return
            application_id = first[0]["application_id"]
            async for visitors in self._of_application(application_id, time):
                yield visitors

    async def _of_application(self, application_id: str, time: datetime) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        after: Mapping[str, Any] | None = None
        while True:
            query: dict[str, Any] = {**VISITORS_QUERY, "application_id": application_id, "created_time": {"$lt": time}}
            if after is not None:
                created = after["created_time"]
                query["created_time"] = {"$gte": created, "$lt": time}
                query["$or"] = [{"created_time": {"$gt": created}}, {"_id": {"$gt": after["_id"]}}]
            found = self._profiles.find(query, projection=["created_time", "stored_time"]).hint(_INDEX)
            visitors = await found.sort([("created_time", 1), ("_id", 1)]).limit(self._slice).to_list(self._slice)
            if not visitors:
                return
            yield visitors
            after = visitors[-1]

    async def _delete_expired(self, visitors: Sequence[Mapping[str, Any]], before: datetime) -> int:
        """Delete those whose latest update was stored before a time. Returns how many were deleted."""
        # Only if there was no update since the visitor was read: each stores another time. Nor may it be a pointer now,
        # which has neither of the two.
        read = [{"stored_time": None, **visitor} for visitor in visitors]
        # Version 0.1 stored no such time. From now on, the visitor is kept for a whole period.
        begin = {"$set": {"stored_time": self._now()}}
        begun = [UpdateOne(each, begin) for each in read if each["stored_time"] is None]
        expired = [DeleteOne(each) for each in read if each["stored_time"] and each["stored_time"] < before]
        # A write that fails is for the next pass.
        if begun:
            await write_in_bulk(self._profiles, begun)
        return (await write_in_bulk(self._profiles, expired)).effective if expired else 0

    async def _take(self, query: Mapping[str, Any]) -> bool:
        """Take or renew the lease. False if another server holds it, or it is not time."""
        until = [{"$set": {"holder": self._id, "until": {"$add": ["$$NOW", LEASE_MS]}}}]
        found = await self._leases.find_one_and_update(
            {**_KEY, **query}, until, projection=["_id"], return_document=ReturnDocument.AFTER
        )
        return found is not None

    def _now(self) -> datetime:
        return stored_time(self._clock())[0]


_INDEX: Final = [(field, 1) for field in BY_VISITOR]
