"""Updates, and the writes that fold them into profiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, cast

from server.model.kinds import COMPANIES, USERS, ProfileKind
from server.model.operations import MetadataOperation
from server.model.profiles import JsonObject


# The values of an update are not changed. They are not frozen, because creating a frozen instance takes longer.
@dataclass(slots=True, kw_only=True)
class ProfileUpdate:
    """What a caller sends about one profile of a `kind`. None means "not sent": the stored field does not change.

    Times are in nanoseconds since 1970-01-01 UTC. With a `latest_campaign`, `campaign` is all campaigns merged.
    `metadata` holds JSON values with the caller's keys. `clear_fields` are names of stored fields, which are removed
    before the other fields are applied. `client_address` is the address that sent the request. `etag` is the one that
    the stored profile must have.
    """

    kind: ClassVar[ProfileKind]

    modified_time: int | None = None
    ip_address: str | None = None
    session_token: str | None = field(default=None, repr=False)
    user_agent_string: str | None = None
    metadata: JsonObject | None = None
    campaign: Mapping[str, str] | None = None
    latest_campaign: Mapping[str, str] | None = None
    latest_campaign_time: int | None = None
    client_address: str | None = None
    clear_fields: Sequence[str] = ()
    etag: str | None = None
    metadata_operations: Sequence[MetadataOperation] = ()


@dataclass(slots=True)
class UserUpdate(ProfileUpdate):
    """An update of a user or, without a `user_id`, of a visitor."""

    kind: ClassVar[ProfileKind] = USERS

    user_id: str = ""
    company_id: str | None = None
    anonymous_id: str | None = None


@dataclass(slots=True)
class CompanyUpdate(ProfileUpdate):
    """An update of a company."""

    kind: ClassVar[ProfileKind] = COMPANIES

    company_id: str = ""
    company_domain: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateWarning:
    """A part of an update that is not stored, or not as it was sent, although the update succeeds."""

    field: str
    reason: str
    description: str


class Remove:
    """The type of REMOVE: in a patch, it removes the key."""

    def __repr__(self) -> str:
        return "REMOVE"


REMOVE: Final = Remove()


@dataclass(frozen=True, slots=True)
class Whole:
    """In a patch, an object that replaces the stored value instead of being merged into it."""

    value: JsonObject


Patch = dict[str, object]
"""How a profile changes: a tree by stored (escaped) keys.

A dict is merged into the stored value. `Whole`, a list or a scalar replaces it. REMOVE removes it. An `Operation` of
`merge.operations` changes it depending on what is stored. An empty dict, or one that only removes, makes sure that an
object is stored.
"""


@dataclass(slots=True)
class DotPaths:
    """A patch as the dot-paths of what it sets and removes. No path is a part of another one.

    An object in `sets` replaces the stored value, like `Whole` in a patch.
    """

    sets: dict[str, object]
    removes: Sequence[str] = ()

    def patch(self) -> Patch:
        """The same as a tree."""
        patch: Patch = {}
        for path, value in self.sets.items():
            _set(patch, path, Whole(cast(JsonObject, value)) if isinstance(value, dict) else value)
        for path in self.removes:
            _set(patch, path, REMOVE)
        return patch


def _set(patch: Patch, path: str, change: object) -> None:
    *parents, key = path.split(".")
    for parent in parents:
        patch = cast(Patch, patch.setdefault(parent, {}))
    patch[key] = change


@dataclass(slots=True)
class ProfileWrite:
    """One atomic write of one profile.

    `profile_id` is the document's `_id`. `on_insert` holds fields that only a new profile gets. `change` is a patch, or
    its dot-paths where they express it. `aliases` are digests that are added, or moved to the end. `exact` is true if
    dot-paths cannot express the patch (see `patch.needs_exact`), or if there are several aliases. `leaves` and `size`,
    an upper bound of the bytes of the MongoDB operation in either form, limit how many writes are folded into one.
    `values` counts all values that the write may add, including those inside arrays. `first_campaign`, a campaign and
    its time, is stored if the profile has none. It is None if the patch itself changes `initial_campaign`, since
    MongoDB refuses two changes of one path. `lacks_first_campaign` is true if the profile is there and has none.
    `recount` is true if the profile may hold too many values with the write, and must be counted (see
    `mongo/writes/values.py`). A write with an `etag` is conditional: it is applied if the profile has that etag. It is
    `exact` too. `kind` is that of the profile.

    `anonymous_ids` are those that a user's update carries: they are added to the profile, and their visitors become the
    user. `follows` is true if the profile is a pointer to the one to write, `is_stored` if all that is left to do is to
    absorb visitors.
    """

    profile_id: str
    on_insert: Mapping[str, object]
    change: Patch | DotPaths
    aliases: tuple[bytes, ...]
    exact: bool
    leaves: int
    size: int
    first_campaign: Sequence[object] | None = None
    lacks_first_campaign: bool = False
    values: int = 0
    recount: bool = False
    etag: str | None = None
    kind: ProfileKind = USERS
    anonymous_ids: tuple[str, ...] = ()
    follows: bool = False
    is_stored: bool = False

    @property
    def patch(self) -> Patch:
        """How the profile changes."""
        return self.change.patch() if isinstance(self.change, DotPaths) else self.change

    @property
    def is_slow(self) -> bool:
        """Whether MongoDB must read and write the whole profile, or that of another one as well."""
        return self.exact or self.recount or self.follows or self.is_stored


@dataclass(slots=True)
class PlannedUpdate:
    """The write of a valid update, and the warnings for its caller."""

    write: ProfileWrite
    warnings: Sequence[UpdateWarning]


# Compared by identity: the outcomes of each group are searched for others.
@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A majority of MongoDB's members has the update in the journal. `warnings` are what storing it brought up."""

    warnings: Sequence[UpdateWarning] = ()


STORED: Final = Stored()
"""The outcome of an update without warnings."""


class Suppressed:
    """The type of SUPPRESSED: the user is erased, and the update was accepted but not stored."""

    def __repr__(self) -> str:
        return "SUPPRESSED"


SUPPRESSED: Final = Suppressed()
