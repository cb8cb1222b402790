"""A mask: the fields of a user that a caller asked for, as a projection and as what is left of a profile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeAlias, cast

from server import limits
from server.merge.field_names import escape_key
from server.model import JsonObject, Profile
from server.query.fields import CAMPAIGN_FIELDS, CAMPAIGNS
from server.query.grammar import ListedPath, Path, parse_paths, refusal
from server.query.strings import paths_text

_NAMES: Final = frozenset(field.name for field in fields(Profile))

Tree: TypeAlias = "dict[str, Tree | None]"


@dataclass(frozen=True, slots=True)
class Mask:
    """The paths that were asked for, none of them below another. `stored` is the tree of their keys as they are stored,
    None being at the end of each."""

    paths: tuple[Path, ...]
    stored: "Tree" = field(default_factory=dict, compare=False, repr=False)


WHOLE: Final = Mask(tuple((name,) for name in sorted(_NAMES)))
"""Every field."""


def parse_mask(elements: Sequence[str]) -> Mask:
    """The mask that the paths in a field `fields` are, `WHOLE` where there are none. Raises InvalidRequest."""
    if not elements:
        return WHOLE
    text = paths_text("fields", elements)
    paths = [_checked(listed) for listed in parse_paths(text, "fields")]
    asked = dict.fromkeys(paths)
    chosen = tuple(path for path in asked if not any(path[:length] in asked for length in range(1, len(path))))
    # Once: a page of a thousand users is masked by it.
    tree: Tree = {}
    for first, *keys in chosen:
        *owners, last = first, *map(escape_key, keys)
        inner = tree
        for key in owners:
            inner = cast(Tree, inner.setdefault(key, {}))
        inner[last] = None
    return Mask(chosen, tree)


def masked(profile: Profile, mask: Mask) -> Profile:
    """What is left of a profile: the fields that were not asked for are None."""
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
    """What the paths lead to, through objects alone: what MongoDB answers on the way through an array is dropped."""
    selected: JsonObject = {}
    for key, below in tree.items():
        inner = value.get(key)
        if below is None:
            selected |= {key: inner} if key in value else {}
        elif isinstance(inner, dict) and (found := _selected(inner, below)):
            selected[key] = found
    return selected
