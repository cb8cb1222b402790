"""Patches: how one changes a value, how several become one, and whether dot-paths can express one.

`model.Patch` defines a patch.
"""

from collections.abc import Sequence
from typing import Final

from server.merge.operations import NotComposable, Operation
from server.model import REMOVE, JsonObject, OperationKind, Patch, Remove, Whole

_OBJECT: Final[JsonObject] = {}


def apply_patch(value: object, patch: Patch) -> JsonObject:
    """The value after `patch` is merged into it."""
    merged = _copied(value) if isinstance(value, dict) else {}
    _apply(merged, patch)
    return merged


def compose(patches: Sequence[Patch]) -> tuple[Patch, int]:
    """One patch with the effect of the first N of `patches` in their order, and N.

    N is less than their number only where an operation has no patch with the effect of both it and what follows it.
    Takes time in proportion to their total size.
    """
    composed: Patch = {}
    for count, patch in enumerate(patches):
        try:
            _add(composed, patch)
        except NotComposable:
            # A part of the patch is in `composed`.
            return compose(patches[:count])
    return composed, len(patches)


def _add(composed: Patch, patch: Patch) -> None:
    """Append the effect of `patch` to `composed`, which shares no dict with it. Raises NotComposable."""
    for key, change in patch.items():
        if not isinstance(change, dict):
            after = _after(change, composed[key]) if isinstance(change, Operation) and key in composed else change
            composed[key] = Whole(_copied(after.value)) if isinstance(after, Whole) else after
            continue
        before = composed.get(key) if key in composed else composed.setdefault(key, {})
        if isinstance(before, Operation) and before.may_leave_an_object:
            if before.kind is OperationKind.SET_ONCE:
                raise NotComposable
            # What it leaves is merged into or replaced, as what was stored before it.
            before = composed[key] = {}
        if isinstance(before, dict):
            _add(before, change)
            continue
        # `before` replaces the stored value, so the result is known.
        if not isinstance(before, Whole):
            before = composed[key] = Whole({})
        _apply(before.value, change)


def _after(operation: Operation, before: object) -> object:
    """What has the effect of `before`, a part of a patch, and the operation after it."""
    if isinstance(before, Operation):
        return before.followed_by(operation)
    is_object = isinstance(before, dict | Whole)
    # What is in an object that is stored makes no difference to an operation.
    stored = _OBJECT if is_object else before
    after = operation.apply(stored)
    if after is stored:
        return before
    return Whole(after) if isinstance(after, dict) else after


def _apply(value: JsonObject, patch: Patch) -> None:
    for key, change in patch.items():
        if isinstance(change, dict):
            inner = value.get(key)
            if not isinstance(inner, dict):
                inner = value[key] = {}
            _apply(inner, change)
        elif isinstance(change, Remove):
            value.pop(key, None)
        elif isinstance(change, Operation):
            after = change.apply(value.get(key, REMOVE))
            if after is not REMOVE:
                value[key] = _copied(after) if isinstance(after, dict) else after
        else:
            value[key] = _copied(change.value) if isinstance(change, Whole) else change


def _copied(value: JsonObject) -> JsonObject:
    """A copy of all dicts. Arrays are shared: they are replaced, never changed."""
    return {key: _copied(item) if isinstance(item, dict) else item for key, item in value.items()}


def needs_exact(patch: Patch) -> bool:
    """Whether some object in `patch` sets nothing, or an operation is in it.

    Dot-paths cannot make sure that such an object is stored: they only set and remove the leaves. Nor can they make one
    value depend on another one.
    """
    return not all(_sets_throughout(change) for change in patch.values() if isinstance(change, dict))


def _sets_throughout(patch: Patch) -> bool:
    sets = False
    for change in patch.values():
        if isinstance(change, Operation):
            return False
        if isinstance(change, dict):
            if not _sets_throughout(change):
                return False
            sets = True
        elif change is not REMOVE:
            sets = True
    return sets
