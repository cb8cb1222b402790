"""Operations of an update: what is refused, with the path of its field, what is counted, and what is stored."""

from typing import Any

import pytest

from server import limits
from server.errors import InvalidRequest
from server.merge.operations import Operation
from server.model import MetadataOperation, OperationKind, Patch, PlannedUpdate, UserUpdate
from server.users.fold import fold
from server.users.update import plan_update

_NOW = 1_767_323_045_678_901_234
_CONFLICT = [("metadata_operations[0].path", "CONFLICT")]
_NOT_COMPARABLE: list[Any] = [
    *(None, True, [], {}, "", "5", float("nan"), float("inf"), 2**53 + 1, 10**400, "9" * 400, "today"),
    *("2026-02-29", "2026-13-01", "0000-01-01", "2026-01-02T24:00:00Z", "2026-01-02T00:00:60Z"),
    *("2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00", "2026-01-02 03:04:05Z", "2026-01-02\n"),
    *("2026-01-02T03:04:05.Z", "2026-01-02T03:04:05.1234567890Z", "２０２６-01-02", "2026-01-02Z"),
]


def _operation(*path: str, **changes: Any) -> MetadataOperation:
    ((kind, value),) = changes.items()
    return MetadataOperation(path, OperationKind(kind), value)


def _plan(*operations: MetadataOperation, metadata: dict[str, Any] | None = None) -> PlannedUpdate:
    return plan_update("app", UserUpdate("u", metadata=metadata, metadata_operations=operations), _NOW)


def _refused(*operations: MetadataOperation, metadata: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refusal:
        _plan(*operations, metadata=metadata)
    return [(item.field, item.reason) for item in refusal.value.violations]


def _patch(*operations: MetadataOperation, metadata: dict[str, Any] | None = None) -> Patch:
    patch = _plan(*operations, metadata=metadata).write.patch.get("metadata")
    assert isinstance(patch, dict)
    return patch


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ((), "REQUIRED"),
        (("k",) * 21, "TOO_DEEP"),
        (("email",), "INVALID_VALUE_PATH"),
        (("phone", "x"), "INVALID_VALUE_PATH"),
    ],
)
@pytest.mark.parametrize("change", [{"set_once": "x"}, {"union": []}, {"remove": ["x"]}, {"minimum": 1}], ids=str)
def test_a_path_that_no_operation_may_have_is_refused(
    path: tuple[str, ...], reason: str, change: dict[str, Any]
) -> None:
    assert _refused(_operation("a", set_once=1), _operation(*path, **change)) == [
        ("metadata_operations[1].path", reason)
    ]


@pytest.mark.parametrize(
    "metadata",
    [{"a": {"b": 1}}, {"a": {"b": None}}, {"a": {"b": {}}}, {"a": {"b": {"c": 1}}}, {"a": 1}, {"a": []}, {"a": None}],
    ids=str,
)
def test_an_operation_that_meets_the_metadata_is_refused(metadata: dict[str, Any]) -> None:
    assert _refused(_operation("a", "b", maximum=1), metadata=metadata) == _CONFLICT


@pytest.mark.parametrize("other", [("a",), ("a", "b"), ("a", "b", "c")])
def test_an_operation_that_meets_another_one_is_refused(other: tuple[str, ...]) -> None:
    assert _refused(_operation(*other, union=[1]), _operation("a", "b", union=[2])) == [
        ("metadata_operations[1].path", "CONFLICT")
    ]


def test_an_operation_beside_other_changes_is_none_that_meets_them() -> None:
    operations = _operation("a", "b", set_once=1), _operation("a", "c", "d", maximum=2), _operation("a.b", minimum=3)
    assert _patch(*operations, metadata={"a": {"x": 1, "c": {}}}) == {
        "a": {
            "x": 1,
            "b": Operation(OperationKind.SET_ONCE, 1),
            "c": {"d": Operation(OperationKind.MAXIMUM, 2)},
        },
        "a%2Eb": Operation(OperationKind.MINIMUM, 3),
    }


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"set_once": None}, "set_once", "WRONG_TYPE"),
        ({"set_once": float("nan")}, "set_once", "NOT_FINITE"),
        ({"set_once": {"x": [float("inf")]}}, "set_once.x[0]", "NOT_FINITE"),
        ({"union": [0] * 101}, "union", "TOO_MANY"),
        ({"remove": [0] * 101}, "remove", "TOO_MANY"),
        ({"union": ["x", {"y": float("nan")}]}, "union[1].y", "NOT_FINITE"),
        *(({kind: value}, kind, "WRONG_TYPE") for kind in ("minimum", "maximum") for value in _NOT_COMPARABLE),
    ],
)
def test_a_value_that_no_operation_may_have_is_refused(change: dict[str, Any], field: str, reason: str) -> None:
    assert _refused(_operation("k", **change)) == [(f"metadata_operations[0].{field}", reason)]


