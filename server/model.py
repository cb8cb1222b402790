"""What the server is about, as plain values: updates, profiles, and the write that folds the first into the second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

# A JSON object as Python holds it; `object` stands for any JSON value.
JsonObject = dict[str, object]


# Not frozen, though nobody changes them: one of each is made for every update, and freezing costs microseconds.
@dataclass(slots=True)
class UserUpdate:
    """What a caller knows of one user. None means "not sent": the stored field stays as it is.

    `modified_time` is in nanoseconds since 1970-01-01 UTC. `metadata` holds JSON values with the caller's own keys.
    `clear_fields` are names of stored fields, which are removed before the others are applied. `client_address` is
    where the request came from.
    """

    user_id: str = ""
    company_id: str | None = None
    modified_time: int | None = None
    ip_address: str | None = None
    session_token: str | None = field(default=None, repr=False)
    user_agent_string: str | None = None
    metadata: JsonObject | None = None
    campaign: Mapping[str, str] | None = None
    anonymous_id: str | None = None
    client_address: str | None = None
    clear_fields: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class UpdateWarning:
    """A part of an update that was stored otherwise than sent, or not stored, without making the update fail."""

    field: str
    reason: str
    description: str


class Remove:
    """The type of REMOVE: in a patch, the key goes."""

    def __repr__(self) -> str:
        return "REMOVE"


REMOVE: Final = Remove()


@dataclass(frozen=True, slots=True)
class Whole:
    """In a patch, an object that replaces whatever is stored, instead of being merged into it."""

    value: JsonObject


Patch = dict[str, object]
"""How a profile changes: a tree by stored (escaped) keys. A dict is merged into; `Whole`, a list or a scalar
replaces; REMOVE removes. An empty dict, or one with nothing but removals, makes sure that an object is stored."""


@dataclass(slots=True)
class ProfileWrite:
    """One atomic write of one profile.

    `profile_id` is the document's `_id`; `on_insert` holds what only a new profile gets; `aliases` are digests that
    join the alias set. `exact` says that dot-paths cannot express the patch (see `patch.needs_exact`). `leaves` and
    `size`, an upper bound of the bytes of the MongoDB operation in either form, bound what folding several writes into
    one may amount to. `values` are all that the write may add to the stored profile, those inside arrays included.
    `first_campaign` is kept, as a whole, by a profile that has none; it is None where the patch itself changes
    `initial_campaign`, since MongoDB refuses two changes of one path. `recount` says that the profile may hold too many
    values with it, and has to be counted (see `mongo/values.py`).
    """

    profile_id: str
    on_insert: Mapping[str, object]
    patch: Patch
    aliases: tuple[bytes, ...]
    exact: bool
    leaves: int
    size: int
    first_campaign: Mapping[str, str] | None = None
    values: int = 0
    recount: bool = False

    @property
    def is_slow(self) -> bool:
        """Whether MongoDB reads and writes the whole profile for it, however large that is."""
        return self.exact or self.recount


@dataclass(slots=True)
class PlannedUpdate:
    """An update that is valid: the write that applies it and what its caller should be warned of."""

    write: ProfileWrite
    warnings: Sequence[UpdateWarning]


@dataclass(frozen=True, slots=True)
class Profile:
    """One user's stored profile, or a visitor's, whose `user_id` is empty.

    `modified_time` is in nanoseconds since 1970-01-01 UTC. `ip_address` is what an update gave, else that of
    `observed_ip_address`, the client address of a request. `stored_time` is when the latest update was stored; a
    profile that was last written by version 0.1 has none. The keys in `metadata` are as they are stored: visiting all
    of them may take long, and is done in slices when the profile is answered. None is what there is nothing of, or what
    was not asked for.
    """

    user_id: str
    created_time: datetime | None
    modified_time: int | None
    metadata: JsonObject | None
    alias_count: int | None
    company_id: str | None = None
    ip_address: str | None = None
    user_agent_string: str | None = None
    user_agent: Mapping[str, Mapping[str, str]] | None = None
    campaign: Mapping[str, str] | None = None
    initial_campaign: Mapping[str, str] | None = None
    anonymous_id: str | None = None
    avatar_url: str | None = None
    email_domain: str | None = None
    company_domain: str | None = None
    observed_ip_address: str | None = None
    stored_time: datetime | None = None


class Scope(StrEnum):
    """What a credential may be for. ADMIN stands for all, those of later versions included."""

    READ_USERS = "read:users"
    WRITE_USERS = "write:users"
    DELETE_USERS = "delete:users"
    READ_CAMPAIGNS = "read:campaigns"
    ADMIN = "admin"


class CredentialKind(StrEnum):
    """The kinds of credential: a collector key, which deployed clients send, and a management token."""

    COLLECTOR = "collector"
    MANAGEMENT = "management"


@dataclass(frozen=True, slots=True)
class Application:
    """One product that sends updates: the owner of its profiles.

    `kind` and `scopes` are those of the credential that it was known by; with ADMIN, all scopes are there.
    """

    application_id: str
    kind: CredentialKind
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the profiles to find have in common: `value` in the stored field `field` (or among its elements).

    At most `limit` of them are wanted, those with the latest `stored_time` first, from the position `after` on: the
    `stored_time` and the `_id` of the last profile of the page before.
    """

    application_id: str
    field: str
    value: object
    limit: int
    after: tuple[datetime | None, str] | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """The profile to erase, with that of the visitor whom it names; until `suppressed_until`, it does not come back."""

    application_id: str
    profile_id: str
    suppressed_until: datetime | None


