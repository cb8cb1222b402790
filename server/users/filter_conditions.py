"""A filter as conditions on stored fields: what each comparison means.

Comparisons do not look into arrays, except `:`, which looks into the array at the end of its path. `!=` and NOT are the
exact opposite of `=` and of their operand.
"""

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeGuard

from server.merge.numbers import stored_double, stored_number
from server.merge.times import stored_time
from server.model import USERS, ProfileKind
from server.query.conditions import (
    NO_PROFILE,
    AllOf,
    AnyOf,
    Compared,
    Condition,
    ElementCount,
    IsStored,
    JsonCompared,
    JsonHasNull,
    Not,
    Operator,
    ProfileQuery,
    StoredPath,
)
from server.query.declared_paths import MODIFIED_TIME
from server.query.fields import FIRST_CAMPAIGN_TIME, Field, FieldKind, field_at
from server.query.grammar import ANYTHING, And, Comparison, Filter, Or, refusal
from server.query.timestamps import nanoseconds_from_text
from server.users.ids import id_of

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_OPERATORS: Final[dict[str, Operator]] = {"=": "=", ":": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
# For a value that lies between two stored ones, before which it is rounded.
_BETWEEN: Final[dict[str, Operator]] = {"<": "<=", "<=": "<=", ">": ">", ">=": ">"}
_STRICT: Final[dict[str, Operator]] = {"<": "<", "<=": "<", ">": ">", ">=": ">"}


def profiles_matching(application_id: str, tree: Filter | None, kind: ProfileKind = USERS) -> ProfileQuery:
    """The profiles of an application that a filter matches, or all if there is none. Raises InvalidRequest."""
    every = ProfileQuery(application_id, kind=kind)
    return every if tree is None else replace(every, conditions=(_condition(every, tree),))


def time_condition(path: StoredPath, operator: str, nanoseconds: int) -> Condition:
    """The condition that the time at a path compares with a number of nanoseconds since 1970-01-01 UTC."""
    date, remainder = stored_time(nanoseconds)
    if path != MODIFIED_TIME:
        # Stored to the millisecond: no stored time equals one with a remainder.
        if not remainder:
            return Compared(path, _OPERATORS[operator], date)
        return NO_PROFILE if operator == "=" else Compared(path, _BETWEEN[operator], date)
    same = AllOf((Compared(path, "=", date), Compared(("modified_nanos",), _OPERATORS[operator], remainder)))
    return same if operator == "=" else AnyOf((Compared(path, _STRICT[operator], date), same))


def _condition(every: ProfileQuery, tree: Filter) -> Condition:
    """The condition of a part of a filter on all profiles that are there to be chosen from."""
    if isinstance(tree, Comparison):
        return _comparison(every, tree)
    if isinstance(tree, And | Or):
        operands = [_condition(every, operand) for operand in tree.operands]
        return AllOf(operands) if isinstance(tree, And) else AnyOf(operands)
    return Not(_condition(every, tree.operand))


def _comparison(every: ProfileQuery, comparison: Comparison) -> Condition:
    field = field_at(comparison.path, every.kind)
    if field is None:
        raise refusal("filter", comparison.column, "expected a field that profiles can be chosen by")
    operator, value = comparison.operator, comparison.value
    if operator == "!=":
        return Not(_comparison(every, replace(comparison, operator="=")))
    if value is ANYTHING:
        return _is_stored(field)
    if value is None or isinstance(value, bool):
        if operator not in ("=", ":"):
            raise refusal("filter", comparison.value_column, "expected a string or a number: nothing else has an order")
        if value is None:
            return _is_null(field, operator)
    if field.kind in (FieldKind.JSON, FieldKind.COUNT) and _is_stored_as_string(value):
        if operator not in ("=", ":"):
            operator, value = _compared_with_double(operator, value)
        elif field.kind is FieldKind.COUNT:
            return NO_PROFILE
        else:
            value = str(value)
    if field.kind is FieldKind.JSON:
        return JsonCompared(field.stored, _OPERATORS[operator], value, or_element=operator == ":")
    # No other field holds an array: `:` means the same as `=`.
    operator = "=" if operator == ":" else operator
    if field.kind is FieldKind.COUNT and isinstance(value, int | float) and not isinstance(value, bool):
        return ElementCount(field.stored, _OPERATORS[operator], value)
    if field.kind is FieldKind.TEXT and isinstance(value, str):
        return _text(every, field, _OPERATORS[operator], value)
    if field.kind is FieldKind.TIME and isinstance(value, str):
        nanoseconds = nanoseconds_from_text(value)
        if nanoseconds is not None:
            return time_condition(field.stored, operator, nanoseconds)
    raise refusal("filter", comparison.value_column, f"expected {field.kind.value}")


def _is_stored_as_string(value: object) -> TypeGuard[int]:
    """Whether a value is an integer that no double holds. In metadata, its decimal digits are stored."""
    return isinstance(value, int) and isinstance(stored_number(value), str)


def _compared_with_double(operator: str, integer: int) -> tuple[str, float]:
    """The comparison with the next double that has the same result for every double."""
    try:
        nearest = float(integer)
    except OverflowError:
        nearest = math.inf if integer > 0 else -math.inf
    if operator.startswith("<"):
        return "<=", stored_double(nearest if nearest < integer else math.nextafter(nearest, -math.inf))
    return ">=", stored_double(nearest if nearest > integer else math.nextafter(nearest, math.inf))


def _text(every: ProfileQuery, field: Field, operator: Operator, value: str) -> Condition:
    if field.stored == (every.kind.key,) and operator == "=":
        # The `_id` has an index.
        return Compared(("_id",), "=", id_of(every.kind, every.application_id, value))
    if field.stored == ("ip_address",):
        # If no update gave an address, the observed one takes its place.
        observed = AllOf((Not(IsStored(("ip_address",))), Compared(("observed_ip_address",), operator, value)))
        return AnyOf((Compared(("ip_address",), operator, value), observed))
    return Compared(field.stored, operator, value)


def _is_stored(field: Field) -> Condition:
    if field.kind is FieldKind.COUNT:
        # Every user has a number of aliases.
        return IsStored(("user_id",))
    if field.stored == ("ip_address",):
        return AnyOf((IsStored(("ip_address",)), IsStored(("observed_ip_address",))))
    if field.stored == FIRST_CAMPAIGN_TIME:
        # What else may be there is no time.
        return Compared(field.stored, ">=", _EARLIEST)
    return IsStored(field.stored)


def _is_null(field: Field, operator: str) -> Condition:
    """A null removes a field, so no field holds one. Arrays may hold one."""
    absent = Not(_is_stored(field))
    if operator == "=" or field.kind is not FieldKind.JSON:
        return absent
    return AnyOf((absent, JsonHasNull(field.stored)))
