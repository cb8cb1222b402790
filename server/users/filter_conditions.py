"""A filter as a MongoDB query: what each comparison means, exactly, in plain dicts.

MongoDB's own comparisons look into arrays, on the way to a field and in the field itself; those of a filter do not, but
for `:`, which looks into the field. So wherever metadata may hold an array, the query says that there is none. Values
stand below explicit operators, so none can be one. `!=` and NOT are `$nor`, the exact opposite.
"""

import math
from dataclasses import replace
from typing import Final, TypeGuard

from server.merge.numbers import stored_double, stored_number
from server.query.fields import Field, FieldKind, field_at
from server.query.grammar import ANYTHING, And, Comparison, Filter, Or, refusal
from server.query.timestamps import nanoseconds_from_text
from server.users.update import profile_id, stored_time

Query = dict[str, object]
Pipeline = list[dict[str, object]]

_OPERATORS: Final = {"=": "$eq", ":": "$eq", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
_NOBODY: Final[Query] = {"_id": {"$in": []}}
_ARRAY: Final = {"$type": "array"}


def users_of(application_id: str) -> Query:
    """The query of all users of an application: not of visitors without a user id, nor of what an erasure leaves."""
    return {"application_id": {"$eq": application_id}, "user_id": {"$exists": True}}


def plan_query(application_id: str, tree: Filter | None) -> Query:
    """The query of an application's users that a filter matches; all where there is none. Raises InvalidRequest."""
    if tree is None:
        return users_of(application_id)
    return {**users_of(application_id), "$and": [_query(application_id, tree)]}


def time_query(field: str, operator: str, nanoseconds: int) -> Query:
    """The query of the users of whom a time compares so with a number of nanoseconds since 1970-01-01 UTC.

    `field` is `created_time`, `stored_time` or `modified_time`.
    """
    date, rest = stored_time(nanoseconds)
    if field != "modified_time":
        # Kept to the millisecond: a time within one is after its beginning, and equal to nothing.
        if rest and operator == "=":
            return _NOBODY
        return {field: {_OPERATORS[{"<": "<=", ">=": ">"}.get(operator, operator) if rest else operator]: date}}
    same = {field: {"$eq": date}, "modified_nanos": {_OPERATORS[operator]: rest}}
    return same if operator == "=" else {"$or": [{field: {_OPERATORS[operator[0]]: date}}, same]}


def _query(application_id: str, tree: Filter) -> Query:
    if isinstance(tree, Comparison):
        return _comparison(application_id, tree)
    if isinstance(tree, And | Or):
        operands = [_query(application_id, operand) for operand in tree.operands]
        return {"$and" if isinstance(tree, And) else "$or": operands}
    return {"$nor": [_query(application_id, tree.operand)]}


def _comparison(application_id: str, comparison: Comparison) -> Query:
    field = field_at(comparison.path)
    if field is None:
        raise refusal("filter", comparison.column, "expected a field that users can be chosen by")
    operator, value = comparison.operator, comparison.value
    if operator == "!=":
        return {"$nor": [_comparison(application_id, replace(comparison, operator="="))]}
    if value is ANYTHING:
        return _is_there(field)
    if value is None or isinstance(value, bool):
        if operator not in ("=", ":"):
            raise refusal("filter", comparison.value_column, "expected a string or a number: nothing else has an order")
        if value is None:
            return _is_null(field, operator)
    if field.kind in (FieldKind.JSON, FieldKind.COUNT) and _is_kept_as_text(value):
        if operator not in ("=", ":"):
            operator, value = _beside(operator, value)
        elif field.kind is FieldKind.COUNT:
            return _NOBODY
        else:
            value = str(value)
    if field.kind is FieldKind.JSON:
        return _json(field, {_OPERATORS[operator]: value}, looks_into_arrays=operator == ":")
    # None of these holds an array: has is the same as equals.
    operator = "=" if operator == ":" else operator
    if field.kind is FieldKind.COUNT and isinstance(value, int | float) and not isinstance(value, bool):
        size = {"$size": {"$ifNull": [f"${field.path}", []]}}
        return {"$expr": {_OPERATORS[operator]: [size, {"$literal": value}]}}
    if field.kind is FieldKind.TEXT and isinstance(value, str):
        return _text(application_id, field.path, operator, value)
    if field.kind is FieldKind.TIME and isinstance(value, str):
        nanoseconds = nanoseconds_from_text(value)
        if nanoseconds is not None:
            return time_query(field.path, operator, nanoseconds)
    raise refusal("filter", comparison.value_column, f"expected {field.kind.value}")


def _is_kept_as_text(value: object) -> TypeGuard[int]:
    """Whether a value is an integer that no double holds: in metadata, it is stored as its decimal digits."""
    return isinstance(value, int) and isinstance(stored_number(value), str)


def _beside(operator: str, integer: int) -> tuple[str, float]:
    """The comparison with the next double that means the same for every double."""
    try:
        nearest = float(integer)
    except OverflowError:
        nearest = math.inf if integer > 0 else -math.inf
    if operator.startswith("<"):
        return "<=", stored_double(nearest if nearest < integer else math.nextafter(nearest, -math.inf))
    return ">=", stored_double(nearest if nearest > integer else math.nextafter(nearest, math.inf))


def _text(application_id: str, path: str, operator: str, value: str) -> Query:
    if path == "user_id" and operator == "=":
        # Which is the digest of it, and has an index.
        return {"_id": {"$eq": profile_id(application_id, value)}}
    condition = {_OPERATORS[operator]: value}
    if path == "ip_address":
        # Where no update gave one, the observed one is answered.
        observed: Query = {"ip_address": {"$exists": False}, "observed_ip_address": condition}
        return {"$or": [{"ip_address": condition}, observed]}
    return {path: condition}


def _json(field: Field, condition: Query, *, looks_into_arrays: bool) -> Query:
    query: Query = {".".join(field.stored[:length]): {"$not": _ARRAY} for length in range(2, len(field.stored))}
    return query | {field.path: condition if looks_into_arrays else condition | {"$not": _ARRAY}}


def _is_there(field: Field) -> Query:
    if field.kind is FieldKind.COUNT:
        return {"user_id": {"$exists": True}}
    if field.path == "ip_address":
        return {"$or": [{path: {"$exists": True}} for path in ("ip_address", "observed_ip_address")]}
    return _json(field, {"$exists": True}, looks_into_arrays=True)


def _is_null(field: Field, operator: str) -> Query:
    """No field holds null, which removes it, so what equals null is not there. Arrays may hold one."""
    absent: Query = {"$nor": [_is_there(field)]}
    if operator == "=" or field.kind is not FieldKind.JSON:
        return absent
    return {"$or": [absent, _json(field, {"$elemMatch": {"$eq": None}}, looks_into_arrays=True)]}
