"""Writes profiles of all kinds: each kind has a collection of its own."""

import asyncio
from collections.abc import Sequence

from server.errors import WriteOutcomeUnknown
from server.model import KINDS, ProfileKind, ProfileWrite
from server.mongo.client import Database
from server.mongo.writes.earlier_versions import ALL_ANONYMOUS_IDS
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ports import Again, Outcome


class MongoProfileStores:
    """The profile stores of all kinds in a MongoDB database, as one."""

    def __init__(self, database: Database) -> None:
        self._stores = {kind: MongoProfileStore(database, kind, has_earlier=True) for kind in KINDS}

    def note_version(self, version: int) -> None:
        """Note that all stored profiles are at this version of the schema at least. It is assumed to be the first."""
        for store in self._stores.values():
            store.has_earlier = version < ALL_ANONYMOUS_IDS

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        """As of ProfileStore."""
        kinds = {write.kind for write in writes}
        if len(kinds) == 1:
            return await self._stores[kinds.pop()].apply(writes)
        outcomes: list[Outcome | Again] = [WriteOutcomeUnknown()] * len(writes)

        async def apply_kind(kind: ProfileKind) -> None:
            indexes = [index for index, write in enumerate(writes) if write.kind is kind]
            for index, outcome in zip(
                indexes, await self._stores[kind].apply([writes[index] for index in indexes]), strict=True
            ):
                outcomes[index] = outcome

        # No write may go on after the end of its group, even if there is a defect.
        for defect in await asyncio.gather(*map(apply_kind, kinds), return_exceptions=True):
            if defect is not None:
                raise defect
        return outcomes
