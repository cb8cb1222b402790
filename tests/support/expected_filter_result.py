"""The meaning of a filter, implemented as simply as possible. Property tests compare MongoDB's results with it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from server.model import Profile
from server.query.grammar import ANYTHING, And, Comparison, Filter, Not, Or

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def matches(profile: Profile, tree: Filter) -> bool:
    """Whether a profile matches a filter."""
    if isinstance(tree, Not):
        return not matches(profile, tree.operand)
    if isinstance(tree, And):
        return all(matches(profile, operand) for operand in tree.operands)
    if isinstance(tree, Or):
        return any(matches(profile, operand) for operand in tree.operands)
    return _compares(profile, tree)


def _compares(profile: Profile, comparison: Comparison) -> bool:
    found, value = _found(profile, comparison.path), comparison.value
    if _is_stored_as_string(value) and comparison.operator in ("=", "!=", ":"):
        value = str(value)
    if comparison.path[0].endswith("_time") and isinstance(value, str):
        value = _nanoseconds(value)
    if comparison.operator == ":":
        if value is ANYTHING:
            return found is not None
        return _equal(found, value) or (isinstance(found, list) and any(_equal(item, value) for item in found))
    if comparison.operator in ("=", "!="):
        return _equal(found, value) == (comparison.operator == "=")
    if _kind(found) not in ("text", "number") or _kind(found) != _kind(value):
        return False
    one, other = (found.encode(), value.encode()) if isinstance(value, str) else (found, value)
    holds = {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[comparison.operator]
    return bool(holds)


def _found(profile: Profile, path: tuple[str, ...]) -> Any:
    """The value of a field; None if it is absent."""
    found: Any = {name: getattr(profile, name) for name in Profile.__dataclass_fields__}
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return _since_epoch(found) if isinstance(found, datetime) else found


def _equal(one: object, other: object) -> bool:
    return _kind(one) == _kind(other) and one == other


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    # The driver returns a 64-bit integer as a subclass of int.
    if isinstance(value, int | float):
        return "number"
    return {str: "text", type(None): "null"}.get(type(value), "other")


def _is_stored_as_string(value: object) -> bool:
    """Whether a value is an integer that no double holds. Metadata stores its digits as a string."""
    if not isinstance(value, int):
        return False
    try:
        return int(float(value)) != value
    except OverflowError:
        return True


def _nanoseconds(text: str) -> int:
    """Nanoseconds since 1970 of a time in UTC with nine fractional digits, the only form in these tests."""
    seconds, fraction = text.removesuffix("Z").split(".")
    return _since_epoch(datetime.fromisoformat(f"{seconds}Z")) + int(fraction)


def _since_epoch(time: datetime) -> int:
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
