"""What the service needs of a store of profiles, and what a store must keep to."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from server.errors import UserfoldError
from server.model import (
    AliasRemoval,
    CampaignReport,
    Erasure,
    Fetched,
    Lookup,
    ProfileWrite,
    Stored,
    Suppressed,
)
from server.query.conditions import UserQuery
from server.query.field_mask import Mask
from server.users.list_users import Listing
from server.users.report_campaigns import Report

Outcome: TypeAlias = UserfoldError | Suppressed | Stored
"""What became of a write."""


class Again:
    """The type of AGAIN: nothing was written, and the write is one of another kind now (`exact` or `recount`)."""

    def __repr__(self) -> str:
        return "AGAIN"


AGAIN: Final = Again()


class ProfileStore(Protocol):
    """Where profiles are written."""

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        """Apply writes, those of one profile in their order, and return the outcome of each, in the order given.

        Must not let one write's failure touch another's. Must return STORED only for a write that is durable. Must not
        raise for anything that the database does. Returns AGAIN for a write that takes the database longer than was
        known: it should be applied again, before any later write of its profile, with few of its kind.
        """


Found: TypeAlias = tuple[Sequence[Fetched], bool]
"""The users that a look-up finds, the latest `stored_time` first, and whether there are more."""


class ProfileQueries(Protocol):
    """Where profiles are read.

    Every answer must hold what was acknowledged before the call. Every method must raise DatabaseUnavailable when the
    database does not answer. None but `find` may answer a visitor without a user id, or what an erasure leaves. An
    answer of many users must end where they pass `limits.ANSWER_BYTES`, but not before the first.
    """

    async def find(self, profile_id: str) -> Fetched | None:
        """The profile."""

    async def find_many(self, profile_ids: Sequence[str], mask: Mask) -> Sequence[Fetched | UserfoldError]:
        """What a mask leaves of each profile, or UserNotFound; ResponseTooLarge for what is left out."""

    async def export(self, application_id: str, profile_ids: Sequence[str]) -> Sequence[Fetched | UserfoldError]:
        """Everything that is stored about each user, or UserNotFound; ResponseTooLarge for what is left out."""

    async def look_up(self, lookup: Lookup) -> Found:
        """The users that have something in common."""

    async def look_up_tokens(self, lookups: Sequence[Lookup]) -> Sequence[Found | None] | None:
        """The users of each of several look-ups of session tokens, by one query; None for one whose users are too large
        for it, or for all where they are too many."""

    async def list_users(self, listing: Listing) -> tuple[Sequence[Fetched], bool]:
        """One page, and whether more match. Must raise QueryTooSlow after its time."""

    async def count(self, query: UserQuery) -> int:
        """How many users match. Must raise QueryTooSlow after its time."""

    async def report(self, report: Report) -> CampaignReport:
        """The report, its groups and its total of one moment. Must raise QueryTooSlow after its time."""


Erased: TypeAlias = bool | UserfoldError
"""Whether there was anything to erase until now, or why it may still be there."""


class ProfileErasure(Protocol):
    """How profiles, and parts of them, are erased.

    Whatever is erased must be so durably. Must not raise for anything that the database does, nor let one item's
    failure touch another's. What is named twice was there at most the first time.
    """

    async def erase(self, erasures: Sequence[Erasure]) -> Sequence[Erased]:
        """Erase users, each with the visitor whom the profile names, and tell of each whether there was a profile.

        Until `suppressed_until`, which must never be moved back, no write of the user may be stored, however late it
        comes. An erasure that was interrupted must leave nothing that the next one does not find.
        """

    async def remove_aliases(self, removals: Sequence[AliasRemoval]) -> Sequence[Erased]:
        """Take aliases away, and tell of each whether it was there; UserNotFound where there is no profile."""
