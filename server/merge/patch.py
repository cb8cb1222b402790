"""Patches: how one changes a value, how several become one, and whether dot-paths can express one.

`model.Patch` defines a patch.
"""

from collections.abc import Iterable

from server.model import REMOVE, JsonObject, Patch, Remove, Whole


def apply_patch(value: object, patch: Patch) -> JsonObject:
    """The value after `patch` is merged into it."""
    merged = _copied(value) if isinstance(value, dict) else {}
    _apply(merged, patch)
    return merged


def compose(patches: Iterable[Patch]) -> Patch:
    """One patch with the effect of `patches` in their order. Takes time in proportion to their total size."""
    composed: Patch = {}
    for patch in patches:
        _add(composed, patch)
    return composed


def _add(composed: Patch, patch: Patch) -> None:
    """Append the effect of `patch` to `composed`, which shares no dict with it."""
    for key, change in patch.items():
        if not isinstance(change, dict):
            composed[key] = Whole(_copied(change.value)) if isinstance(change, Whole) else change
            continue
        before = composed.get(key) if key in composed else composed.setdefault(key, {})
        if isinstance(before, dict):
            _add(before, change)
            continue
        # `before` replaces the stored value, so the result is known.
        if not isinstance(before, Whole):
            before = composed[key] = Whole({})
        _apply(before.value, change)


def _apply(value: JsonObject, patch: Patch) -> None:
    for key, change in patch.items():
        if isinstance(change, dict):
            inner = value.get(key)
            if not isinstance(inner, dict):
                inner = value[key] = {}
            _apply(inner, change)
        elif isinstance(change, Remove):
            value.pop(key, None)
        else:
            value[key] = _copied(change.value) if isinstance(change, Whole) else change


def _copied(value: JsonObject) -> JsonObject:
    """A copy of all dicts. Arrays are shared: they are replaced, never changed."""
    return {key: _copied(item) if isinstance(item, dict) else item for key, item in value.items()}


def needs_exact(patch: Patch) -> bool:
    """Whether some object in `patch` sets nothing.

    Dot-paths cannot make sure that such an object is stored: they only set and remove the leaves.
    """
    return not all(_sets_throughout(change) for change in patch.values() if isinstance(change, dict))


def _sets_throughout(patch: Patch) -> bool:
    sets = False
    for change in patch.values():
        if isinstance(change, dict):
            if not _sets_throughout(change):
                return False
            sets = True
        elif change is not REMOVE:
            sets = True
    return sets
