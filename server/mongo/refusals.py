"""The refusals of each application: how often which kind happened, first and last when.

They are operational data without any value of a caller's. MongoDB deletes a kind 30 days after it happened last. A
backup does not hold them, and no migration changes them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from pymongo import UpdateOne, timeout
from pymongo.errors import PyMongoError

from runtime.refusal_counts import Counts, Occurrences, RefusalKind
from server.mongo.client import REFUSALS, Database
from server.mongo.driver import READ_SECONDS, WRITE_SECONDS
from server.mongo.failures import read_failures

KINDS: Final = 100
"""Kinds that are stored of one application. The kind that has not happened for the longest time is deleted first."""

IN_ALL: Final = 100_000
KINDS_WHEN_FULL: Final = 10
"""While so many kinds of all applications are stored, no more than these of an application with a new kind."""

_APPLICATIONS: Final = 100
"""Applications whose refusals are stored by one command."""


class MongoRefusals:
    """The collection `refusals` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._refusals = database.get_collection(REFUSALS)

    async def add(self, counts: Mapping[str, Counts]) -> Mapping[str, Counts]:
        """Add to the refusals of applications. Returns those that are not known to be stored.

        A count may be too high where MongoDB did not confirm a write that it has made.
        """
        unstored = dict(counts)
        try:
            while some := dict(islice(unstored.items(), _APPLICATIONS)):
                with timeout(WRITE_SECONDS):
                    await self._add(some)
                for application_id in some:
                    del unstored[application_id]
        except PyMongoError:
            pass
        return unstored

    async def _add(self, counts: Mapping[str, Counts]) -> None:
        operations = [
            (application_id, _operation(application_id, kind, occurrences))
            for application_id, kinds in counts.items()
            for kind, occurrences in kinds.items()
        ]
        result = await self._refusals.bulk_write([operation for _, operation in operations], ordered=False)
        new = {operations[position][0] for position in result.upserted_ids or ()}
        if new:
            stored = await self._refusals.estimated_document_count()
            for application_id in sorted(new):
                await self._forget(application_id, KINDS if stored <= IN_ALL else KINDS_WHEN_FULL)

    async def _forget(self, application_id: str, kinds: int) -> None:
        """Delete all but the latest kinds of an application."""
        found = self._refusals.find({"application_id": application_id}, projection=["_id"])
        documents = await found.sort("last_time", -1).skip(kinds).to_list(None)
        if documents:
            await self._refusals.delete_many({"_id": {"$in": [document["_id"] for document in documents]}})

    async def latest(self, application_id: str) -> Sequence[tuple[RefusalKind, Occurrences]]:
        """The kinds of an application, those that happened last first. Raises DatabaseUnavailable."""
        with read_failures(), timeout(READ_SECONDS):
            found = self._refusals.find({"application_id": application_id})
            documents = await found.sort([("last_time", -1), ("_id", 1)]).to_list(KINDS)
        return [(_kind(document), _occurrences(document)) for document in documents]


def _operation(application_id: str, kind: RefusalKind, occurrences: Occurrences) -> UpdateOne:
    key = hashlib.sha256(json.dumps([application_id, *kind]).encode()).digest()
    described = {
        "application_id": application_id,
        "reason": kind.reason,
        "is_warning": kind.is_warning,
        "method": kind.method,
        "fields": [{"field": field, "reason": reason} for field, reason in kind.fields],
        "client_library": kind.client_library,
    }
    update = {
        "$setOnInsert": described,
        "$inc": {"count": occurrences.count},
        "$min": {"first_time": _date(occurrences.first_time)},
        "$max": {"last_time": _date(occurrences.last_time)},
    }
    return UpdateOne({"_id": key}, update, upsert=True)


def _kind(document: Mapping[str, Any]) -> RefusalKind:
    fields = tuple((each["field"], each["reason"]) for each in document["fields"])
    return RefusalKind(
        document["reason"], document["is_warning"], document["method"], fields, document["client_library"]
    )


def _occurrences(document: Mapping[str, Any]) -> Occurrences:
    return Occurrences(document["count"], document["first_time"].timestamp(), document["last_time"].timestamp())


def _date(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
