"""A field mask: the fields of a profile that a caller requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias, cast

from server import limits
from server.merge.field_names import escape_key
from server.model import KINDS, USERS, JsonObject, Profile, ProfileKind
from server.query.fields import CAMPAIGN_FIELDS, CAMPAIGNS
from server.query.grammar import ListedPath, Path, parse_paths, refusal
from server.query.strings import paths_text

Tree: TypeAlias = "dict[str, Tree | None]"


@dataclass(frozen=True, slots=True)
class Mask:
    """The requested paths in profiles of a kind, none of which is below another.

    `stored` is the tree of their keys as they are stored, with None at the end of each path. It is empty if every field
    is requested.
    """

    paths: tuple[Path, ...]
    stored: "Tree" = field(default_factory=dict, compare=False, repr=False)
    kind: ProfileKind = USERS

    @property
    def is_whole(self) -> bool:
        """Whether every field is requested."""
        return not self.stored


_WHOLE: Final = {kind: Mask(tuple((name,) for name in sorted(kind.fields)), kind=kind) for kind in KINDS}


def whole(kind: ProfileKind) -> Mask:
    """Every field of profiles of a kind."""
    return _WHOLE[kind]


WHOLE: Final = whole(USERS)
"""Every field of users."""


def parse_mask(elements: Sequence[str], kind: ProfileKind = USERS) -> Mask:
    """The mask of the paths in a field `fields`, or of every field if there are none. Raises InvalidRequest."""
    if not elements:
        return whole(kind)
    text = paths_text("fields", elements)
    paths = [_checked(listed, kind) for listed in parse_paths(text, "fields")]
    requested = dict.fromkeys(paths)
    chosen = tuple(path for path in requested if not any(path[:length] in requested for length in range(1, len(path))))
    # Built once, for all profiles of a page.
    tree: Tree = {}
    for first, *keys in chosen:
        *parents, last = first, *map(escape_key, keys)
        inner = tree
        for key in parents:
            inner = cast(Tree, inner.setdefault(key, {}))
        inner[last] = None
    return Mask(chosen, tree, kind)


def masked(profile: Profile, mask: Mask) -> Profile:
    """The profile with only the requested fields. All other fields are None."""
    if mask.is_whole:
        return profile
    kind = mask.kind
    changes: dict[str, Any] = dict.fromkeys(kind.fields - mask.stored.keys() - {kind.key})
    for name, inner in mask.stored.items():
        if inner is not None:
            selected = _selected(getattr(profile, name) or {}, inner)
            changes[name] = selected if selected or name == "metadata" else None
    return replace(profile, **changes)


def _checked(listed: ListedPath, kind: ProfileKind) -> Path:
    path = listed.path
    known = path[0] in kind.fields and (
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
