"""A field mask: the fields of a user that a caller requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeAlias, cast

from server import limits
from server.merge.field_names import escape_key
from server.model import JsonObject, Profile
from server.query.fields import CAMPAIGN_FIELDS, CAMPAIGNS
from server.query.grammar import ListedPath, Path, parse_paths, refusal
from server.query.strings import paths_text

# Only a whole profile has an etag.
_NAMES: Final = frozenset(field.name for field in fields(Profile)) - {"etag"}

Tree: TypeAlias = "dict[str, Tree | None]"


@dataclass(frozen=True, slots=True)
class Mask:
    """The requested paths, none of which is below another.

    `stored` is the tree of their keys as they are stored, with None at the end of each path.
    """

    paths: tuple[Path, ...]
    stored: "Tree" = field(default_factory=dict, compare=False, repr=False)


WHOLE: Final = Mask(tuple((name,) for name in sorted(_NAMES)))
"""Every field."""


def parse_mask(elements: Sequence[str]) -> Mask:
    """The mask of the paths in a field `fields`, or `WHOLE` if there are none. Raises InvalidRequest."""
    if not elements:
        return WHOLE
    text = paths_text("fields", elements)
    paths = [_checked(listed) for listed in parse_paths(text, "fields")]
    requested = dict.fromkeys(paths)
    chosen = tuple(path for path in requested if not any(path[:length] in requested for length in range(1, len(path))))
    # Built once, for all users of a page.
    tree: Tree = {}
    for first, *keys in chosen:
        *parents, last = first, *map(escape_key, keys)
        inner = tree
        for key in parents:
            inner = cast(Tree, inner.setdefault(key, {}))
        inner[last] = None
    return Mask(chosen, tree)


def masked(profile: Profile, mask: Mask) -> Profile:
    """The profile with only the requested fields. All other fields are None."""
    if mask is WHOLE:
        return profile
    changes: dict[str, Any] = dict.fromkeys(_NAMES - mask.stored.keys() - {"user_id"})
    for name, inner in mask.stored.items():
        if inner is not None:
            selected = _selected(getattr(profile, name) or {}, inner)
            changes[name] = selected if selected or name == "metadata" else None
    return replace(profile, **changes)


def _checked(listed: ListedPath) -> Path:
    path = listed.path
    known = path[0] in _NAMES and (
        len(path) == 1
        or (path[0] == "metadata" and len(path) <= limits.METADATA_LEVELS + 1)
        or (path[0] in CAMPAIGNS and len(path) == 2 and path[1] in CAMPAIGN_FIELDS)
    )
    if not known:
        raise refusal("fields", listed.column, "expected a field that can be asked for")
    return path


def _selected(value: Mapping[str, object], tree: Tree) -> JsonObject:
    """The values at the paths. A path leads only through objects, while MongoDB's projections also enter arrays."""
    selected: JsonObject = {}
    for key, below in tree.items():
        inner = value.get(key)
        if below is None:
            selected |= {key: inner} if key in value else {}
        elif isinstance(inner, dict) and (found := _selected(inner, below)):
            selected[key] = found
    return selected
