"""The algebra of patches, by example and against its own laws."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.merge.patch import apply_patch, compose, needs_exact
from server.model import REMOVE, Patch, Whole

_KEYS = st.sampled_from("abc")
_PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 3) | st.just([]), lambda inner: st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
)
_PATCHES: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 3) | st.just([]) | st.just(REMOVE) | st.builds(Whole, st.dictionaries(_KEYS, _PLAIN, max_size=2)),
    lambda inner: st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
).filter(lambda patch: isinstance(patch, dict))


@given(_PLAIN, _PATCHES, _PATCHES)
def test_a_composed_patch_does_what_both_do_in_turn(value: object, first: Patch, second: Patch) -> None:
    assert apply_patch(value, compose((first, second))) == apply_patch(apply_patch(value, first), second)


@given(_PATCHES, _PATCHES, _PATCHES)
def test_composing_is_associative(first: Patch, second: Patch, third: Patch) -> None:
    assert compose((compose((first, second)), third)) == compose((first, compose((second, third))))


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
    ],
)
def test_an_object_with_nothing_to_set_needs_the_exact_update(patch: Patch, exact: bool) -> None:
    assert needs_exact(patch) is exact