@dataclass(frozen=True, slots=True)
class AliasRemoval:
    """An alias to take from a profile."""

    profile_id: str
    alias: bytes


@dataclass(frozen=True, slots=True)
class StoredUser:
    """Everything that is stored about one user. `aliases` are digests, the latest last."""

    profile: Profile
    aliases: Sequence[bytes]
    visitor: "StoredUser | None"


class Fetched(Protocol):
    """A user as the database answered it, still in bytes: making values of them may take long."""

    @property
    def size(self) -> int:
        """How many bytes."""

    def profile(self) -> Profile:
        """The profile, or what was asked for of it."""

    def stored_user(self) -> StoredUser:
        """Everything that is stored, where that was asked for."""

    def position(self, keys: Sequence[str]) -> Sequence[object]:
        """What the user has in stored fields, None where that is nothing: where a list that is ordered by them goes on
        after this user."""


class Stored:
    """The type of STORED: a majority of MongoDB's members has the update in the journal."""

    def __repr__(self) -> str:
        return "STORED"


STORED: Final = Stored()


class Suppressed:
    """The type of SUPPRESSED: the user is erased, and the update was accepted but not stored."""

    def __repr__(self) -> str:
        return "SUPPRESSED"


SUPPRESSED: Final = Suppressed()


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """Who is to be looked up, as the caller wrote it: `known` holds what is known of them, by the name of the field."""

    known: Mapping[str, str]
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which users are to be listed, as the caller wrote it. Every field may be empty."""

    filter: str = ""
    order_by: str = ""
    page_size: int = 0
    page_token: str = ""
    fields: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What is to be reported, as the caller wrote it. Times are in nanoseconds since 1970-01-01 UTC; None: no bound."""

    start_time: int | None = None
    end_time: int | None = None
    group_by: Sequence[str] = ()
    value_path: str = ""
    filter: str = ""
    max_groups: int = 0


@dataclass(frozen=True, slots=True)
class CampaignGroup:
    """The users whose campaigns have something in common: `campaign` holds it by the names of the fields.

    `days` are how many were created on each day in UTC, such as 2026-01-31, in their order. `value_sum` is not finite
    where no double can hold it.
    """

    campaign: Mapping[str, str]
    users: int
    days: Sequence[tuple[str, int]]
    value_sum: float
    value_count: int


class FetchedGroup(Protocol):
    """A group as the database answered it, still in bytes."""

    @property
    def size(self) -> int:
        """How many bytes."""

    def group(self) -> CampaignGroup:
        """The group."""


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """The groups, those with the most users first; whether there are more; all together, None where that is nobody."""

    groups: Sequence[FetchedGroup]
    has_more: bool
    total: FetchedGroup | None
