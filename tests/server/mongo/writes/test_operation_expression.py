"""Operations on a real mongod, on every kind of value: they leave what the reference expects, as they do in memory."""

import json
from typing import Any

import bson
import pytest
from pymongo.database import Database

from server.merge.operations import Operation, distinct
from server.model import REMOVE, OperationKind
from server.mongo.writes.operation_expression import operation_expression
from tests.support.expected_profile import operated
from tests.support.strategies import COMPARED, ELEMENTS, NOT_COMPARED

_NOTHING = object()
_STORED: list[Any] = [
    _NOTHING,
    *COMPARED,
    *NOT_COMPARED,
    *([element] for element in ELEMENTS),
    ELEMENTS,
    [*ELEMENTS, *ELEMENTS],
]

_LISTS: list[list[Any]] = [*([element] for element in ELEMENTS), ELEMENTS, ELEMENTS[::-1]]


def _computed(database: Database[dict[str, Any]], operation: Operation, parents: list[Any]) -> list[Any]:
    """What MongoDB makes of the value at the key `k` of each of these."""
    documents: list[Any] = [{"$literal": {"s": parent}} for parent in parents]
    after = {"$let": {"vars": {"s": "$s"}, "in": {"k": operation_expression(operation, "k")}}}
    pipeline: list[dict[str, Any]] = [{"$documents": documents}, {"$project": {"after": after}}]
    return [document["after"] for document in database.aggregate(pipeline)]


def _require_as_expected(database: Database[dict[str, Any]], kind: OperationKind, value: Any) -> None:
    listed = kind in (OperationKind.UNION, OperationKind.REMOVE)
    operation = Operation(kind, distinct(value) if listed else value)
    parents = [{} if stored is _NOTHING else {"k": stored} for stored in _STORED]
    results = _computed(database, operation, parents)
    for parent, computed in zip(parents, results, strict=True):
        in_memory = operation.apply(parent.get("k", REMOVE))
        # As JSON, since 1 and True are equal to Python.
        assert _text(computed) == _text({} if in_memory is REMOVE else {"k": in_memory})
        assert _text(computed) == _text(operated(parent, {"path": ["k"], kind: value})), parent
    # A second time, nothing changes.
    assert [*map(_text, _computed(database, operation, results))] == [*map(_text, results)]


def _text(value: Any) -> str:
    # The order of keys stays as well.
    return json.dumps(value)


@pytest.mark.parametrize("kind", [OperationKind.UNION, OperationKind.REMOVE])
@pytest.mark.parametrize("values", _LISTS, ids=range(len(_LISTS)))
def test_values_are_joined_and_removed_by_their_value_in_json(
    database: Database[dict[str, Any]], kind: OperationKind, values: list[Any]
) -> None:
    _require_as_expected(database, kind, values)


@pytest.mark.parametrize("kind", [OperationKind.MINIMUM, OperationKind.MAXIMUM])
@pytest.mark.parametrize("value", COMPARED, ids=str)
def test_values_of_one_kind_are_compared(database: Database[dict[str, Any]], kind: OperationKind, value: Any) -> None:
    _require_as_expected(database, kind, value)


@pytest.mark.parametrize("value", [0, "$$s", "", [], [None], {"a": "$x"}, False], ids=str)
def test_a_value_is_set_once(database: Database[dict[str, Any]], value: Any) -> None:
    _require_as_expected(database, OperationKind.SET_ONCE, value)


@pytest.mark.parametrize("parent", [[{"k": [1]}, {"k": [2]}], [], "k", 1, None, True], ids=str)
def test_nothing_is_stored_below_what_is_no_object(database: Database[dict[str, Any]], parent: Any) -> None:
    for kind, value, after in (
        (OperationKind.UNION, [1], {"k": [1]}),
        (OperationKind.REMOVE, [1], {}),
        (OperationKind.SET_ONCE, 1, {"k": 1}),
        (OperationKind.MINIMUM, 1, {"k": 1}),
    ):
        assert _computed(database, Operation(kind, value), [parent]) == [after]


@pytest.mark.parametrize("kind", [OperationKind.UNION, OperationKind.REMOVE])
def test_the_deepest_values_are_compared(database: Database[dict[str, Any]], kind: OperationKind) -> None:
    one: Any = {"a": 1, "b": 2}
    other: Any = {"b": 2, "a": 1}
    # `metadata` and the array are two of 20 levels.
    for _ in range(17):
        one, other = {"a": one, "b": 2}, {"b": 2, "a": other}
    operation = Operation(kind, [one])
    assert len(bson.encode({"": operation_expression(operation, "k")})) < 30_000
    (after,) = _computed(database, operation, [{"k": [other]}])
    assert after == {"k": [other] if kind is OperationKind.UNION else []}
