"""Deletions of applications that callers began, which servers finish."""

import asyncio
import secrets
from contextlib import suppress
from typing import Any, Final

import structlog
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from server.errors import UserfoldError
from server.mongo.client import Database
from server.mongo.removal.deletion import ApplicationDeletion

_log = structlog.get_logger("userfold.server")

REFRESH_SECONDS: Final = 10.0
"""How often a server looks for deletions that no server works at, and says that it works at one."""

LEASE_MS: Final = 30_000
"""How long a server may be silent before another one takes over. Two that delete the same do no harm."""


class ContinuedDeletions:
    """Finishes the deletions of applications that are marked with `deletion_until`: until when a server works at it."""

    def __init__(self, database: Database) -> None:
        self._applications = database.get_collection("applications")
        self._deletion = ApplicationDeletion(database)
        self._id = secrets.token_hex(8)

    async def run(self) -> None:
        """Look for deletions repeatedly."""
        while True:
            try:
                await self.finish_all()
            except (PyMongoError, UserfoldError) as error:
                _log.warning("deletion waiting", error=type(error).__name__)
            await asyncio.sleep(REFRESH_SECONDS)

    async def finish_all(self) -> None:
        """Finish all deletions that no other server works at. Raises PyMongoError or DatabaseUnavailable."""
        expired = {"$expr": {"$lte": ["$deletion_until", "$$NOW"]}, "deletion_until": {"$exists": True}}
        while application := await self._take(expired):
            application_id = application["_id"]
            renewing = asyncio.create_task(self._renew(application_id))
            try:
                await self._deletion.finish(application_id, application["deleting_time"], lambda *_: None)
            finally:
                renewing.cancel()
            _log.info("application deleted", application=application_id)

    async def _renew(self, application_id: str) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with suppress(PyMongoError):
                await self._take({"_id": application_id, "deletion_holder": self._id})

    async def _take(self, query: dict[str, Any]) -> dict[str, Any] | None:
        """Say that this server works at a deletion."""
        until = {"deletion_holder": self._id, "deletion_until": {"$add": ["$$NOW", LEASE_MS]}}
        document: dict[str, Any] | None = await self._applications.find_one_and_update(
            query, [{"$set": until}], return_document=ReturnDocument.AFTER
        )
        return document
