"""Which queries an index serves. MongoDB would find out by trying, which takes a part of the time that a query has."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from server.model import COMPANIES, USERS
from server.query.conditions import AllOf, AnyOf, Compared, Condition, IsStored, JsonCompared, ProfileQuery, StoredPath
from server.query.declared_paths import MODIFIED_TIME, is_declarable

_INDEXED: Final = frozenset({("_id",), ("company_id",), ("avatar_url",), ("anonymous_id",), ("created_time",)})
_ORDERED: Final = frozenset({"created_time", USERS.key, COMPANIES.key})


def is_served(query: ProfileQuery, declared: AbstractSet[StoredPath]) -> bool:
    """Whether an index finds the users of a query without reading all of the application.

    `declared` are the paths of the application whose indexes are ready.
    """
    return any(_is_served(condition, declared) for condition in _conjuncts(query.conditions))


def is_served_in_parts(query: ProfileQuery, declared: AbstractSet[StoredPath]) -> bool:
    """Whether half of the users of a query are found in half the time: no index finds them but by `created_time`."""
    others = [each for each in _conjuncts(query.conditions) if _path_of(each) != ("created_time",)]
    return not is_served(ProfileQuery(query.application_id, others), declared)


def reads_all(query: ProfileQuery, order: str | None, declared: AbstractSet[StoredPath]) -> bool:
    """Whether a query has to read all users of the application before its first result.

    `order` is the stored field of the order, or None for a count.
    """
    if is_served(query, declared):
        return False
    if order is None:
        return bool(query.conditions)
    return not (order in _ORDERED or (order,) in declared)


def path_to_declare(query: ProfileQuery, order: str | None) -> StoredPath | None:
    """The path with which an index would serve a query that reads all users, or None if there is none."""
    if order is not None:
        return MODIFIED_TIME
    paths = map(_path_of, _conjuncts(query.conditions))
    return next((path for path in paths if path and is_declarable(path)), None)


def _is_served(condition: Condition, declared: AbstractSet[StoredPath]) -> bool:
    path = _path_of(condition)
    # Nearly all users may have a company.
    return path in declared or (path in _INDEXED and not isinstance(condition, IsStored))


def _conjuncts(conditions: Sequence[Condition]) -> Iterator[Condition]:
    """The conditions that all users must meet."""
    for condition in conditions:
        if isinstance(condition, AllOf):
            yield from _conjuncts(condition.conditions)
        else:
            yield condition


def _path_of(condition: Condition) -> StoredPath:
    """The path by which an index finds the users who meet a condition, or none."""
    match condition:
        case Compared(path) | JsonCompared(path) | IsStored(path):
            return path
        case AllOf(conditions):
            return next(filter(None, map(_path_of, conditions)), ())
        case AnyOf(conditions):
            # MongoDB combines alternatives of one field only. Without any, it reads nothing.
            paths = {_path_of(each) for each in conditions} or {("_id",)}
            return paths.pop() if len(paths) == 1 else ()
        case _:
            return ()
