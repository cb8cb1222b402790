"""Operations as expressions of MongoDB's pipelines. `Operation.apply` says the same of values in memory.

To MongoDB, two objects are equal only if their keys are in the same order. So where a value has an object with several
keys, values are compared in another form, in which objects are arrays of their keys, in order, and values.
"""

from typing import Any, Final, TypeAlias

from server.merge.operations import TIME_PATTERN, WHOLE_TIME, Operation, filled_up, levels_in
from server.model import OperationKind

Expression: TypeAlias = dict[str, Any] | str

_ARRAY: Final = {"$cond": [{"$isArray": "$$v"}, "$$v", []]}


def operation_expression(operation: Operation, key: str) -> Expression:
    """The value at `key` of the variable `s` after an operation. It is missing if nothing is stored then."""
    # A path through an array would be an array of what is in its elements.
    stored = {"$cond": [{"$eq": [{"$type": "$$s"}, "object"]}, f"$$s.{key}", "$$REMOVE"]}
    return {"$let": {"vars": {"v": stored}, "in": _changed(operation)}}


def _changed(operation: Operation) -> Expression:
    """The value of the variable `v` after the operation."""
    match operation.kind:
        case OperationKind.SET_ONCE:
            return {"$cond": [{"$eq": [{"$type": "$$v"}, "missing"]}, {"$literal": operation.value}, "$$v"]}
        case OperationKind.UNION:
            return _union(operation.values)
        case OperationKind.REMOVE:
            return _without(operation.values)
        case OperationKind.MINIMUM:
            return _bounded(operation.value, "$lte")
        case OperationKind.MAXIMUM:
            return _bounded(operation.value, "$gte")


def _bounded(value: object, keeps: str) -> Expression:
    """The variable `v` if it is of the value's kind and compares so to it, else the value."""
    if isinstance(value, str):
        is_string = {"$eq": [{"$type": "$$v"}, "string"]}
        stored: Expression = {"$cond": [is_string, "$$v", ""]}
        is_comparable: Expression = {"$regexMatch": {"input": stored, "regex": TIME_PATTERN}}
        rest = {"$substrBytes": [WHOLE_TIME, {"$strLenBytes": "$$t"}, -1]}
        without_z = {"$rtrim": {"input": stored, "chars": "Z"}}
        whole = {"$let": {"vars": {"t": without_z}, "in": {"$concat": ["$$t", rest]}}}
        compared: list[Any] = [whole, filled_up(value)]
    else:
        is_comparable = {"$isNumber": "$$v"}
        compared = ["$$v", value]
    return {"$cond": [{"$and": [is_comparable, {keeps: compared}]}, "$$v", {"$literal": value}]}


def _union(values: list[object]) -> Expression:
    levels = _levels_to_compare(values)
    if not levels:
        # As a set, which MongoDB makes once: to look each value up among many elements would take long.
        is_new: Expression = {"$in": ["$$this", "$$n"]}
        new: Expression = {"$filter": {"input": {"$literal": values}, "cond": is_new}}
        missing: Expression = {"$setDifference": [{"$literal": values}, "$$a"]}
    else:
        pairs = [{"c": _comparable(value, levels), "v": value} for value in values]
        is_new = {"$in": ["$$this.c", "$$n"]}
        new = {
            "$map": {"input": {"$filter": {"input": {"$literal": pairs}, "cond": is_new}}, "in": "$$this.v"},
        }
        missing = {"$setDifference": [{"$literal": [pair["c"] for pair in pairs]}, _elements("$$a", levels)]}
    joined = {"$let": {"vars": {"n": missing}, "in": {"$concatArrays": ["$$a", new]}}}
    return {"$let": {"vars": {"a": _ARRAY}, "in": joined}}


def _without(values: list[object]) -> Expression:
    levels = _levels_to_compare(values)
    removed = {"$literal": [_comparable(value, levels) for value in values]}
    # Of many elements, each is looked up among those values alone that are there: mostly few, or none.
    found = {"$setIntersection": [removed, _elements("$$v", levels)]}
    stays = {"$not": {"$in": [_comparable_expression("$$e", levels), "$$f"]}}
    kept = {"$filter": {"input": "$$v", "as": "e", "cond": stays}}
    changed = {"$cond": [{"$eq": ["$$f", []]}, "$$v", kept]}
    return {"$cond": [{"$isArray": "$$v"}, {"$let": {"vars": {"f": found}, "in": changed}}, "$$v"]}


def _elements(array: str, levels: int) -> Expression:
    """The elements of an array, in the form that is compared."""
    return {"$map": {"input": array, "as": "e", "in": _comparable_expression("$$e", levels)}} if levels else array


def _levels_to_compare(values: list[object]) -> int:
    """The levels of objects and arrays in values that cannot be compared as they are; 0 if all can."""
    return max(map(levels_in, values), default=0) if any(map(_has_order, values)) else 0


def _has_order(value: object) -> bool:
    """Whether an object with several keys is in a value."""
    if isinstance(value, dict):
        return len(value) > 1 or any(map(_has_order, value.values()))
    return isinstance(value, list) and any(map(_has_order, value))


def _comparable(value: object, levels: int) -> object:
    """A value in the form that is compared."""
    if not levels or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return {"t": "array", "v": [{"v": _comparable(item, levels - 1)} for item in value]}
    pairs = [{"k": key, "v": _comparable(value[key], levels - 1)} for key in sorted(value)]
    return {"t": "object", "v": pairs}


def _comparable_expression(stored: str, levels: int) -> Expression:
    """The same of a variable, or a field of one, to the depth of `levels`."""
    if not levels:
        return stored
    in_array = {"$map": {"input": stored, "as": "i", "in": {"v": "$$i"}}}
    in_object = {"$sortArray": {"input": {"$objectToArray": stored}, "sortBy": {"k": 1}}}
    pair = {"k": "$$p.k", "v": _comparable_expression("$$p.v", levels - 1)}
    pairs = {"$map": {"input": {"$cond": [{"$isArray": stored}, in_array, in_object]}, "as": "p", "in": pair}}
    is_container = {"$in": [{"$type": stored}, ["object", "array"]]}
    return {"$cond": [is_container, {"t": {"$type": stored}, "v": pairs}, stored]}
