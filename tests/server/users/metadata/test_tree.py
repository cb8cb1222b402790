"""What one update may cost before it is refused: no more than what is at the limits. Work is counted, not time."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from server import limits
from server.errors import InvalidRequest
from server.merge import field_names, patch, paths
from server.merge.numbers import stored_number
from server.model import JsonObject, Patch, PlannedUpdate, ProfileWrite, UserUpdate, Whole
from server.users.fold import fold
from server.users.metadata import tree
from server.users.metadata.tree import MetadataPlan, oversized_update
from server.users.update import plan_update

_NOW = 1_767_323_045_678_901_234
_TOO_MANY = [("metadata", "TOO_MANY_VALUES", "more than 10,000 values in one update")]
_TOO_MANY_PATHS = [("metadata", "TOO_MANY_VALUES", "more than 1,000 paths in one update")]
_TOO_LARGE = [("metadata", "TOO_LARGE", "values and their paths take more than 4,194,304 bytes")]


def _plan(sent: JsonObject) -> PlannedUpdate:
    return plan_update("app", UserUpdate(user_id="u", metadata=sent), _NOW)


def _refused(sent: JsonObject) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidRequest) as refusal:
        _plan(sent)
    return [(item.field, item.reason, item.description) for item in refusal.value.violations]


class _Visited(list[Any]):
    """An array that counts the elements that are read."""

    visited = 0

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self.visited += 1
            yield item


@pytest.mark.parametrize("item", [0, "", None, [], {}], ids=repr)
def test_an_array_with_too_many_values_is_not_visited(item: object) -> None:
    array = _Visited([item] * 10_000)
    assert _refused({"a": array}) == _TOO_MANY
    assert array.visited == 0


def test_of_many_arrays_those_within_the_limit_are_visited_and_no_more() -> None:
    arrays = [_Visited([0] * 999) for _ in range(100)]
    assert _refused({"a": arrays}) == _TOO_MANY
    assert sum(array.visited for array in arrays) <= limits.METADATA_VALUES
    assert _refused({f"k{n}": arrays[n] for n in range(11)}) == _TOO_MANY


def test_every_value_counts_once_wherever_it_is() -> None:
    _plan({"a": [0] * 9_999})
    _plan({"a": [[0] * 9_998]})
    _plan({"a": {"b": [{"c": [0] * 9_996}]}})
    too_many: list[JsonObject] = [{"a": [0] * 10_000}, {"a": [[0] * 9_999]}, {"a": {"b": [{"c": [0] * 9_997}]}}]
    for sent in too_many:
        assert _refused(sent) == _TOO_MANY
    assert _refused({"a": [0] * 9_900, "b": {f"k{n}": 0 for n in range(99)}}) == _TOO_MANY


def test_objects_on_the_way_are_paths_too() -> None:
    _plan({f"k{n}": 0 for n in range(1000)})
    _plan({"a": {"b": {f"k{n}": {} for n in range(998)}}})
    assert _refused({"a": {"b": {f"k{n}": {} for n in range(999)}}}) == _TOO_MANY_PATHS
    assert _refused({f"k{n}": None for n in range(1001)}) == _TOO_MANY_PATHS
    assert _refused({"phone": 1, **{f"k{n}": None for n in range(1000)}}) == _TOO_MANY_PATHS


def test_values_that_are_removed_do_not_count_as_added() -> None:
    assert _plan({"a": None, "b": {"c": None, "d": 1}, "e": [None]}).write.values == 4


class _Uncopied(dict[str, Any]):
    """An object that must not be copied."""

    def keys(self) -> Any:
        raise AssertionError

    def __iter__(self) -> Any:
        raise AssertionError


def test_an_object_with_too_many_paths_is_not_copied() -> None:
    assert _refused(_Uncopied({"phone": 1, **{f"k{n}": None for n in range(1000)}})) == _TOO_MANY_PATHS


def test_behind_what_is_too_large_nothing_is_visited() -> None:
    later = _Visited([0] * 100)
    assert _refused({"k" * 5000: {f"k{n}": 0 for n in range(900)}, "later": later}) == _TOO_LARGE
    assert later.visited == 0


def test_an_update_may_be_as_large_as_the_limit_and_no_larger() -> None:
    def sent(length: int) -> JsonObject:
        return {"email": f"john@{'x' * 60}.com", "a": "x" * length}

    room = limits.UPDATE_BYTES - _plan(sent(0)).write.size
    assert _plan(sent(room)).write.size == limits.UPDATE_BYTES
    assert _refused(sent(room + 1)) == _TOO_LARGE


@pytest.mark.parametrize("character", [".", "%", "\0", "é", "a", "0", "$"])
def test_a_key_is_not_escaped_before_its_length_is_known(monkeypatch: pytest.MonkeyPatch, character: str) -> None:
    escaped: list[int] = []

    def escape_key(key: str) -> str:
        escaped.append(len(key))
        return field_names.escape_key(key)

    monkeypatch.setattr(tree, "escape_key", escape_key)
    assert _refused({character * 4_000_000: 1}) == _TOO_LARGE
    assert _refused({"a": [{character * 4_000_000: 1}]}) == _TOO_LARGE
    assert not escaped
    assert _refused({f"{number}{character * 1_000_000}": 1 for number in range(9)}) == _TOO_LARGE
    assert sum(escaped) <= limits.UPDATE_BYTES


def test_a_key_that_a_profile_can_hold_is_accepted() -> None:
    for key in ("k" * 1_000_000, "." * 300_000, "é" * 500_000):
        stored = _plan({key: 1}).write.patch["metadata"]
        assert isinstance(stored, dict)
        assert field_names.unescape_key(*stored) == key


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records the paths that are built."""
    named: list[str] = []

    def field_path(parts: list[str | int]) -> str:
        named.append(paths.field_path(parts))
        return named[-1]

    monkeypatch.setattr(tree, "field_path", field_path)
    return named


