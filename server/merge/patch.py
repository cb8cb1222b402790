"""The algebra of patches: what one does to a value, whether dot-paths can express it, and two of them as one.

See `model.Patch` for what a patch is.
"""

from collections.abc import Iterable

from server.model import REMOVE, JsonObject, Patch, Remove, Whole


def apply_patch(value: object, patch: Patch) -> JsonObject:
    """What becomes of a stored `value` that `patch` is merged into."""
    merged = _copied(value) if isinstance(value, dict) else {}
    _apply(merged, patch)
    return merged


def compose(patches: Iterable[Patch]) -> Patch:
    """The one patch that does what `patches` would do one after the other. Takes time in proportion to them all."""
    composed: Patch = {}
    for patch in patches:
        _add(composed, patch)
    return composed


def _add(composed: Patch, patch: Patch) -> None:
    """Make `composed` do what `patch` would do afterwards. Every dict in it is its own."""
    for key, change in patch.items():
        if not isinstance(change, dict):
            composed[key] = Whole(_copied(change.value)) if isinstance(change, Whole) else change
            continue
        before = composed.get(key) if key in composed else composed.setdefault(key, {})
        if isinstance(before, dict):
            _add(before, change)
            continue
        # Nothing that is stored can shine through: what `before` leaves behind is known.
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
    """The same object in dicts of its own. Arrays are replaced as a whole, never changed: they are shared."""
    return {key: _copied(item) if isinstance(item, dict) else item for key, item in value.items()}


def needs_exact(patch: Patch) -> bool:
    """Whether some object in `patch` has nothing to set: `$set` on dot-paths then cannot make sure that it is stored.

    `$unset` below a scalar is silently nothing, and below nothing creates nothing.
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
