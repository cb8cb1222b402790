"""The paths that differ between two users, found as simply as possible. It shares no code with the server."""

import json
import re
from typing import Any

_OBJECTS = ("metadata", "campaign", "initial_campaign", "latest_campaign", "user_agent")
_NOTHING = object()


def expected_changes(before: dict[str, Any] | None, after: dict[str, Any]) -> set[str]:
    """The paths that would change, as a dry run names them, of users in JSON. `before` is None if there is none."""
    old, new = _normal(before or {}), _normal(after)
    changed: set[tuple[str, ...]] = set()
    for path, value in _leaves(new):
        stored = _at(old, path)
        if _canonical(stored) != _canonical(value) and not (value == {} and isinstance(stored, dict)):
            changed.add(path)
    for path, _ in _leaves(old):
        gone = [path[:length] for length in range(1, len(path) + 1) if _at(new, path[:length]) is _NOTHING]
        # Where a value has replaced an object, the path is that of the value, which was found above.
        if gone and isinstance(_at(new, gone[0][:-1]), dict):
            changed.add(gone[0])
    return {_text(path) for path in changed}


def _normal(user: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in user.items() if value and name not in ("etag", "stored_time")}
    return {name: {} for name in _OBJECTS} | kept


def _leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            found += _leaves(item, (*path, key))
        elif not (item == {} and not path and key in _OBJECTS):
            found.append(((*path, key), item))
    return found


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _NOTHING
        value = value[key]
    return value


def _canonical(value: Any) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value)


def _text(path: tuple[str, ...]) -> str:
    parts = [f".{key}" if re.fullmatch("[A-Za-z_][A-Za-z0-9_-]*", key) else f"[{_quoted(key)}]" for key in path]
    return "".join(parts)[1:]


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)
