"""Paths that an operator declares for an application, so that an index serves filters and orders."""

from collections.abc import Sequence
from typing import Final

from server.errors import InvalidRequest, PathNotDeclarable
from server.merge.field_names import unescape_key
from server.merge.paths import field_path
from server.query.conditions import StoredPath
from server.query.fields import FIRST_CAMPAIGN_TIME, FieldKind, field_at
from server.query.grammar import parse_paths

MODIFIED_TIME: Final = ("modified_time",)

# These have an index in every application, or are not stored as one value.
_NOT_DECLARED: Final = frozenset(
    {("user_id",), ("company_id",), ("avatar_url",), ("created_time",), ("ip_address",), FIRST_CAMPAIGN_TIME}
)
_TEXT_LENGTH: Final = 160


def declared_path(text: str) -> StoredPath:
    """The stored path of a declaration such as `metadata.sales_info.stage`. Raises PathNotDeclarable."""
    try:
        paths = [listed.path for listed in parse_paths(text, "fields")]
    except InvalidRequest as error:
        raise PathNotDeclarable(error.violations[0].description) from None
    field = field_at(paths[0]) if len(paths) == 1 else None
    if field is None or not is_declarable(field.stored) or field.kind is FieldKind.COUNT:
        raise PathNotDeclarable("expected a field of filters that has no index yet")
    if len(text_of(field.stored)) >= _TEXT_LENGTH:
        raise PathNotDeclarable(f"expected fewer than {_TEXT_LENGTH} characters")
    return field.stored


def is_declarable(path: StoredPath) -> bool:
    """Whether a stored field of filters can have an index of its own."""
    return path not in _NOT_DECLARED and path != ("aliases",) and path[0] != "_id"


def text_of(path: StoredPath) -> str:
    """The path as callers write it."""
    return field_path([unescape_key(key) for key in path])


def index_keys(path: StoredPath) -> Sequence[str]:
    """The fields of the index of a declared path, in their order."""
    if path == MODIFIED_TIME:
        return ("modified_time", "modified_nanos", "_id")
    # In the default order of lists, so that a page of the users with one value needs no sorting.
    return (".".join(path), "created_time", "_id")
