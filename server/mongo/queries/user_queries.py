"""Queries of profiles as MongoDB's documents.

MongoDB's comparisons look into arrays, on the way to a value and in the value itself. So wherever metadata may hold an
array, the document says that there is none. Values stand below explicit operators, so no value is read as an operator.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from server.model import USERS, VISITORS, Lookup, LookupPosition, Prefix, ProfileKind
from server.mongo.client import DATE, STRING, VISITORS_QUERY
from server.query.conditions import (
    AllOf,
    AnyOf,
    Compared,
    Condition,
    ElementCount,
    IsStored,
    JsonCompared,
    JsonHasNull,
    ProfileQuery,
    StoredPath,
)
from server.query.fields import FIRST_CAMPAIGN, FIRST_CAMPAIGN_TIME
from server.query.strings import end_of_prefix
from server.users.finding.lookup import SENT_ALIAS, SENT_TIME, order_of
from server.users.list_users import Listing

Query = dict[str, object]

_OPERATORS: Final = {"=": "$eq", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
_NOBODY: Final[Query] = {"_id": {"$in": []}}
_NO_ARRAY: Final[Query] = {"$not": {"$type": "array"}}


def profiles_of(application_id: str, kind: ProfileKind = USERS) -> Query:
    """All profiles of a kind of an application. Visitors, and what an erasure leaves, are not among the users."""
    identified: Query = {**VISITORS_QUERY} if kind is VISITORS else {kind.key: {"$exists": True}}
    return {"application_id": {"$eq": application_id}, **identified}


def profile_query(query: ProfileQuery) -> Query:
    """The profiles that meet all conditions."""
    every = profiles_of(query.application_id, query.kind)
    return {**every, "$and": [_query(condition) for condition in query.conditions]} if query.conditions else every


def all_by_key(application_id: str, kind: ProfileKind = USERS) -> Query:
    """All profiles of a kind of an application, in the form that the index of their ids, or of visitors, serves."""
    identified: Query = {**VISITORS_QUERY, "created_time": DATE} if kind is VISITORS else {kind.key: STRING}
    return {"application_id": {"$eq": application_id}, **identified}


def page_query(listing: Listing, *, by_key: bool = False) -> Query:
    """The profiles of a page of a list, and of the pages after it.

    With `by_key`, the index of their ids serves the query.
    """
    query = profile_query(listing.query)
    if by_key:
        query = query | all_by_key(listing.query.application_id, listing.query.kind)
    if listing.after is None:
        return query
    return {"$and": [query, _after(listing.keys, listing.after, listing.descending)]}


def lookup_query(lookup: Lookup) -> Query:
    """The users of a page of a look-up, and of the pages after it. Not of a token: see `token_pipeline`."""
    # On top, so that an index serves each of the alternatives.
    alternatives = _alternatives(lookup)
    if lookup.after is not None:
        after = _after_lookup(order_of(lookup), lookup.after)
        alternatives = [{**each, "$or": after} for each in alternatives]
    return {"$or": alternatives} if lookup.older_forms else alternatives[0]


def lookup_sort(lookup: Lookup) -> Mapping[str, int]:
    """The order of a look-up. MongoDB sorts a missing value as null, which is before every date."""
    return {**dict.fromkeys(order_of(lookup), -1), "_id": 1}


def token_pipeline(lookup: Lookup, projection: Query) -> Sequence[Query]:
    """The users of a page of a look-up of a session token in their order, and one more if there are more."""
    is_last = {"$eq": [f"${SENT_ALIAS}.alias", {"$literal": lookup.value}]}
    (users,) = _alternatives(lookup)
    after: list[Query] = []
    if lookup.after is not None:
        after.append({"$match": {"$or": _after_lookup(order_of(lookup), lookup.after)}})
    return [
        {"$match": users},
        {"$set": {SENT_TIME: {"$cond": [is_last, f"${SENT_ALIAS}.time", "$$REMOVE"]}}},
        *after,
        {"$sort": lookup_sort(lookup)},
        {"$limit": lookup.limit + 1},
        {"$project": projection},
    ]


def prefix_query(prefix: Prefix) -> Query:
    """The users whose stored field begins with a text, as one range of the index of that field."""
    bounds: Query = {"$gte": prefix.text}
    # Without an end, the range ends with the last string.
    if (end := end_of_prefix(prefix.text)) is not None:
        bounds["$lt"] = end
    return {**profiles_of(prefix.application_id), prefix.field: bounds}


def _after(keys: Sequence[str], position: Sequence[object], descending: bool) -> Query:
    beyond = "$lt" if descending else "$gt"
    same: Query = {}
    later: list[Query] = []
    for key, value in zip(keys, position, strict=True):
        later.append(same | {key: {beyond: value}})
        same = same | {key: {"$eq": value}}
    # All alternatives are within the first bound, which is where MongoDB enters the index.
    return {keys[0]: {f"{beyond}e": position[0]}, "$or": later}


def _alternatives(lookup: Lookup) -> Sequence[Query]:
    """The users of a look-up, by each value that they may have."""
    users = profiles_of(lookup.application_id)
    return [
        {**users, lookup.field: {"$eq": lookup.value}},
        *({**users, field: {"$in": [*values]}} for field, values in lookup.older_forms),
    ]


def _after_lookup(names: Sequence[str], position: LookupPosition) -> Sequence[Query]:
    """Conditions, one of which holds for every profile after a position in the order of these times."""
    *times, key = position
    same: Query = {}
    after: list[Query] = []
    for name, time in zip(names, times, strict=True):
        if time is not None:
            # What equals null is not stored.
            after += [{**same, name: {"$lt": time}}, {**same, name: {"$eq": None}}]
        same = {**same, name: {"$eq": time}}
    return [*after, {**same, "_id": {"$gt": key}}]


def _query(condition: Condition) -> Query:
    match condition:
        case Compared(path, operator, value):
            return _in_first({".".join(path): {_OPERATORS[operator]: value}}, path)
        case JsonCompared(path, operator, value, or_element):
            compared: Query = {_OPERATORS[operator]: value}
            return _in_no_array(path, compared if or_element else compared | _NO_ARRAY)
        case JsonHasNull(path):
            return _in_no_array(path, {"$elemMatch": {"$eq": None}})
        case IsStored(path):
            return _in_first(_in_no_array(path, {"$exists": True}), path)
        case ElementCount(path, operator, value):
            size = {"$size": {"$ifNull": [f"${'.'.join(path)}", []]}}
            return {"$expr": {_OPERATORS[operator]: [size, {"$literal": value}]}}
        case AllOf(conditions):
            return {"$and": [_query(each) for each in conditions]}
        case AnyOf(conditions):
            return {"$or": [_query(each) for each in conditions]} if conditions else _NOBODY
        case _:
            return {"$nor": [_query(condition.condition)]}


def _in_first(query: Query, path: StoredPath) -> Query:
    """The condition on a field of the first campaign; other conditions are returned as they are."""
    if path[0] != FIRST_CAMPAIGN or path == FIRST_CAMPAIGN_TIME:
        return query
    # The path alone would also lead through what is behind the first campaign. An index of it serves both.
    (condition,) = query.values()
    return {**query, f"{FIRST_CAMPAIGN}.0.{path[1]}": condition}


def _in_no_array(path: StoredPath, condition: Query) -> Query:
    query: Query = {".".join(path[:length]): _NO_ARRAY for length in range(2, len(path))}
    return query | {".".join(path): condition}
