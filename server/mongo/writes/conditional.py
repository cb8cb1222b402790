"""Conditional updates: each is applied to the very document whose etag its caller names, or not at all."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bson import decode
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne, timeout
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from server import limits
from server.errors import (
    DatabaseUnavailable,
    EtagMismatch,
    Overloaded,
    ProfileTooLarge,
    UserfoldError,
    WriteOutcomeUnknown,
)
from server.model import STORED, SUPPRESSED, ProfileWrite, Suppressed
from server.mongo.client import Collection
from server.mongo.documents import only
from server.mongo.driver import WRITE_SECONDS
from server.mongo.etags import etag_of
from server.mongo.identity.redirects import Redirects
from server.mongo.writes.bulk import VALIDATION_FAILED, failure_of, write_in_bulk
from server.mongo.writes.earlier_versions import migrating_update
from server.mongo.writes.large_documents import LargeDocuments
from server.mongo.writes.update_document import Pipeline
from server.mongo.writes.values import FIELD, Recount, add_values_exactly, may_add
from server.users.ports import AGAIN, Again, Outcome

_ATTEMPTS: Final = 5
"""How often a write is tried while others change nothing of the profile but what the etag leaves out."""

AT_ONCE: Final = 4
"""How many profiles are read and written at the same time, whatever groups they are in."""


class ConditionalWrites:
    """Applies conditional updates to the profiles of a collection."""

    def __init__(self, profiles: Collection, recount: Recount, redirects: Redirects) -> None:
        self._profiles = profiles
        self._options = profiles.codec_options
        # As bytes, since what is decoded and encoded again need not be the same. The latest document, since a write
        # meets that one, even if it has not reached a majority yet.
        self._latest = profiles.with_options(
            self._options.with_options(document_class=RawBSONDocument), read_concern=ReadConcern("local")
        )
        self._recount = recount
        self._redirects = redirects
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._large = LargeDocuments()

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        """Apply writes, those of one profile in their order. None waits for a write of another profile."""
        outcomes: list[Outcome | Again] = [WriteOutcomeUnknown()] * len(writes)
        queues: dict[str, list[int]] = {}
        for index, write in enumerate(writes):
            queues.setdefault(write.profile_id, []).append(index)

        async def apply_in_order(queue: Sequence[int]) -> None:
            for position, index in enumerate(queue):
                outcome = outcomes[index] = await self._apply(writes[index])
                # After an unknown outcome, the caller may repeat a write, which then follows a later write.
                if outcome is AGAIN or isinstance(outcome, WriteOutcomeUnknown):
                    for later in queue[position + 1 :]:
                        outcomes[later] = outcome
                    return

        with timeout(WRITE_SECONDS):
            # No write may go on after the end of its group, even if there is a defect.
            ended = await asyncio.gather(*map(apply_in_order, queues.values()), return_exceptions=True)
        for defect in filter(None, ended):
            raise defect
        return outcomes

    async def _apply(self, write: ProfileWrite) -> Outcome | Again:
        if not write.recount:
            return await self._attempt(write)
        async with self._recount.turn():
            return await self._attempt(write)

    async def _attempt(self, requested: ProfileWrite) -> Outcome | Again:
        write = requested
        for _ in range(_ATTEMPTS):
            try:
                async with self._slots:
                    read: Any = await self._latest.find_one({"_id": write.profile_id})
                    if read is not None and "pointer" in read:
                        followed = await self._redirects.follow(requested)
                        if isinstance(followed, Suppressed):
                            return SUPPRESSED
                        write = followed or requested
                        continue
            except PyMongoError:
                return DatabaseUnavailable()
            except UserfoldError as error:
                return error
            if read is None:
                return EtagMismatch()
            stored, etag = await self._decoded(read)
            if "suppressed_until" in stored:
                return SUPPRESSED
            if etag != write.etag:
                return EtagMismatch()
            update = await self._update(write, stored)
            if update is None:
                return ProfileTooLarge()
            async with self._slots:
                result = await write_in_bulk(self._profiles, [UpdateOne(only(read), update)])
            if code := result.codes.get(0):
                return self._refused(requested, stored) if code == VALIDATION_FAILED else failure_of(code)
            if result.unknown:
                return WriteOutcomeUnknown()
            if result.effective:
                return STORED
        return Overloaded()

    async def _decoded(self, read: RawBSONDocument) -> tuple[dict[str, Any], str]:
        def decoded() -> tuple[dict[str, Any], str]:
            document: dict[str, Any] = decode(read.raw, self._options)
            return document, etag_of(document)

        return await self._large.work(len(read.raw), decoded)

    async def _update(self, write: ProfileWrite, stored: Mapping[str, Any]) -> Pipeline | None:
        if write.recount:
            return await self._recount.counted_update(write, stored.get("metadata", {}))
        update = migrating_update(write)
        add_values_exactly(update, write.values)
        return update

    def _refused(self, write: ProfileWrite, stored: Mapping[str, Any]) -> Outcome | Again:
        """The outcome of a write that the validator refused."""
        if not write.recount and stored.get(FIELD, 0) + may_add(write.values) > limits.PROFILE_VALUES:
            write.recount = True
            return AGAIN
        return ProfileTooLarge()
