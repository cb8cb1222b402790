"""How many values a profile holds: an upper bound with each write, and the true number where that reaches the limit.

Nothing in MongoDB counts the values inside nested objects and arrays. So writes add what they may add at most to the
field `values` of the profile, and the collection's validator refuses a profile in which it passes `PROFILE_VALUES`.
Only then is the profile read and counted. A profile of an earlier version without the field starts at 0.

To add costs MongoDB a tenth of an ordinary update. So of the writes with few values, one in four adds four times as
much, chosen by chance. A profile that is filled by thousands of them may then hold some more than the limit: 10,000
more less than once in a billion such profiles.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Final

from pymongo import UpdateOne, timeout
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from server import limits
from server.errors import DatabaseUnavailable, Overloaded, ProfileTooLarge, UserfoldError, WriteOutcomeUnknown
from server.merge.patch import apply_patch
from server.model import STORED, SUPPRESSED, Patch, ProfileWrite, Stored, Suppressed
from server.mongo.bulk import failure_of, write_in_bulk
from server.mongo.client import Collection
from server.mongo.update_document import Pipeline, UpdateDocument, exact_update

FIELD: Final = "values"

READ_SECONDS: Final = 2.0
"""How long MongoDB may take to say why it refused a write: the caller still waits for the answer."""

PAUSE_SECONDS: Final = 0.1
"""The time between two recounts. Each holds the interpreter for some ten milliseconds."""

_ATTEMPTS = 3

# Up to so many values, one write in 2 to the power of `_BITS` adds to the upper bound.
_FEW = 16
_BITS = 2

# Each write changes one of these, to which a change of the metadata belongs.
_CHANGED = ("modified_time", "modified_nanos", "stored_time", FIELD)

_READ = ("metadata", "suppressed_until", *_CHANGED)


def added(values: int) -> int:
    """How much a write of so many values adds to the upper bound this time."""
    if values > _FEW:
        return values
    # By chance, so that nobody can choose the writes that do not count.
    return 0 if random.getrandbits(_BITS) else values << _BITS


def may_add(values: int) -> int:
    """How much a write of so many values adds at most."""
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
        # A majority may not have yet what has just refused a write.
        self._latest = profiles.with_options(read_concern=ReadConcern("local"))
        self._one_at_a_time = asyncio.Lock()
        self._next = 0.0

    async def write(self, write: ProfileWrite) -> UserfoldError | Suppressed | Stored | None:
        """Apply a write where the profile then holds at most `PROFILE_VALUES` values, or no more than before.

        None where there is no such profile any more; nothing was written then.
        """
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            await asyncio.sleep(max(0.0, self._next - loop.time()))
            try:
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
            finally:
                self._next = loop.time() + PAUSE_SECONDS
        return Overloaded()

    async def _write(self, write: ProfileWrite, stored: Mapping[str, Any]) -> UserfoldError | Stored | None:
        """Apply a write to the profile that was read. None where it has changed since."""
        # In a thread, where the interpreter is not held for as long as it takes.
        values, before = await asyncio.to_thread(_counts, stored.get("metadata", {}), write.patch)
        if values > max(limits.PROFILE_VALUES, before):
            return ProfileTooLarge()
        update = exact_update(write)
        update.append({"$set": {FIELD: min(values, limits.PROFILE_VALUES)}})
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
