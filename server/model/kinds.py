"""The kinds of profiles, and what differs between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from server.model.profiles import Profile


@dataclass(frozen=True, slots=True, eq=False)
class ProfileKind:
    """A kind of profiles. All rules of merging, reading and erasing hold for every kind, except for what is here.

    `key` is the field of the id, by which callers know a profile, and `letter` a part of every `_id`. `fields` are the
    fields of a Profile that callers may read. `clearable` are the stored fields that a name in `clear_fields` removes.
    A kind without `has_aliases` ignores session tokens. Without `derives_from_email`, an email in the metadata derives
    nothing. Without `has_declared_paths`, operators cannot declare paths for indexes.
    """

    collection: str
    key: str
    letter: str
    fields: frozenset[str]
    clearable: Mapping[str, Sequence[str]]
    has_aliases: bool = False
    derives_from_email: bool = False
    has_declared_paths: bool = False


_CLEARABLE: Final[Mapping[str, Sequence[str]]] = {
    **{name: (name,) for name in ("ip_address", "observed_ip_address", "campaign")},
    "initial_campaign": ("initial_campaign", "has_first_campaign"),
    "latest_campaign": ("latest_campaign", "latest_campaign_time"),
    "user_agent_string": ("user_agent_string", "user_agent"),
}

# Only a whole profile has an etag.
_FIELDS: Final = frozenset(field.name for field in fields(Profile)) - {"etag"}
_OF_USERS_ALONE: Final = frozenset(
    {"user_id", "anonymous_id", "anonymous_ids", "merged_user_ids", "alias_count", "avatar_url", "email_domain"}
)

USERS: Final = ProfileKind(
    collection="profiles",
    key="user_id",
    letter="u",
    fields=_FIELDS,
    clearable={**_CLEARABLE, "company_id": ("company_id",), "anonymous_id": ("anonymous_id",)},
    has_aliases=True,
    derives_from_email=True,
    has_declared_paths=True,
)
"""Users, in whose collection visitors without a user id are stored, too."""

COMPANIES: Final = ProfileKind(
    collection="companies",
    key="company_id",
    letter="c",
    fields=_FIELDS - _OF_USERS_ALONE,
    clearable={**_CLEARABLE, "company_domain": ("company_domain", "domain_key")},
)

VISITORS: Final = ProfileKind(
    collection="profiles",
    key="anonymous_id",
    letter="a",
    fields=_FIELDS - {"user_id", "anonymous_ids", "merged_user_ids"},
    clearable=_CLEARABLE,
    has_aliases=True,
    derives_from_email=True,
)
"""Visitors without a user id. Their updates are those of users, which name no user."""

KINDS: Final = (USERS, COMPANIES, VISITORS)
