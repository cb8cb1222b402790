"""ListUsers and ListCompanies: which profiles a page holds, and in which order.

A page begins after the values of the last profile of the page before, so profiles that are created or deleted meanwhile
move no other profile to another page.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import KINDS, USERS, ListRequest, ProfileKind
from server.query.conditions import ProfileQuery
from server.query.field_mask import Mask, parse_mask
from server.query.grammar import parse_filter
from server.query.page_token import PageTokens, Position, page_size
from server.users.filter_conditions import profiles_matching

# The last stored field of each is unique among profiles with the same values in the others.
_ORDERS: Final[Mapping[str, Sequence[str]]] = {
    "created_time": ("created_time", "_id"),
    "modified_time": ("modified_time", "modified_nanos", "_id"),
    **{kind.key: (kind.key,) for kind in KINDS},
}
_ORDER_BY: Final = {kind: re.compile(rf"\s*(created_time|modified_time|{kind.key})(\s+desc)?\s*") for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Listing:
    """One page: at most `limit` profiles of `query`, in the order of the stored fields `keys`, masked.

    `after` holds the values of `keys` after which the page begins; None for the first page.
    """

    query: ProfileQuery
    keys: Sequence[str]
    descending: bool
    limit: int
    mask: Mask
    after: Sequence[object] | None = None


def plan_list(
    application_id: str, request: ListRequest, tokens: PageTokens, now: int, kind: ProfileKind = USERS
) -> Listing:
    """The page that a request asks for at `now`, in nanoseconds since 1970-01-01 UTC. Raises InvalidRequest."""
    limit = page_size(request.page_size)
    # The length is checked first, as that of every string.
    is_short = len(request.order_by) <= limits.ORDER_BY_BYTES
    order = _ORDER_BY[kind].fullmatch(request.order_by or "created_time") if is_short else None
    if order is None:
        description = f'must be created_time, modified_time or {kind.key}, with " desc" after it or not'
        raise InvalidRequest([Violation("order_by", "INVALID_ORDER_BY", description)])
    keys, descending = _ORDERS[order[1]], bool(order[2])
    query = profiles_matching(application_id, parse_filter(request.filter), kind)
    after = None
    if request.page_token:
        after = _values(keys, tokens.open(request.page_token, subject_of_list(application_id, request, kind), now))
    return Listing(query, keys, descending, limit, parse_mask(request.fields, kind), after)


def subject_of_list(application_id: str, request: ListRequest, kind: ProfileKind = USERS) -> Sequence[str]:
    """What a page token is bound to: which profiles are listed, and in which order."""
    subject = application_id, request.filter, request.order_by
    # Servers of earlier versions, which list users alone, must understand the tokens of these.
    return subject if kind is USERS else (*subject, kind.key)


def _values(keys: Sequence[str], position: Position) -> Sequence[object]:
    return [
        datetime.fromisoformat(cast(str, value)) if key.endswith("_time") else value
        for key, value in zip(keys, position, strict=True)
    ]
