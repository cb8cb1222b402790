"""Absorptions that a server did not finish, because it was stopped or lost MongoDB: another one does."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from server.errors import Overloaded, ProfileTooLarge
from server.mongo.client import Database
from server.mongo.identity.absorption import Absorption

_log = structlog.get_logger("userfold.server")

REFRESH_SECONDS: Final = 10.0
"""How often a server looks for pointers that still hold something."""

AT_ONCE: Final = 1_000
"""Pointers that a pass takes."""

_BEGINNING: Final = ObjectId(bytes(12))
"""Before the id of every absorption."""


class PendingAbsorptions:
    """Finishes the absorptions in the collection `profiles` of a MongoDB database.

    Some stay, such as one that is too large for its user. So each pass begins behind the one that the pass before took
    last, and after all that follow come those before it.
    """

    def __init__(self, database: Database, at_once: int = AT_ONCE) -> None:
        self._profiles = database.get_collection("profiles")
        self._absorption = Absorption(self._profiles)
        self._at_once = at_once
        self._last = _BEGINNING

    async def run(self) -> None:
        """Look for unfinished absorptions repeatedly."""
        while True:
            try:
                await self.make_pass()
            except PyMongoError as error:
                _log.warning("absorption waiting", error=type(error).__name__)
            await asyncio.sleep(REFRESH_SECONDS)

    async def make_pass(self) -> None:
        """Finish the next absorptions, at most `at_once`, but those whose documents other writes keep changing.

        Raises PyMongoError. The next pass begins behind the absorption that failed.
        """
        pending = await self._pending({"$gt": self._last}, self._at_once)
        if len(pending) < self._at_once:
            pending += await self._pending({"$lte": self._last}, self._at_once - len(pending))
        for each in pending:
            self._last = each["absorption"]
            try:
                await self._absorption.finish(each["_id"])
            except (Overloaded, ProfileTooLarge):
                continue

    async def _pending(self, absorption: Mapping[str, ObjectId], limit: int) -> list[dict[str, Any]]:
        """The first pointers in the order of their absorptions' ids, which begin with a time."""
        found = self._profiles.find({"absorption": absorption}, ["absorption"]).sort("absorption", 1)
        return await found.limit(limit).to_list(limit)