def test_beyond_20_violations_nothing_is_visited_nor_named(named: list[str]) -> None:
    array = _Visited([float("nan")] * 9_000)
    assert len(_refused({"a": array})) == limits.REPORTED
    assert array.visited == len(named) == limits.REPORTED


def test_only_20_warnings_are_made(named: list[str]) -> None:
    assert len(_plan({"a": [2**53 + 1] * 9_000}).warnings) == len(named) == limits.REPORTED


def test_a_long_key_is_cut_before_its_path_is_made() -> None:
    looked_at = 0

    class Key(str):
        __slots__ = ()

        def __getitem__(self, index: Any) -> str:
            nonlocal looked_at
            looked_at += len(cut := super().__getitem__(index))
            return cut

    assert len(paths.field_path(["metadata", *[Key("." * 1_000_000)] * 19])) == 160
    assert looked_at == 161


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (-(2**53) - 1, "-9007199254740993"),
        (-(2**63), -(2**63)),
        (2**65, 2.0**65),
        (2**65 + 1, str(2**65 + 1)),
        (10**400, str(10**400)),
        (1e300, 1e300),
        (24000.0, 24000),
    ],
)
def test_an_integer_that_no_double_holds_is_its_digits(number: float, stored: object) -> None:
    assert stored_number(number) == stored
    assert type(stored_number(number)) is type(stored)


def test_an_integer_kept_as_text_comes_with_a_warning_and_in_a_reserved_field_too() -> None:
    planned = _plan({"a": {"b": [2**53 + 1]}, "phone": 2**53 + 1, "name": 2**65})
    assert planned.write.patch["metadata"] == {
        "a": {"b": ["9007199254740993"]},
        "phone": "9007199254740993",
        "name": "36893488147419103232",
    }
    assert sorted((item.field, item.reason) for item in planned.warnings) == [
        ("metadata.a.b[0]", "INTEGER_KEPT_AS_TEXT"),
        ("metadata.name", "KEPT_AS_TEXT"),
        ("metadata.phone", "INTEGER_KEPT_AS_TEXT"),
    ]


def test_a_fold_stops_at_each_limit_of_an_update() -> None:
    for sent, limit in (
        ({f"k{n}": 0 for n in range(400)}, 2),
        ({"a": [0] * 3_000}, 3),
        ({"a": "x" * 1_500_000}, 2),
    ):
        write = _plan(dict(sent)).write
        folded, count = fold([write] * 5)
        assert count == limit
        assert (folded.leaves, folded.size, folded.values) == tuple(
            count * part for part in (write.leaves, write.size, write.values)
        )


def _lines_of(writes: list[ProfileWrite]) -> int:
    """How many lines of Python folding them takes."""
    lines = 0

    def count(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        fold(writes)
    finally:
        sys.settrace(before)
    return lines


def test_a_fold_takes_time_in_proportion_to_what_it_folds() -> None:
    def write(number: int) -> ProfileWrite:
        update = UserUpdate("u", session_token=str(number), metadata={"a": {f"k{number}": number}})
        return plan_update("app", update, _NOW).write

    writes = [write(number) for number in range(400)]
    assert _lines_of(writes) < 2.2 * _lines_of(writes[:200])


def test_a_fold_copies_no_dict_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []
    copy = patch._copied

    def count(value: JsonObject) -> JsonObject:
        copied.append(len(value))
        return copy(value)

    monkeypatch.setattr(patch, "_copied", count)
    whole: Patch = {"a": Whole({str(number): 0 for number in range(500)})}
    changes: list[Patch] = [{"a": {f"k{number}": 1}} for number in range(500)]
    patch.compose([whole, *changes])
    assert copied == [500]


def test_an_oversized_update_is_refused_with_the_same_violation() -> None:
    (violation,) = oversized_update().violations
    assert [(violation.field, violation.reason, violation.description)] == _TOO_LARGE


def test_nothing_is_left_of_a_plan_that_stopped() -> None:
    assert MetadataPlan(0).metadata({"a": [0] * 10_000}) == {}