@pytest.mark.parametrize("value", [0, -0.0, 1.5, 2**60, 1e300, "2026-01-02", "9999-12-31T23:59:59.999999999Z"])
def test_numbers_and_times_are_compared(value: Any) -> None:
    assert _patch(_operation("k", maximum=value)) == {"k": Operation(OperationKind.MAXIMUM, value)}


def _nested(levels: int) -> Any:
    return {"k": _nested(levels - 1)} if levels else 1


@pytest.mark.parametrize("keys", [1, 2, 18])
@pytest.mark.parametrize("kind", ["set_once", "union", "remove"])
def test_metadata_has_20_levels_whatever_path_leads_to_a_value(keys: int, kind: str) -> None:
    def operation(levels: int) -> MetadataOperation:
        value = _nested(levels)
        return _operation(*["k"] * keys, **{kind: value if kind == "set_once" else [value]})

    # The metadata is a level, and the list is one.
    most = 20 - keys - (kind != "set_once")
    _plan(operation(most))
    ((field, reason),) = _refused(operation(most + 1))
    assert (field.partition(".")[0], reason) == ("metadata_operations[0]", "TOO_DEEP")


def test_a_path_has_20_keys() -> None:
    _plan(_operation(*["k"] * 20, set_once=1))
    _plan(_operation(*["k"] * 19, union=[1]))
    assert _refused(_operation(*["k"] * 20, union=[1])) == [("metadata_operations[0].union", "TOO_DEEP")]


def test_an_update_has_100_operations() -> None:
    operations = [_operation(str(number), set_once=number) for number in range(101)]
    assert len(_patch(*operations[:100])) == 100
    assert _refused(*operations) == [("metadata_operations", "TOO_MANY")]


def test_values_are_counted_with_those_of_the_metadata() -> None:
    write = _plan(_operation("a", "b", union=["x", [1, 2]]), _operation("a", "c", minimum=1), metadata={"d": 1}).write
    # `a`, `b`, `c`, `d`, and four in the list.
    assert (write.values, write.leaves) == (8, 4)
    operations = [_operation(str(number), union=[[0] * 99] * 100) for number in range(2)]
    assert _refused(*operations) == [("metadata", "TOO_MANY_VALUES")]
    assert _refused(_operation("a", set_once=[0] * 9_999), metadata={"b": 1}) == [("metadata", "TOO_MANY_VALUES")]
    assert _refused(_operation("a", set_once=1), metadata={str(number): 1 for number in range(1000)}) == [
        ("metadata", "TOO_MANY_VALUES")
    ]
    assert _refused(_operation("a", union=["x" * 1_000_000] * 2)) == [("metadata", "TOO_LARGE")]


def test_values_are_stored_as_those_of_the_metadata() -> None:
    planned = _plan(
        _operation("a", set_once={"x.y": {"gone": None, "n": 24000.0}, "big": 2**53 + 1}),
        _operation("b", union=[1, 1.0, True, {"x": 1, "y": None}, {"y": None, "x": 1}]),
    )
    assert planned.write.patch["metadata"] == {
        "a": Operation(OperationKind.SET_ONCE, {"x%2Ey": {"n": 24000}, "big": "9007199254740993"}),
        "b": Operation(OperationKind.UNION, [1, True, {"x": 1, "y": None}]),
    }
    assert [(each.field, each.reason) for each in planned.warnings] == [
        ("metadata_operations[0].set_once.big", "INTEGER_KEPT_AS_TEXT")
    ]


@pytest.mark.parametrize("change", [{"union": []}, {"remove": []}], ids=str)
def test_an_operation_without_values_changes_nothing(change: dict[str, Any]) -> None:
    write = _plan(_operation("a", "b", **change)).write
    assert "metadata" not in write.patch
    assert not write.exact


def _folded(*operations: MetadataOperation) -> list[Patch]:
    writes = [_plan(operation).write for operation in operations]
    folded = []
    while writes:
        write, count = fold(writes)
        writes = writes[count:]
        patch = write.patch["metadata"]
        assert isinstance(patch, dict)
        folded.append(patch)
    return folded


def test_operations_of_one_kind_are_folded() -> None:
    assert _folded(*(_operation("k", maximum=number) for number in (1, 3, 2))) == [
        {"k": Operation(OperationKind.MAXIMUM, 3)}
    ]
    assert _folded(*(_operation("k", union=[number, 2]) for number in (1, 3, 1))) == [
        {"k": Operation(OperationKind.UNION, [1, 2, 3])}
    ]


def test_operations_that_one_write_cannot_do_are_not_folded() -> None:
    others = _operation("k", union=[1]), _operation("k", remove=[1]), _operation("k", minimum=1)
    assert len(_folded(*others)) == 3
    assert len(_folded(_operation("k", maximum=1), _operation("k", maximum="2026-01-02"))) == 2
    assert len(_folded(_operation("k", set_once={}), _operation("k", "l", set_once=1))) == 2
    # MongoDB compares each value with each element of the array.
    lists = [range(start, start + limits.OPERATION_VALUES // 2) for start in (0, 50, 100)]
    assert len(_folded(*(_operation("k", remove=list(each)) for each in lists))) == 2
