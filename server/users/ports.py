"""What the service needs of a profile store, and what a store must guarantee."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from server.errors import UserfoldError
from server.model import (
    AliasRemoval,
    CampaignReport,
    Erasure,
    Fetched,
    Lookup,
    Prefix,
    Preview,
    ProfileWrite,
    Stored,
    Suppressed,
    Suppression,
    UserMerge,
    WouldErase,
)
from server.query.conditions import ProfileQuery
from server.query.field_mask import Mask
from server.users.list_users import Listing
from server.users.removal.suppressions import SuppressionPage
from server.users.report_campaigns import Report

Outcome: TypeAlias = UserfoldError | Suppressed | Stored
"""The outcome of a write."""


class Again:
    """The type of AGAIN: the write is not finished, and the store has set `exact`, `recount`, `follows` or `is_stored`
    of it: only with the last one, the update is in the profile already."""

    def __repr__(self) -> str:
        return "AGAIN"


AGAIN: Final = Again()


class ProfileStore(Protocol):
    """Where profiles are written."""

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome | Again]:
        """Apply writes, those of one profile in their order, and return the outcome of each, in the order given.

        A failure must not affect another write. Must return Stored only for a durable write, and after the visitors
        whose anonymous ids it carries have become its user, or another one. Must not raise for an error of the
        database. Returns AGAIN for a write that turns out to be slow: the caller applies it again, before
        any later write of its profile, with few slow writes. A write with an `etag`, with which only such writes are
        applied, has the outcome EtagMismatch where the profile has another etag when it is written.
        """


Previewed: TypeAlias = Preview | UserfoldError | Suppressed
"""What a write would do."""


class ProfilePreviews(Protocol):
    """Where it is computed what writes would do."""

    def preview(self, writes: Sequence[ProfileWrite]) -> AsyncGenerator[Previewed, None]:
        """Compute what each write would do after all that are before it, and write nothing.

        The profiles are those that are stored now. Must hold no more of them than the caller has been given, but for a
        few, and must raise DatabaseUnavailable if the database does not respond.
        """


Found: TypeAlias = tuple[Sequence[Fetched], bool]
"""The users of a look-up, the latest first, and whether there are more."""


class ProfileQueries(Protocol):
    """Where profiles are read.

    Every result must include all writes that were acknowledged before the call. Every method must raise
    DatabaseUnavailable if the database does not respond. No method may return a visitor without a user id, or what an
    erasure leaves. A result of many users must end before it exceeds `limits.ANSWER_BYTES`, but not before the first.
    """

    async def find(self, profile_id: str) -> Fetched | None:
        """The profile."""

    async def find_many(self, profile_ids: Sequence[str], mask: Mask) -> Sequence[Fetched | UserfoldError]:
        """The masked fields of each profile, or UserNotFound. ResponseTooLarge for profiles that are left out."""

    async def export(self, application_id: str, profile_ids: Sequence[str]) -> Sequence[Fetched | UserfoldError]:
        """Everything that is stored about each user, or UserNotFound. ResponseTooLarge for users that are left out."""

    async def look_up(self, lookup: Lookup) -> Found:
        """The users of one page of a look-up."""

    async def look_up_tokens(self, lookups: Sequence[Lookup]) -> Sequence[Found | None] | None:
        """The users of several look-ups of session tokens, found by one query.

        None for a look-up whose users are too large for it. None for all if the users are too many.
        """

    async def starting_with(self, prefix: Prefix) -> Sequence[Fetched]:
        """The users of a prefix in its order, with the fields of `SUGGESTED` alone and their strings cut."""

    async def list_users(self, listing: Listing) -> tuple[Sequence[Fetched], bool]:
        """The users of one page, and whether more match. Must raise QueryTooSlow after its time."""

    async def count(self, query: ProfileQuery) -> int:
        """How many users match. Must raise QueryTooSlow after its time."""

    async def report(self, report: Report) -> CampaignReport:
        """The report, whose groups and total are of one snapshot. Must raise QueryTooSlow after its time."""


class CompanyDomains(Protocol):
    """Which companies have which domains."""

    async def only_companies(self, application_id: str, domains: Sequence[str]) -> Mapping[str, str]:
        """The `_id` of the only company with each domain, without domains that none or several companies have.

        Domains are in the form of `derive.domain_key`. The result must include all writes that were acknowledged before
        the call. Must raise DatabaseUnavailable if the database does not respond, and QueryTooSlow after its time.
        """


Erased: TypeAlias = bool | UserfoldError
"""Whether there was anything to erase, or why it may still be stored."""


class ProfileErasure(Protocol):
    """How profiles and aliases are erased.

    An erasure must be durable. Must not raise for an error of the database, and a failure must not affect another item.
    The second outcome of an item that is named twice is false.
    """

    async def erase(self, erasures: Sequence[Erasure]) -> Sequence[Erased]:
        """Erase users, each with the visitors whom the profile names, and with all pointers to it. A pointer stands for
        the user it leads to. Returns for each whether there was a profile.

        Until `suppressed_until`, which must never decrease, no write of the user may be stored, however late it is.
        After an interrupted erasure, the next one must find all that is left.
        """

    async def preview(self, erasures: Sequence[Erasure]) -> Sequence[WouldErase]:
        """What `erase` would do now. Must raise DatabaseUnavailable if the database does not respond."""

    async def remove_aliases(self, removals: Sequence[AliasRemoval]) -> Sequence[Erased]:
        """Remove aliases. Returns for each whether it was stored, or UserNotFound if there is no profile."""


class VisitorQueries(Protocol):
    """Where single visitors are read."""

    async def find(self, visitor_id: str) -> Fetched:
        """Everything that is stored about a visitor, with every write that was acknowledged before the call.

        Must raise VisitorNotFound, VisitorIdentified, or DatabaseUnavailable if the database does not respond.
        """


class VisitorErasure(Protocol):
    """How visitors are erased. Both methods must raise VisitorIdentified for a visitor who is a part of a user."""

    async def erase(self, visitor_id: str) -> bool:
        """Erase a visitor, durably. Returns whether there was a profile. Must raise what a failed write means."""

    async def preview(self, visitor_id: str) -> WouldErase:
        """What `erase` would do now. Must raise DatabaseUnavailable if the database does not respond."""


class ProfileMerges(Protocol):
    """How a user becomes a part of another one."""

    async def merge(self, merge: UserMerge) -> bool:
        """Merge the source into the target, durably, and leave a pointer to the target. False if it was merged before.

        Raises UserNotFound if one of them has no profile, ProfileTooLarge if both would be too large together, and
        WriteOutcomeUnknown. Concurrent merges must never leave pointers that lead to each other.
        """


class Suppressions(Protocol):
    """How the suppressions that erasures begin are listed and lifted."""

    async def list_page(self, page: SuppressionPage) -> tuple[Sequence[Suppression], bool]:
        """The suppressions of one page that have not ended, and whether there are more.

        Must raise DatabaseUnavailable if the database does not respond.
        """

    async def lift(self, profile_id: str) -> Erased:
        """End a suppression, durably. Returns whether there was one. Must not raise for an error of the database."""
