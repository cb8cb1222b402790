"""Dry runs: MongoDB computes what updates would make of profiles, by the pipelines that would write them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from bson import decode, encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import timeout
from pymongo.errors import DocumentTooLarge, PyMongoError

from server import limits
from server.errors import EtagMismatch, ProfileTooLarge, UserfoldError
from server.model import SUPPRESSED, USERS, Fetched, Preview, ProfileKind, ProfileWrite, Suppressed
from server.mongo.client import Database
from server.mongo.documents import FetchedDocument
from server.mongo.driver import READ_SECONDS
from server.mongo.etags import etag_of
from server.mongo.failures import read_failures
from server.mongo.identity.pointers import IS_NO_POINTER, End, resolve
from server.mongo.identity.redirects import redirected
from server.mongo.writes.bulk import is_too_large
from server.mongo.writes.earlier_versions import migrating_update
from server.mongo.writes.values import values_in
from server.query.field_mask import whole
from server.users.ports import Previewed

_Result = TypeVar("_Result")

_AT_ONCE: Final = 20
"""Profiles that are read, and updates that are computed, by one command."""

_COMMAND_BYTES: Final = 8 * 1024 * 1024
"""The size of the profiles and updates of such a command. A single update may be larger."""

_BYTES_PER_VALUE: Final = 3
"""The smallest value in BSON: its type, a key of one byte, and the end of the key, which an empty string is not."""


class MongoProfilePreviews:
    """The previews of writes of the profiles of one kind in a MongoDB database."""

    def __init__(self, database: Database, kind: ProfileKind = USERS) -> None:
        self._mask = whole(kind)
        self._options: CodecOptions[Any] = database.codec_options
        # As bytes, since what is decoded and encoded again need not be the same.
        raw: Any = self._options.with_options(document_class=RawBSONDocument)
        self._database = database.with_options(codec_options=raw)
        self._profiles = self._database.get_collection(kind.collection)

    async def preview(self, writes: Sequence[ProfileWrite]) -> AsyncGenerator[Previewed, None]:
        """As of ProfilePreviews."""
        writes = await self._followed(writes)
        last = {write.profile_id: index for index, write in enumerate(writes)}
        # Profiles of which there are later writes.
        known: dict[str, RawBSONDocument] = {}
        start = 0
        while start < len(writes):
            part = _of_different_profiles(writes, start)
            before = known | await self._read([key for each in part if (key := each.profile_id) not in known])
            after = await self._after(part, before)
            for index, (write, outcome) in enumerate(zip(part, after, strict=True), start):
                key, stored = write.profile_id, before.get(write.profile_id)
                latest = outcome if isinstance(outcome, RawBSONDocument) else stored
                known.pop(key, None)
                if latest is not None and last[key] > index:
                    known[key] = latest
                if isinstance(outcome, RawBSONDocument):
                    yield Preview(None if stored is None else self._fetched(stored), self._fetched(outcome))
                else:
                    yield outcome
            start += len(part)

    async def _followed(self, writes: Sequence[ProfileWrite]) -> Sequence[ProfileWrite]:
        """The writes, with those of users in place of writes of pointers that lead to them."""
        with read_failures(), timeout(READ_SECONDS):
            targets = await resolve(self._profiles, [write.profile_id for write in writes])
        ends = {key: target.profile_id for key, target in targets.items() if target.end is not End.NOWHERE}
        return [redirected(write, ends[write.profile_id]) if write.profile_id in ends else write for write in writes]

    async def _read(self, profile_ids: Sequence[str]) -> dict[str, RawBSONDocument]:
        """The stored documents, by `_id`."""
        if not profile_ids:
            return {}
        with read_failures(), timeout(READ_SECONDS):
            cursor: Any = self._profiles.find({"_id": {"$in": profile_ids}, **IS_NO_POINTER})
            return {document["_id"]: document async for document in cursor}

    async def _after(
        self, writes: Sequence[ProfileWrite], before: Mapping[str, RawBSONDocument]
    ) -> Sequence[RawBSONDocument | UserfoldError | Suppressed]:
        """The document that each write makes of the one before, or why it makes none."""
        outcomes: dict[int, RawBSONDocument | UserfoldError | Suppressed] = {}
        pending: list[tuple[int, ProfileWrite, RawBSONDocument]] = []
        size = 0
        for index, write in enumerate(writes):
            document = before.get(write.profile_id)
            if (refused := await self._refused(write, document)) is not None:
                outcomes[index] = refused
                continue
            document = document or RawBSONDocument(encode({"_id": write.profile_id}))
            if pending and size + len(document.raw) + write.size > _COMMAND_BYTES:
                outcomes |= await self._computed(pending)
                pending, size = [], 0
            pending.append((index, write, document))
            size += len(document.raw) + write.size
        if pending:
            outcomes |= await self._computed(pending)
        return [outcomes[index] for index in range(len(writes))]

    async def _refused(
        self, write: ProfileWrite, document: RawBSONDocument | None
    ) -> UserfoldError | Suppressed | None:
        """Why a write changes nothing of its document, if it does not."""
        if document is not None and "suppressed_until" in document:
            return SUPPRESSED
        if write.etag is None:
            return None
        if document is None or await self._in_thread(document, etag_of) != write.etag:
            return EtagMismatch()
        return None

    async def _computed(
        self, writes: Sequence[tuple[int, ProfileWrite, RawBSONDocument]]
    ) -> dict[int, RawBSONDocument | UserfoldError | Suppressed]:
        """The documents after writes, by their indices."""
        first, *others = [_pipeline(write, stored) for _, write, stored in writes]
        pipeline = [*first, *({"$unionWith": {"pipeline": each}} for each in others)]
        with read_failures(), timeout(READ_SECONDS):
            try:
                cursor: Any = self._database.aggregate(pipeline)
                documents = [document async for document in cursor]
            except (PyMongoError, DocumentTooLarge) as error:
                if not is_too_large(error):
                    raise
                if len(writes) == 1:
                    return {writes[0][0]: ProfileTooLarge()}
                return {key: each for write in writes for key, each in (await self._computed([write])).items()}
        outcomes: dict[int, RawBSONDocument | UserfoldError | Suppressed] = {}
        for (index, _, before), after in zip(writes, documents, strict=True):
            outcomes[index] = after if await self._fits(before, after) else ProfileTooLarge()
        return outcomes

    async def _fits(self, before: RawBSONDocument, after: RawBSONDocument) -> bool:
        """Whether a document is within the limits of profiles."""
        size = len(after.raw)
        if size <= limits.PROFILE_VALUES * _BYTES_PER_VALUE:
            return True
        if size > limits.PROFILE_BYTES:
            return False
        values = await self._in_thread(after, _values_of)
        return values <= limits.PROFILE_VALUES or values <= await self._in_thread(before, _values_of)

    async def _in_thread(self, document: RawBSONDocument, function: Callable[[Mapping[str, Any]], _Result]) -> _Result:
        """What a function returns for the decoded document. For a large one, in a thread, as it takes milliseconds."""
        if len(document.raw) <= limits.SLICE_BYTES:
            return function(decode(document.raw, self._options))
        return await asyncio.to_thread(lambda: function(decode(document.raw, self._options)))

    def _fetched(self, document: RawBSONDocument) -> Fetched:
        return FetchedDocument(document, self._options, mask=self._mask)


def _of_different_profiles(writes: Sequence[ProfileWrite], start: int) -> Sequence[ProfileWrite]:
    """The writes from `start` on, up to the first of a profile that is among them already."""
    part: dict[str, ProfileWrite] = {}
    for write in writes[start : start + _AT_ONCE]:
        if write.profile_id in part:
            break
        part[write.profile_id] = write
    return list(part.values())


def _pipeline(write: ProfileWrite, stored: RawBSONDocument) -> list[dict[str, Any]]:
    """Returns the document that a write makes of this one."""
    return [{"$documents": [{"$literal": stored}]}, *migrating_update(write)]


def _values_of(document: Mapping[str, Any]) -> int:
    return values_in(document.get("metadata", {}))
