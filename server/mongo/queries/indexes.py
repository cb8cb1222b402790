"""Which queries an index serves. MongoDB would find out by trying, which takes a part of the time that a query has."""

from typing import Final

from server.query.conditions import AllOf, AnyOf, Compared, Condition, UserQuery

_INDEXED: Final = frozenset({("_id",), ("company_id",), ("avatar_url",), ("created_time",)})


def is_served(query: UserQuery) -> bool:
    """Whether an index finds the users of a query without reading all of the application."""
    return any(map(_is_served, query.conditions))


def _is_served(condition: Condition) -> bool:
    match condition:
        case Compared(path):
            return path in _INDEXED
        case AllOf(conditions):
            return any(map(_is_served, conditions))
        case AnyOf(conditions):
            # MongoDB combines alternatives of one field only. Without any, it reads nothing.
            paths = {each.path if isinstance(each, Compared) else () for each in conditions}
            return not paths or (len(paths) == 1 and paths <= _INDEXED)
        case _:
            return False
