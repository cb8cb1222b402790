"""How many values a profile holds: an upper bound, and the true number when that reaches the limit.

MongoDB cannot count the values inside nested objects and arrays. So each write adds its values to the field `values` of
the profile, and the validator refuses a profile in which the field exceeds `PROFILE_VALUES`. Only then is the profile
read and counted. A profile of an earlier version, without the field, starts at 0.

Adding makes an update more expensive. So of the writes with few values, one in four, chosen at random, adds four times
its values. A profile that thousands of such writes fill may therefore exceed the limit slightly.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from pymongo import UpdateOne, timeout
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from server import limits
from server.errors import DatabaseUnavailable, Overloaded, ProfileTooLarge, UserfoldError, WriteOutcomeUnknown
from server.merge.patch import apply_patch
from server.model import STORED, SUPPRESSED, Patch, ProfileWrite, Stored, Suppressed
from server.mongo.client import Collection
from server.mongo.writes.bulk import failure_of, write_in_bulk
from server.mongo.writes.earlier_versions import migrating_update
from server.mongo.writes.update_document import Pipeline, UpdateDocument

FIELD: Final = "values"

READ_SECONDS: Final = 2.0
"""How long MongoDB may take to return the reason why it refused a write, while the caller waits."""

PAUSE_SECONDS: Final = 0.1
"""The time between two recounts, each of which holds the interpreter for long."""

_ATTEMPTS = 3

# Of writes with at most `_FEW` values, one in 2 to the power of `_BITS` adds to the upper bound.
_FEW = 16
_BITS = 2

# Each write that changes the metadata changes one of these.
_CHANGED = ("modified_time", "modified_nanos", "stored_time", FIELD)

_READ = ("metadata", "suppressed_until", *_CHANGED)


def added(values: int) -> int:
    """How much a write of so many values adds to the upper bound this time."""
    if values > _FEW:
        return values
    # At random, so that no caller can choose the writes that do not count.
    return 0 if random.getrandbits(_BITS) else values << _BITS


def may_add(values: int) -> int:
    """The maximum that a write of so many values adds."""
    return values if values > _FEW else values << _BITS


def add_values(update: UpdateDocument, values: int) -> None:
    """Let the update on dot-paths add to the upper bound."""
    if amount := added(values):
        update["$inc"] = {FIELD: amount}


def add_values_exactly(pipeline: Pipeline, values: int) -> None:
    """Let the pipeline add to the upper bound."""
    if amount := added(values):
        pipeline.append({"$set": {FIELD: {"$add": [{"$ifNull": [f"${FIELD}", 0]}, amount]}}})


def values_in(value: Mapping[str, Any] | list[Any]) -> int:
    """The number of values of any kind in an object or array, objects and arrays themselves included."""
    inner = value.values() if isinstance(value, Mapping) else value
    return len(inner) + sum([values_in(each) for each in inner if isinstance(each, dict | list)])


class Recount:
    """Writes to profiles whose upper bound has reached the limit. Belongs to the running event loop."""

    def __init__(self, profiles: Collection) -> None:
        self._profiles = profiles
        # The document that refused a write may not have reached a majority yet.
        self._latest = profiles.with_options(read_concern=ReadConcern("local"))
        self._one_at_a_time = asyncio.Lock()
        self._next = 0.0

    async def write(self, write: ProfileWrite) -> UserfoldError | Suppressed | Stored | None:
        """Apply a write if the profile then holds at most `PROFILE_VALUES` values, or no more than before.

        Returns None, and writes nothing, if there is no such profile any more.
        """
        async with self.turn():
            for _ in range(_ATTEMPTS):
                try:
                    with timeout(READ_SECONDS):
                        stored = await self._latest.find_one({"_id": write.profile_id}, projection=_READ)
                except PyMongoError:
                    return DatabaseUnavailable()
                if stored is None:
                    return None
                if "suppressed_until" in stored:
                    return SUPPRESSED
                outcome = await self._write(write, stored)
                if outcome is not None:
                    return outcome
        return Overloaded()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """In the block, no other profile is counted. Each block begins a pause after the one before."""
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            await asyncio.sleep(max(0.0, self._next - loop.time()))
            try:
                yield
            finally:
                self._next = loop.time() + PAUSE_SECONDS

    async def counted_update(self, write: ProfileWrite, metadata: Mapping[str, Any]) -> Pipeline | None:
        """The update of a profile with this metadata, which also sets the true number of its values.

        None if the profile would then hold more than `PROFILE_VALUES`, and more than before.
        """
        # In a thread, so that the event loop can run meanwhile.
        values, before = await asyncio.to_thread(_counts, metadata, write.patch)
        if values > max(limits.PROFILE_VALUES, before):
            return None
        update = migrating_update(write)
        update.append({"$set": {FIELD: min(values, limits.PROFILE_VALUES)}})
        return update

    async def _write(self, write: ProfileWrite, stored: Mapping[str, Any]) -> UserfoldError | Stored | None:
        """Apply a write to the profile that was read. Returns None if it has changed since."""
        update = await self.counted_update(write, stored.get("metadata", {}))
        if update is None:
            return ProfileTooLarge()
        as_read = {name: stored.get(name) for name in _CHANGED}
        result = await write_in_bulk(self._profiles, [UpdateOne({"_id": write.profile_id, **as_read}, update)])
        if result.codes:
            return failure_of(result.codes[0])
        if result.unknown:
            return WriteOutcomeUnknown()
        return STORED if result.effective else None


def _counts(metadata: Mapping[str, Any], patch: Patch) -> tuple[int, int]:
    """The number of values after the patch, and before it."""
    change = patch.get("metadata")
    before = values_in(metadata)
    return values_in(apply_patch(metadata, change)) if isinstance(change, dict) else before, before
