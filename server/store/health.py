"""Whether MongoDB answers."""

import pymongo
from pymongo.errors import PyMongoError

from server.store.database import Database

_SECONDS = 2.0


async def answers(database: Database) -> bool:
    """Whether the primary answers now."""
    try:
        with pymongo.timeout(_SECONDS):
            await database.command("ping")
    except PyMongoError:
        return False
    return True
