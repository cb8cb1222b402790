"""Requests of reads as callers send them, look-ups, and reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

LookupPosition: TypeAlias = Sequence[datetime | str | None]
"""The times of a profile by which a look-up is ordered, then its `_id`."""


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """A request to look users up. `known` holds what the caller knows of them, by the name of the field."""

    known: Mapping[str, str]
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """The users with `value` in the stored field `field`, or among its elements.

    With `older_forms`, these are also the users with one of such values in another stored field, or in the same one. At
    most `limit` of them are wanted, the latest first (see `users/finding/lookup.py`), after the position `after`, which
    is that of the last profile of the page before.
    """

    application_id: str
    field: str
    value: object
    limit: int
    after: LookupPosition | None = None
    older_forms: Sequence[tuple[str, Sequence[object]]] = ()


@dataclass(frozen=True, slots=True)
class Prefix:
    """The users whose stored field `field` begins with `text`, byte for byte: the first `limit` in its order."""

    application_id: str
    field: str
    text: str
    limit: int


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A request to list users. Every field may be empty."""

    filter: str = ""
    order_by: str = ""
    page_size: int = 0
    page_token: str = ""
    fields: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A request of a report. Times are in nanoseconds since 1970-01-01 UTC; None means no bound."""

    start_time: int | None = None
    end_time: int | None = None
    group_by: Sequence[str] = ()
    value_path: str = ""
    filter: str = ""
    max_groups: int = 0


@dataclass(frozen=True, slots=True)
class CampaignGroup:
    """The users with the same texts in some campaign fields. `campaign` holds the texts by the names of the fields.

    `days` holds how many users were created on each day in UTC, such as 2026-01-31, in order. `value_sum` is not finite
    if no double can hold it.
    """

    campaign: Mapping[str, str]
    users: int
    days: Sequence[tuple[str, int]]
    value_sum: float
    value_count: int


class FetchedGroup(Protocol):
    """A group as bytes of the database."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    def group(self) -> CampaignGroup:
        """The group."""


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """The groups with the most users first, whether there are more, and the total, or None if there are no users."""

    groups: Sequence[FetchedGroup]
    has_more: bool
    total: FetchedGroup | None
