"""ListUsers: which users a page holds, and in which order.

A page begins after the values of the last user of the page before, so users that are created or deleted meanwhile move
no other user to another page.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import ListRequest
from server.query.conditions import UserQuery
from server.query.field_mask import Mask, parse_mask
from server.query.grammar import parse_filter
from server.query.page_token import PageTokens, Position, page_size
from server.users.filter_conditions import users_matching

# The last stored field of each is unique among users who have the same values in the others.
_ORDERS: Final = {
    "created_time": ("created_time", "_id"),
    "modified_time": ("modified_time", "modified_nanos", "_id"),
    "user_id": ("user_id",),
}
_ORDER_BY: Final = re.compile(r"\s*(created_time|modified_time|user_id)(\s+desc)?\s*")


@dataclass(frozen=True, slots=True)
class Listing:
    """One page: at most `limit` users of `query`, in the order of the stored fields `keys`, masked.

    `after` holds the values of `keys` after which the page begins; None for the first page.
    """

    query: UserQuery
    keys: Sequence[str]
    descending: bool
    limit: int
    mask: Mask
    after: Sequence[object] | None = None


def plan_list(application_id: str, request: ListRequest, tokens: PageTokens, now: int) -> Listing:
    """The page that a request asks for at `now`, in nanoseconds since 1970-01-01 UTC. Raises InvalidRequest."""
    limit = page_size(request.page_size)
    # The length is checked first, as that of every string.
    is_short = len(request.order_by) <= limits.ORDER_BY_BYTES
    order = _ORDER_BY.fullmatch(request.order_by or "created_time") if is_short else None
    if order is None:
        description = 'must be created_time, modified_time or user_id, with " desc" after it or not'
        raise InvalidRequest([Violation("order_by", "INVALID_ORDER_BY", description)])
    keys, descending = _ORDERS[order[1]], bool(order[2])
    query = users_matching(application_id, parse_filter(request.filter))
    after = None
    if request.page_token:
        after = _values(keys, tokens.open(request.page_token, subject_of_list(application_id, request), now))
    return Listing(query, keys, descending, limit, parse_mask(request.fields), after)


def subject_of_list(application_id: str, request: ListRequest) -> Sequence[str]:
    """What a page token is bound to: which users are listed, and in which order."""
    return application_id, request.filter, request.order_by


def _values(keys: Sequence[str], position: Position) -> Sequence[object]:
    return [
        datetime.fromisoformat(cast(str, value)) if key.endswith("_time") else value
        for key, value in zip(keys, position, strict=True)
    ]
