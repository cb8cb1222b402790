"""The difference of two JSON objects, as the paths that change."""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import orjson

Keys: TypeAlias = tuple[str, ...]
"""A path of keys, from the outside in."""

_NOTHING: Final = object()


def changed_paths(before: Mapping[str, object], after: Mapping[str, object], parents: Keys = ()) -> Iterator[Keys]:
    """The paths below `parents` whose values differ: each that is added or changed, of a value or of an empty object.

    An array is one value. An object that is removed, or replaced by another kind of value, is one path.
    """
    for key in (*after, *(key for key in before if key not in after)):
        old, new = before.get(key, _NOTHING), after.get(key, _NOTHING)
        path = (*parents, key)
        if isinstance(new, dict) and new:
            yield from changed_paths(old if isinstance(old, dict) else {}, new, path)
        elif isinstance(new, dict) and isinstance(old, dict):
            # What it held is removed.
            yield from changed_paths(old, {}, path)
        elif not _are_equal(old, new):
            yield path


def _are_equal(one: object, other: object) -> bool:
    if one is _NOTHING or other is _NOTHING:
        return False
    if type(one) is type(other) and isinstance(one, str | int):
        return one == other
    # To Python, 1 and True are equal, and 0 and -0.0.
    return orjson.dumps(one, default=repr) == orjson.dumps(other, default=repr)
