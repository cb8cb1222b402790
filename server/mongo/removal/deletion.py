"""Deletes an application with everything that is stored of it.

Its credentials are deleted first, so that running servers refuse them soon. When they all do, its data is deleted, in
batches. The application itself is deleted last: an interrupted deletion is continued by running it again.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final, TypeAlias

from pymongo import timeout
from pymongo.errors import PyMongoError

from server.accounts.ports import Counts
from server.errors import ApplicationNotFound, DatabaseUnavailable
from server.model import COMPANIES, USERS, VISITORS
from server.mongo.accounts.transactions import write_errors
from server.mongo.client import (
    BY_COMPANY_ID,
    BY_USER_ID,
    BY_VISITOR,
    REFUSALS,
    STRING,
    TOMBSTONES,
    Collection,
    Database,
)
from server.mongo.declared_indexes import drop
from server.mongo.driver import CREDENTIAL_SECONDS, WRITE_SECONDS
from server.mongo.failures import read_failures
from server.mongo.queries.user_queries import all_by_key
from server.mongo.schema import oldest_serving

SETTLE_SECONDS: Final = 60.0
"""How long after its credentials the data of an application is deleted, where servers run. A server looks a credential
up again after 30 s, and a call that it began before takes some seconds more."""

_BATCH: Final = 1_000
_PAUSE_SECONDS: Final = 0.02
"""Documents that are deleted together, and the pause after that, which leaves the database to callers."""

_COUNT_SECONDS: Final = 600.0


class Step(Enum):
    """The steps of a deletion that take long."""

    WAITING = auto()
    """Until every server refuses the credentials."""
    DELETING = auto()


Progress: TypeAlias = Callable[[Step, int], object]
"""Receives what is being done, and the seconds that remain or the documents deleted so far."""


class ApplicationDeletion:
    """Deletes applications of a MongoDB database. Every method raises DatabaseUnavailable if it does not respond."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._applications = database.get_collection("applications")
        self._credentials = database.get_collection("credentials")
        self._profiles = database.get_collection(USERS.collection)
        self._companies = database.get_collection(COMPANIES.collection)
        self._refusals = database.get_collection(REFUSALS)

    async def count(self, application_id: str, seconds: float = _COUNT_SECONDS) -> Counts:
        """What is stored of an application. Raises ApplicationNotFound where that is nothing, or QueryTooSlow."""
        own = {"application_id": application_id}
        users = {**own, "user_id": STRING}
        with _errors(), timeout(CREDENTIAL_SECONDS):
            application = await self._applications.find_one({"_id": application_id}, projection=["_id"])
        # To count the users of a large application takes long, whatever the driver's timeouts are.
        with read_failures(), timeout(seconds):
            counts = {
                "users": await self._profiles.count_documents(users, hint=[(field, 1) for field in BY_USER_ID]),
                "visitors": await self._profiles.count_documents(
                    all_by_key(application_id, VISITORS), hint=[(field, 1) for field in BY_VISITOR]
                ),
                "companies": await self._companies.count_documents(own, hint=[(field, 1) for field in BY_COMPANY_ID]),
                "suppressions": await self._profiles.count_documents(
                    {**_profiles_of(application_id, "u"), "suppressed_until": {"$exists": True}}, hint=TOMBSTONES
                ),
                "refusals": await self._refusals.count_documents(own),
                "credentials": await self._credentials.count_documents(own),
                "indexes": len(await self._indexes(application_id)),
            }
        if application is None and not any(counts.values()):
            raise ApplicationNotFound
        return counts

    async def delete(self, application_id: str, progress: Progress) -> None:
        """Delete an application and all its data. Waits for SETTLE_SECONDS where servers run.

        Can be repeated after an interruption. Raises ApplicationNotFound where there is nothing of the application.
        """
        await self.count(application_id)
        await self.finish(application_id, await self.begin(application_id), progress)

    async def begin(self, application_id: str, continued_by_servers: bool = False) -> datetime:
        """Mark an application as being deleted, and delete its credentials. Returns since when it is marked.

        If `continued_by_servers`, running servers finish the deletion. Raises WriteOutcomeUnknown.
        """
        with write_errors(), timeout(WRITE_SECONDS):
            began = await self._begin(application_id, continued_by_servers)
            await self._credentials.delete_many({"application_id": application_id})
        return began

    async def finish(self, application_id: str, began: datetime, progress: Progress) -> None:
        """Delete the data of an application that is being deleted since `began`, and then the application."""
        with _errors():
            await self._settle(began, progress)
            await self._drop_indexes(application_id)
            deleted = 0
            stored = (self._profiles, "u"), (self._profiles, "a"), (self._companies, "c")
            for profiles, letter in stored:
                while number := await _delete_batch(profiles, application_id, letter):
                    deleted += number
                    progress(Step.DELETING, deleted)
                    await asyncio.sleep(_PAUSE_SECONDS)
            await self._refusals.delete_many({"application_id": application_id})
            await self._applications.delete_one({"_id": application_id})
            # Again, for a credential or an index that an operator made meanwhile.
            await self._credentials.delete_many({"application_id": application_id})
            await self._drop_indexes(application_id)

    async def _begin(self, application_id: str, continued_by_servers: bool) -> datetime:
        """Mark the application as being deleted, which also withdraws its indexes. Returns since when it is."""
        mark: dict[str, Any] = {"$min": {"deleting_time": datetime.now(UTC)}, "$unset": {"indexes": ""}}
        if continued_by_servers:
            mark["$min"]["deletion_until"] = datetime.now(UTC)
        await self._applications.update_one({"_id": application_id}, mark)
        application = await self._applications.find_one({"_id": application_id}, projection=["deleting_time"])
        began: datetime = application["deleting_time"] if application else datetime.now(UTC)
        return began

    async def _settle(self, began: datetime, progress: Progress) -> None:
        """Wait until no server accepts a credential of the application any more."""
        if await oldest_serving(self._database) is None:
            return
        while (seconds := SETTLE_SECONDS - (datetime.now(UTC) - began).total_seconds()) > 0:
            progress(Step.WAITING, round(seconds))
            await asyncio.sleep(min(seconds, 1.0))

    async def _drop_indexes(self, application_id: str) -> None:
        for name in await self._indexes(application_id):
            await drop(self._profiles, name)

    async def _indexes(self, application_id: str) -> list[str]:
        """The names of the indexes of its declared paths."""
        prefix = f"declared_{application_id}_"
        return [name for name in await self._profiles.index_information() if name.startswith(prefix)]


async def _delete_batch(profiles: Collection, application_id: str, letter: str) -> int:
    query = _profiles_of(application_id, letter)
    found = profiles.find(query, projection=["_id"]).sort("_id", 1).limit(_BATCH)
    ids = [document["_id"] async for document in found]
    if not ids:
        return 0
    return (await profiles.delete_many({"_id": {"$in": ids}})).deleted_count or len(ids)


def _profiles_of(application_id: str, letter: str) -> dict[str, Any]:
    """The profiles of users (`u`), visitors (`a`) or companies (`c`) of an application, and what erasures leave.

    The range alone would also hold profiles of an application whose id begins with this one and a slash.
    """
    prefix = f"{application_id}/{letter}/"
    exact = f"^{re.escape(prefix)}[0-9a-f]{{64}}$"
    return {"_id": {"$gte": prefix, "$lt": f"{prefix[:-1]}0", "$regex": exact}}


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise DatabaseUnavailable from error
