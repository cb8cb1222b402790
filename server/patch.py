"""The algebra of patches: what one does to a value, whether dot-paths can express it, and two of them as one.

See `model.Patch` for what a patch is.
"""

from server.model import REMOVE, JsonObject, Patch, Remove, Whole


def apply_patch(value: object, patch: Patch) -> JsonObject:
    """What becomes of a stored `value` that `patch` is merged into."""
    merged = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if isinstance(change, dict):
            merged[key] = apply_patch(merged.get(key), change)
        elif isinstance(change, Remove):
            merged.pop(key, None)
        else:
            merged[key] = change.value if isinstance(change, Whole) else change
    return merged


def compose(first: Patch, second: Patch) -> Patch:
    """The one patch that does what `first` and then `second` would do."""
    composed = dict(first)
    for key, change in second.items():
        composed[key] = _compose_change(first[key], change) if key in first else change
    return composed


def _compose_change(first: object, second: object) -> object:
    if not isinstance(second, dict):
        return second
    if isinstance(first, dict):
        return compose(first, second)
    # Nothing that is stored can shine through: what `first` leaves behind is known.
    return Whole(apply_patch(first.value if isinstance(first, Whole) else None, second))


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
