"""The paths of a profile that an update would change."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from server.merge.difference import changed_paths
from server.merge.field_names import unescape_key
from server.merge.paths import whole_path
from server.model import Profile
from server.query.fields import CAMPAIGNS

_NOT_COMPARED: Final = frozenset({"stored_time", "etag"})
_NAMES: Final = tuple(field.name for field in fields(Profile) if field.name not in _NOT_COMPARED)
_OBJECTS: Final = ("metadata", *CAMPAIGNS, "user_agent")


def paths_between(before: Profile | None, after: Profile) -> list[str]:
    """The paths whose values differ, in the notation of filters and in their alphabetical order.

    `before` is None if there is no profile.
    """
    changed = changed_paths(_tree(before), _tree(after))
    # Only keys in metadata are escaped.
    return sorted(whole_path((name, *map(unescape_key, keys))) for name, *keys in changed)


def _tree(profile: Profile | None) -> Mapping[str, object]:
    """The fields that a caller sees. Objects are always there, and other fields where they are neither empty nor 0."""
    tree: dict[str, Any] = {name: {} for name in _OBJECTS}
    if profile is not None:
        tree |= {name: value for name in _NAMES if (value := getattr(profile, name))}
    return tree
