"""Changes of stored profiles other than updates."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Erasure:
    """The profile to erase, with the visitor whom it names. Until `suppressed_until`, no later update is stored."""

    application_id: str
    profile_id: str
    suppressed_until: datetime | None


@dataclass(frozen=True, slots=True)
class AliasRemoval:
    """An alias to remove from a profile."""

    profile_id: str
    alias: bytes
