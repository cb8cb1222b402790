"""Absorptions that a server did not finish, because it was stopped or lost MongoDB: another one does."""

import asyncio
from typing import Final

import structlog
from pymongo.errors import PyMongoError

from server.errors import Overloaded, ProfileTooLarge
from server.mongo.client import Database
from server.mongo.identity.absorption import Absorption

_log = structlog.get_logger("userfold.server")

REFRESH_SECONDS: Final = 10.0
"""How often a server looks for pointers that still hold something."""

_AT_ONCE: Final = 1_000
"""Pointers that are found together."""


class PendingAbsorptions:
    """Finishes the absorptions in the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._profiles = database.get_collection("profiles")
        self._absorption = Absorption(self._profiles)

    async def run(self) -> None:
        """Look for unfinished absorptions repeatedly."""
        while True:
            try:
                await self.finish_all()
            except PyMongoError as error:
                _log.warning("absorption waiting", error=type(error).__name__)
            await asyncio.sleep(REFRESH_SECONDS)

    async def finish_all(self) -> None:
        """Finish all absorptions that are there now, but those whose documents other writes keep changing.

        Raises PyMongoError.
        """
        # In the order of their ids, which begin with a time: those that are too large are the first, and stay.
        pending = self._profiles.find({"absorption": {"$exists": True}}, ["_id"]).sort("absorption", 1).limit(_AT_ONCE)
        for pointer in [each["_id"] async for each in pending]:
            try:
                await self._absorption.finish(pointer)
            except (Overloaded, ProfileTooLarge):
                continue
