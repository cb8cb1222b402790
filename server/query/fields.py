"""The fields of profiles, by the paths that callers write: their kind, and where they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from server import limits
from server.merge.field_names import escape_key
from server.model import USERS, ProfileKind

CAMPAIGN_FIELDS: Final = (
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
    *("referrer", "referring_domain", "gclid"),
)
CAMPAIGNS: Final = ("campaign", "initial_campaign", "latest_campaign")
FIRST_CAMPAIGN: Final = "initial_campaign"
"""The stored field with the first campaign and its time, in an array. Another value may be in the time's place."""

FIRST_CAMPAIGN_TIME: Final = (FIRST_CAMPAIGN, "1")

_USER_AGENT: Final = {
    "browser": ("name", "version"),
    "os": ("name", "version"),
    "device": ("name", "brand", "model"),
}


class FieldKind(Enum):
    """The kind of value that a field holds."""

    TEXT = "a string"
    COUNT = "a number"
    TIME = "a time in RFC 3339, such as 2026-01-02T03:04:05Z"
    JSON = "any JSON value"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a profile. `stored` is its path in the stored document."""

    kind: FieldKind
    stored: tuple[str, ...]

    @property
    def path(self) -> str:
        """The stored path with dots."""
        return ".".join(self.stored)


_FIELDS: Final[dict[tuple[str, ...], Field]] = {
    **{
        (name,): Field(FieldKind.TEXT, (name,))
        for name in (
            *("user_id", "company_id", "anonymous_id", "ip_address", "observed_ip_address"),
            *("email_domain", "company_domain", "avatar_url"),
        )
    },
    **{
        (name,): Field(FieldKind.TIME, (name,))
        for name in ("created_time", "modified_time", "stored_time", "latest_campaign_time")
    },
    ("initial_campaign_time",): Field(FieldKind.TIME, FIRST_CAMPAIGN_TIME),
    ("alias_count",): Field(FieldKind.COUNT, ("aliases",)),
    **{(campaign, name): Field(FieldKind.TEXT, (campaign, name)) for campaign in CAMPAIGNS for name in CAMPAIGN_FIELDS},
    **{
        ("user_agent", part, name): Field(FieldKind.TEXT, ("user_agent", part, name))
        for part, names in _USER_AGENT.items()
        for name in names
    },
}


def field_at(path: Sequence[str], kind: ProfileKind = USERS) -> Field | None:
    """The field at a path in profiles of a kind, or None if a filter cannot use one there."""
    if path[0] == "metadata" and 1 < len(path) <= limits.METADATA_LEVELS + 1:
        return Field(FieldKind.JSON, ("metadata", *map(escape_key, path[1:])))
    return _FIELDS.get(tuple(path)) if path[0] in kind.fields else None
