"""The algebra of patches, by example and against its own laws."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.merge.operations import Operation
from server.merge.patch import apply_patch, compose, needs_exact
from server.model import REMOVE, OperationKind, Patch, Whole

_KEYS = st.sampled_from("abc")
_PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 3) | st.just([]), lambda inner: st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
)
_PATCHES: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 3) | st.just([]) | st.just(REMOVE) | st.builds(Whole, st.dictionaries(_KEYS, _PLAIN, max_size=2)),
    lambda inner: st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
).filter(lambda patch: isinstance(patch, dict))

_OPERATIONS: st.SearchStrategy[Any] = st.one_of(
    st.builds(Operation, st.just(OperationKind.SET_ONCE), _PLAIN),
    st.builds(
        Operation,
        st.sampled_from([OperationKind.UNION, OperationKind.REMOVE]),
        st.lists(st.integers(0, 3) | st.just("x"), min_size=1, max_size=3, unique=True),
    ),
    st.builds(
        Operation,
        st.sampled_from([OperationKind.MINIMUM, OperationKind.MAXIMUM]),
        st.integers(0, 3) | st.sampled_from(["2026-01-02", "2026-01-03T00:00:00Z"]),
    ),
)
_PATCHES_WITH_OPERATIONS: st.SearchStrategy[Any] = st.dictionaries(
    _KEYS, _OPERATIONS | _PATCHES | st.dictionaries(_KEYS, _OPERATIONS, max_size=2), max_size=2
)


def _composed(*patches: Patch) -> Patch:
    patch, count = compose(patches)
    assert count == len(patches)
    return patch


@given(_PLAIN, _PATCHES, _PATCHES)
def test_a_composed_patch_does_what_both_do_in_turn(value: object, first: Patch, second: Patch) -> None:
    assert apply_patch(value, _composed(first, second)) == apply_patch(apply_patch(value, first), second)


@given(_PATCHES, _PATCHES, _PATCHES)
def test_composing_is_associative(first: Patch, second: Patch, third: Patch) -> None:
    assert _composed(_composed(first, second), third) == _composed(first, _composed(second, third))


@given(_PLAIN, st.lists(_PATCHES_WITH_OPERATIONS, min_size=1, max_size=5))
def test_as_many_patches_as_are_composed_do_the_same(value: object, patches: list[Patch]) -> None:
    copy = json.dumps(value)
    patch, count = compose(patches)
    expected = value
    for each in patches[:count]:
        expected = apply_patch(expected, each)
    assert apply_patch(value, patch) == expected
    # None of them was changed.
    assert json.dumps(value) == copy
    assert compose(patches) == (patch, count)


@pytest.mark.parametrize(
    ("patch", "exact"),
    [
        ({"a": 1}, False),
        ({"a": REMOVE}, False),
        ({"a": {"b": 1, "c": REMOVE}}, False),
        ({"a": {"b": {"c": 1}}}, False),
        ({"a": Whole({})}, False),
        ({"a": {}}, True),
        ({"a": {"b": REMOVE}}, True),
        ({"a": {"b": 1, "c": {}}}, True),
        ({"a": {"b": 1, "c": {"d": REMOVE}}}, True),
        ({"a": {"b": {}}}, True),
        ({"a": {"b": Operation(OperationKind.MAXIMUM, 1), "c": 1}}, True),
    ],
)
def test_an_object_with_nothing_to_set_needs_the_exact_update(patch: Patch, exact: bool) -> None:
    assert needs_exact(patch) is exact
