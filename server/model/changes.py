"""Changes of stored profiles other than updates."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Erasure:
    """The profile to erase, with all visitors and users who became a part of it. Until `suppressed_until`, no later
    update is stored."""

    application_id: str
    profile_id: str
    suppressed_until: datetime | None


@dataclass(frozen=True, slots=True)
class WouldErase:
    """What an erasure would do: whether there is a profile, and how many aliases, profiles of visitors, and pointers of
    visitors and users who became a part of the profile, would be gone."""

    is_stored: bool
    aliases: int
    visitors: int
    pointers: int = 0


@dataclass(frozen=True, slots=True)
class UserMerge:
    """The profile that is to become a part of another one, and that one."""

    source_id: str
    target_id: str


@dataclass(frozen=True, slots=True)
class Suppression:
    """The suppression of an erased user, whose id is known by its digest alone: 64 hexadecimal digits.

    `start_time` is None if a version that did not store it began the suppression.
    """

    user_id_digest: str
    start_time: datetime | None
    end_time: datetime


@dataclass(frozen=True, slots=True)
class AliasRemoval:
    """An alias to remove from a profile."""

    profile_id: str
    alias: bytes
