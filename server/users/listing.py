"""A list of users, a page at a time: from a request to the query of one page, which begins after where the last ended.

A page is found by the values of its order, never by counting: what is created or deleted meanwhile moves nobody to
another page.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import ListRequest
from server.query.field_mask import Mask, parse_mask
from server.query.grammar import parse_filter
from server.query.page_token import PageTokens, Position, page_size
from server.users.filter_conditions import Query, plan_query

# The last of the stored fields of each tells apart what has the others in common.
_ORDERS: Final = {
    "created_time": ("created_time", "_id"),
    "modified_time": ("modified_time", "modified_nanos", "_id"),
    "user_id": ("user_id",),
}
_ORDER_BY: Final = re.compile(r"\s*(created_time|modified_time|user_id)(\s+desc)?\s*")


@dataclass(frozen=True, slots=True)
class Listing:
    """One page: at most `most` of the users that match `query`, in the order of the stored fields `keys`, masked."""

    query: Query
    keys: Sequence[str]
    descending: bool
    most: int
    mask: Mask


def plan_listing(application_id: str, request: ListRequest, tokens: PageTokens, now: int) -> Listing:
    """The page that is asked for at the time `now`, in nanoseconds since 1970-01-01 UTC. Raises InvalidRequest."""
    most = page_size(request.page_size)
    # Before it is read, as every text: an order that is too long is none.
    is_short = len(request.order_by) <= limits.ORDER_BY_BYTES
    order = _ORDER_BY.fullmatch(request.order_by or "created_time") if is_short else None
    if order is None:
        description = 'must be created_time, modified_time or user_id, with " desc" after it or not'
        raise InvalidRequest([Violation("order_by", "INVALID_ORDER_BY", description)])
    keys, descending = _ORDERS[order[1]], bool(order[2])
    query = plan_query(application_id, parse_filter(request.filter))
    if request.page_token:
        position = tokens.open(request.page_token, bound_to(application_id, request), now)
        query = {"$and": [query, _after(keys, position, descending)]}
    return Listing(query, keys, descending, most, parse_mask(request.fields))


def bound_to(application_id: str, request: ListRequest) -> Sequence[str]:
    """What the token of a page opens for: all that says who is listed, and in which order."""
    return application_id, request.filter, request.order_by


def _after(keys: Sequence[str], position: Position, descending: bool) -> Query:
    """The query of the users that come after a position."""
    values = [
        datetime.fromisoformat(cast(str, value)) if key.endswith("_time") else value
        for key, value in zip(keys, position, strict=True)
    ]
    beyond = "$lt" if descending else "$gt"
    same: Query = {}
    later: list[Query] = []
    for key, value in zip(keys, values, strict=True):
        later.append(same | {key: {beyond: value}})
        same = same | {key: {"$eq": value}}
    # All of them are within the first bound, which is where an index is entered.
    return {keys[0]: {f"{beyond}e": values[0]}, "$or": later}
