"""Usual metadata as dot-paths: the plan in one pass is the plan through the tree."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import limits
from server.errors import InvalidRequest
from server.model import DotPaths, JsonObject, PlannedUpdate, UserUpdate
from server.mongo.writes.update_document import dotted_update
from server.users import update
from server.users.metadata import flat
from server.users.metadata.flat import FlatMetadata, NotUsual
from server.users.update import plan_update
from tests.support.strategies import KEYS, METADATA, SCALARS

_NOW = 1_767_323_045_000_000_000

_USUAL_KEYS = KEYS.filter(lambda key: len(key) <= 64)
_USUAL: st.SearchStrategy[JsonObject] = st.dictionaries(
    _USUAL_KEYS,
    st.recursive(SCALARS | st.lists(SCALARS), lambda values: st.dictionaries(_USUAL_KEYS, values), max_leaves=6),
)


def _never(_: JsonObject) -> FlatMetadata:
    raise NotUsual


def _planned(metadata: JsonObject) -> PlannedUpdate | list[Any]:
    sent = UserUpdate("u", company_id="c", campaign={"utm_source": "s"}, metadata=metadata)
    try:
        return plan_update("app", sent, _NOW)
    except InvalidRequest as error:
        return list(error.violations)


def _through_the_tree(metadata: JsonObject) -> PlannedUpdate | list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "FlatMetadata", _never)
        return _planned(metadata)


@settings(max_examples=300)
@given(METADATA | _USUAL)
def test_both_plans_write_warn_and_refuse_the_same(metadata: JsonObject) -> None:
    one, other = _planned(metadata), _through_the_tree(metadata)
    if isinstance(one, list) or isinstance(other, list):
        assert one == other
        return
    assert one.warnings == other.warnings
    assert one.write.patch == other.write.patch
    assert dotted_update(one.write) == dotted_update(other.write)
    for name in ("profile_id", "on_insert", "aliases", "exact", "leaves", "size", "values", "first_campaign"):
        assert getattr(one.write, name) == getattr(other.write, name), name


@pytest.mark.parametrize(
    "metadata",
    [
        {"email": "a@b.co", "first name": "é", "é": "x"},
        {"plan": {"name": "pro", "seats": 5, "price": 9.5, "trial": False, "old": None}},
        {"tags": ["a", 1, None, True], "$set": "x", "a.b": {"0": 1}},
        {"n": -(2**53), "f": 1.0, "e": 1e300},
        {"name": None, "phone": "1"},
    ],
)
def test_usual_metadata_takes_one_pass(metadata: JsonObject) -> None:
    planned = _planned(metadata)
    assert isinstance(planned, PlannedUpdate)
    assert isinstance(planned.write.change, DotPaths)


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": {}},
        {"a": None},
        {"a": 1, "b": {"c": None}},
        {"phone": 5},
        {"a": 2**53 + 1},
        {"a": float("inf")},
        {"a": [[1]]},
        {"a": [2**60]},
        {"a": [1.5]},
        {"k" * 65: 1},
        {"a": "x" * limits.UPDATE_BYTES},
        {f"k{number}": 1 for number in range(limits.METADATA_LEAVES + 1)},
        {"a": [1] * limits.METADATA_VALUES},
        {"a": [1] * (limits.METADATA_VALUES - 2), "b": {"c": 1}},
    ],
    ids=str,
)
def test_other_metadata_does_not(metadata: JsonObject) -> None:
    with pytest.raises(NotUsual):
        FlatMetadata(metadata)


@pytest.mark.parametrize("levels", [limits.METADATA_LEVELS, limits.METADATA_LEVELS + 1])
@pytest.mark.parametrize("innermost", [1, [1]])
def test_the_limit_of_levels_is_the_same(levels: int, innermost: object) -> None:
    value: Any = innermost
    for _ in range(levels - isinstance(innermost, list)):
        value = {"a": value}
    one, other = _planned(value), _through_the_tree(value)
    assert (one if isinstance(one, list) else one.write.size) == (
        other if isinstance(other, list) else other.write.size
    )


def test_no_value_beyond_a_limit_is_visited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "escape_key", lambda _: pytest.fail("it was visited"))
    with pytest.raises(NotUsual):
        FlatMetadata({f"k {number}": 1 for number in range(limits.METADATA_LEAVES + 1)})
