"""Identification: the visitors whose anonymous ids the updates of a user carry become that user.

An update is acknowledged after that. Of a group of updates, one query finds those with something left to do: none, if
their visitors are pointers already. Visitors without a profile become pointers together. A profile to absorb takes
several steps, so it is absorbed with other slow writes, and no other update waits for it.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from pymongo import InsertOne, timeout
from pymongo.errors import PyMongoError

from server.errors import ProfileTooLarge, UserfoldError, WriteOutcomeUnknown
from server.model import STORED, ProfileWrite, Stored, UpdateWarning
from server.mongo.client import Collection
from server.mongo.driver import WRITE_SECONDS
from server.mongo.identity.absorption import Absorption
from server.mongo.writes.bulk import DUPLICATE_KEY, failure_of, write_in_bulk
from server.mongo.writes.values import READ_SECONDS
from server.users.ids import visitor_id
from server.users.ports import AGAIN, Again, Outcome

_READ: Final = {"pointer": 1, "absorption": 1, "suppressed_until": 1}

_NOT_ABSORBED: Final = Stored(
    [
        UpdateWarning(
            "anonymous_id",
            "NOT_ABSORBED",
            "the visitor stays apart: with what its profile holds, the profile of the user would be too large",
        )
    ]
)


class Identification:
    """Identifies the visitors in a collection of profiles."""

    def __init__(self, profiles: Collection, absorption: Absorption) -> None:
        self._profiles = profiles
        self._absorption = absorption

    async def outcomes(
        self, writes: Sequence[ProfileWrite], outcomes: Sequence[Outcome | Again]
    ) -> Sequence[Outcome | Again]:
        """The outcomes of writes after their visitors are identified, of writes that have these outcomes now."""
        stored = [index for index, write in enumerate(writes) if write.anonymous_ids and outcomes[index] is STORED]
        if not stored:
            return outcomes
        changed = list(outcomes)
        begun = [index for index in stored if not writes[index].is_stored]
        for index, outcome in zip(begun, await self._begin([writes[index] for index in begun]), strict=True):
            changed[index] = outcome
        # Conditional updates are among slow writes already, and would be refused the next time.
        slow = [index for index in stored if writes[index].is_stored and (index not in begun or writes[index].etag)]
        for index, outcome in zip(slow, await self._finish([writes[index] for index in slow]), strict=True):
            changed[index] = outcome
        return changed

    async def _begin(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        """Make visitors without a profile pointers. AGAIN for a write with a visitor that has one, which is then marked
        as stored.
        """
        if not writes:
            return []
        users: dict[str, str] = {}
        for write in writes:
            for visitor in _visitors(write):
                users.setdefault(visitor, write.profile_id)
        try:
            with timeout(READ_SECONDS):
                found = {each["_id"]: each async for each in self._profiles.find({"_id": {"$in": [*users]}}, _READ)}
        except PyMongoError:
            return [WriteOutcomeUnknown() for _ in writes]
        left = {visitor for visitor, document in found.items() if not _is_settled(document)}
        failures = await self._insert({visitor: user for visitor, user in users.items() if visitor not in found}, left)
        return [self._begun(write, left, failures) for write in writes]

    async def _insert(self, pointers: Mapping[str, str], left: set[str]) -> Mapping[str, UserfoldError]:
        """Store pointers. Those whose visitors have a profile meanwhile are added to `left`. Returns the failures."""
        if not pointers:
            return {}
        inserts = [InsertOne({"_id": visitor, "pointer": user}) for visitor, user in pointers.items()]
        result = await write_in_bulk(self._profiles, inserts)
        failures: dict[str, UserfoldError] = {}
        for position, visitor in enumerate(pointers):
            code = result.codes.get(position)
            if code == DUPLICATE_KEY:
                left.add(visitor)
            elif code is not None:
                failures[visitor] = failure_of(code)
            elif position in result.unknown:
                failures[visitor] = WriteOutcomeUnknown()
        return failures

    def _begun(self, write: ProfileWrite, left: set[str], failures: Mapping[str, UserfoldError]) -> Outcome | Again:
        visitors = _visitors(write)
        if any(visitor in failures for visitor in visitors):
            # The user is stored, whatever the failure is.
            return WriteOutcomeUnknown()
        if left.isdisjoint(visitors):
            return STORED
        write.is_stored = True
        return AGAIN

    async def _finish(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        """Absorb the visitors of writes, those of one user one after another."""
        if not writes:
            return []
        absorbed: dict[tuple[str, str], Outcome] = {}
        queues: dict[str, dict[str, None]] = {}
        for write in writes:
            queues.setdefault(write.profile_id, {}).update(dict.fromkeys(_visitors(write)))

        async def absorb(user: str, visitors: Iterable[str]) -> None:
            for visitor in visitors:
                absorbed[user, visitor] = await self._absorb(visitor, user)

        with timeout(WRITE_SECONDS):
            # No step may go on after the end of its group, even if there is a defect.
            ended = await asyncio.gather(*[absorb(*each) for each in queues.items()], return_exceptions=True)
        for defect in filter(None, ended):
            raise defect
        return [_worst([absorbed[write.profile_id, visitor] for visitor in _visitors(write)]) for write in writes]

    async def _absorb(self, visitor: str, user: str) -> Outcome:
        try:
            await self._absorption.absorb(visitor, user)
        except ProfileTooLarge:
            return _NOT_ABSORBED
        except UserfoldError:
            return WriteOutcomeUnknown()
        except PyMongoError:
            return WriteOutcomeUnknown()
        return STORED


def _visitors(write: ProfileWrite) -> Sequence[str]:
    """The `_id`s of the visitors whose anonymous ids a write carries."""
    application_id = cast(str, write.on_insert["application_id"])
    return [visitor_id(application_id, anonymous_id) for anonymous_id in write.anonymous_ids]


def _is_settled(document: Mapping[str, Any]) -> bool:
    """Whether there is nothing left to do with a visitor: it is a pointer, or was erased."""
    return ("pointer" in document and "absorption" not in document) or "suppressed_until" in document


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a write of which each visitor has one: the first that is not STORED."""
    return next((outcome for outcome in outcomes if outcome is not STORED), STORED)
