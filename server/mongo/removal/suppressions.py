"""Lists and lifts suppressions: the tombstones that erasures leave (see `erasure.py`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import DeleteOne, timeout

from server.errors import WriteOutcomeUnknown
from server.model import Suppression
from server.mongo.client import TOMBSTONES, Database
from server.mongo.driver import READ_SECONDS
from server.mongo.failures import read_failures
from server.mongo.writes.bulk import failure_of, write_in_bulk
from server.users.ids import users_prefix
from server.users.ports import Erased
from server.users.removal.suppressions import SuppressionPage


class MongoSuppressions:
    """The tombstones in the collection `profiles` of a MongoDB database."""

    def __init__(self, database: Database) -> None:
        self._profiles = database.get_collection("profiles")

    async def list_page(self, page: SuppressionPage) -> tuple[Sequence[Suppression], bool]:
        prefix = users_prefix(page.application_id)
        # The character after `/` ends the range of all ids with the prefix.
        after = {"$gt": f"{prefix}{page.after}", "$lt": f"{prefix[:-1]}0"}
        query = {
            "_id": after if page.profile_id is None else {"$eq": page.profile_id, **after},
            # Those that have ended are deleted within about a minute.
            "$expr": {"$gt": ["$suppressed_until", "$$NOW"]},
            "suppressed_until": {"$exists": True},
        }
        with read_failures(), timeout(READ_SECONDS):
            found = self._profiles.find(query, hint=TOMBSTONES).sort("_id", 1).limit(page.limit + 1)
            documents = await found.to_list(page.limit + 1)
        suppressions = [_suppression(document, prefix) for document in documents[: page.limit]]
        return suppressions, len(documents) > page.limit

    async def lift(self, profile_id: str) -> Erased:
        tombstone = DeleteOne({"_id": profile_id, "suppressed_until": {"$exists": True}})
        result = await write_in_bulk(self._profiles, [tombstone])
        if result.codes:
            return failure_of(result.codes[0])
        return WriteOutcomeUnknown() if result.unknown else bool(result.effective)


def _suppression(document: Mapping[str, Any], prefix: str) -> Suppression:
    digest = document["_id"].removeprefix(prefix)
    return Suppression(digest, document.get("suppressed_time"), document["suppressed_until"])
