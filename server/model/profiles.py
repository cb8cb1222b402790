"""Stored profiles, and how they are returned by a database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

JsonObject = dict[str, object]
"""A JSON object. `object` stands for any JSON value."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The stored profile of one user, or of a visitor or a company, whose `user_id` is empty.

    `modified_time` is in nanoseconds since 1970-01-01 UTC. `ip_address` is the one of an update or, if none sent any,
    `observed_ip_address`, the client address of a request. The times of campaigns are those of the updates that carried
    them, to the millisecond. `stored_time` is when the latest update was stored. A
    profile that version 0.1 wrote last has none. The keys in `metadata` are as they are stored: unescaping them may
    take long, so it is done in slices when the response is built. A field is None if it is not stored or not
    requested. The `etag` is None unless the whole profile was read.
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
    initial_campaign_time: datetime | None = None
    latest_campaign: Mapping[str, str] | None = None
    latest_campaign_time: datetime | None = None
    anonymous_id: str | None = None
    anonymous_ids: Sequence[str] | None = None
    merged_user_ids: Sequence[str] | None = None
    avatar_url: str | None = None
    email_domain: str | None = None
    company_domain: str | None = None
    observed_ip_address: str | None = None
    stored_time: datetime | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class StoredUser:
    """Everything that is stored about one user. `aliases` are digests, the latest last. `visitors` are profiles of
    visitors who are known to be the user, and not yet a part of the profile."""

    profile: Profile
    aliases: Sequence[bytes]
    visitors: "Sequence[StoredUser]"


class Fetched(Protocol):
    """A user as bytes of the database. Decoding them may take long."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    def profile(self) -> Profile:
        """The profile, or the requested fields of it."""

    def stored_user(self) -> StoredUser:
        """Everything that is stored, if that was requested."""

    def position(self, keys: Sequence[str]) -> Sequence[object]:
        """The values of stored fields, or None: a list that is ordered by these continues after them."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A profile as it is, and as an update would leave it. `before` is None if there is none."""

    before: Fetched | None
    after: Fetched
