"""Redirected writes: those of a profile that is a pointer are applied to the user that it leads to."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from server import limits
from server.errors import DatabaseUnavailable, Overloaded, ProfileTooLarge, UserfoldError, WriteOutcomeUnknown
from server.model import STORED, SUPPRESSED, ProfileWrite, Suppressed
from server.mongo.client import Collection
from server.mongo.identity.absorption import Absorption
from server.mongo.identity.pointers import End, Target, resolve
from server.mongo.writes.bulk import VALIDATION_FAILED, failure_of, write_in_bulk
from server.mongo.writes.earlier_versions import migrating_update
from server.mongo.writes.values import FIELD, Recount, add_values_exactly, may_add
from server.users.ports import AGAIN, Again, Outcome

_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.002

_REASONS: Final = {"user_id": 1, FIELD: 1}


class Redirects:
    """Applies the writes of profiles of a collection that are pointers."""

    def __init__(self, profiles: Collection, absorption: Absorption, recount: Recount) -> None:
        self._profiles = profiles
        # A write meets the latest document, even if it has not reached a majority yet.
        self._latest = profiles.with_options(read_concern=ReadConcern("local"))
        self._absorption = absorption
        self._recount = recount

    async def apply(self, write: ProfileWrite) -> Outcome | Again:
        """Apply a write to the user that its profile leads to. AGAIN if the profile is no pointer any more, or if the
        values of the user must be counted.
        """
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(attempt * _PAUSE_SECONDS)
            try:
                redirected = await self.follow(write)
            except PyMongoError:
                return DatabaseUnavailable()
            except UserfoldError as error:
                return error
            if redirected is None:
                write.follows = False
                return AGAIN
            if isinstance(redirected, Suppressed):
                return SUPPRESSED
            outcome = await self._write(redirected)
            if outcome is AGAIN:
                write.recount = True
            if outcome is not None:
                return outcome
        return Overloaded()

    async def follow(self, write: ProfileWrite) -> ProfileWrite | Suppressed | None:
        """The write of the user that a profile leads to, once the user has all that is absorbed. None if the profile is
        no pointer any more. Raises PyMongoError or Overloaded.
        """
        start = write.profile_id
        while target := (await resolve(self._latest, [start])).get(start):
            if target.end is End.NOWHERE:
                await self._remove(target)
                continue
            if target.end is End.SUPPRESSED:
                return SUPPRESSED
            for pointer, absorption in target.pointers.items():
                if absorption is not None:
                    # What is too large stays where it is.
                    with suppress(ProfileTooLarge):
                        await self._absorption.finish(pointer)
            return redirected(write, target.profile_id)
        return None

    async def _remove(self, target: Target) -> None:
        """Remove the pointer to a user who was erased."""
        await self._profiles.delete_one({"_id": [*target.pointers][-1], "pointer": target.profile_id})

    async def _write(self, write: ProfileWrite) -> Outcome | Again | None:
        """Apply a write to a stored user. None if there is no such user any more, or AGAIN if it must be counted."""
        if write.recount:
            return await self._recount.write(write)
        update = migrating_update(write)
        add_values_exactly(update, write.values)
        user = {"_id": write.profile_id, "user_id": {"$exists": True}}
        result = await write_in_bulk(self._profiles, [UpdateOne(user, update)])
        if code := result.codes.get(0):
            return await self._reason(write) if code == VALIDATION_FAILED else failure_of(code)
        if result.unknown:
            return WriteOutcomeUnknown()
        return STORED if result.effective else None

    async def _reason(self, write: ProfileWrite) -> Outcome | Again | None:
        """The outcome of a write that the validator refused."""
        try:
            stored: Any = await self._latest.find_one({"_id": write.profile_id}, _REASONS)
        except PyMongoError:
            return DatabaseUnavailable()
        if stored is None or "user_id" not in stored:
            return None
        if stored.get(FIELD, 0) + may_add(write.values) > limits.PROFILE_VALUES:
            return AGAIN
        return ProfileTooLarge()


def redirected(write: ProfileWrite, user: str) -> ProfileWrite:
    """The write of a profile as one of the user with this `_id`, whom it does not create."""
    anonymous_id: Any = write.on_insert.get("anonymous_id")
    if anonymous_id is None:
        return replace(write, profile_id=user, on_insert={}, exact=True, follows=False)
    return replace(
        write,
        profile_id=user,
        on_insert={},
        change={**write.patch, "anonymous_id": anonymous_id},
        anonymous_ids=(anonymous_id,),
        exact=True,
        follows=False,
    )
