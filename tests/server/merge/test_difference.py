"""The paths between two objects."""

from typing import Any

import pytest

from server.merge.difference import changed_paths
from server.merge.paths import whole_path

_CASES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {}, []),
    ({"a": 1}, {"a": 1}, []),
    ({"a": 1}, {"a": 2}, ["a"]),
    ({"a": 1}, {"a": True}, ["a"]),
    ({"a": [1]}, {"a": [True]}, ["a"]),
    ({"a": 0}, {"a": -0.0}, ["a"]),
    ({"a": 0}, {"a": False}, ["a"]),
    ({"a": None}, {}, ["a"]),
    ({}, {"a": None}, ["a"]),
    ({"a": "1"}, {"a": 1}, ["a"]),
    # Nanoseconds of a late year exceed 64 bits.
    ({"a": 2**70}, {"a": 2**70}, []),
    ({"a": 2**70}, {"a": 2**70 + 1}, ["a"]),
    ({"a": [1, 2]}, {"a": [2, 1]}, ["a"]),
    ({"a": [{"b": 1}]}, {"a": [{"b": 1}]}, []),
    ({"a": {"b": 1}}, {"a": {"b": 1, "c": {"d": 2}}}, ["a.c.d"]),
    ({"a": {"b": 1, "c": {"d": 2}}}, {"a": {"b": 1}}, ["a.c"]),
    ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
    ({"a": {"b": 1}}, {}, ["a"]),
    ({"a": {"b": 1}}, {"a": 1}, ["a"]),
    ({"a": 1}, {"a": {"b": 1, "c": 2}}, ["a.b", "a.c"]),
    ({"a": 1}, {"a": {}}, ["a"]),
    ({}, {"a": {}}, ["a"]),
    ({"a": {}}, {"a": {"b": {}}}, ["a.b"]),
    ({"a": {}}, {"a": []}, ["a"]),
    ({"a": 1, "b": 1}, {"b": 1, "a": 1}, []),
]


@pytest.mark.parametrize(("before", "after", "paths"), _CASES, ids=str)
def test_each_value_that_differs_is_a_path(before: dict[str, Any], after: dict[str, Any], paths: list[str]) -> None:
    assert sorted(map(".".join, changed_paths(before, after))) == paths


def test_the_whole_path_of_keys_is_never_shortened() -> None:
    assert whole_path(("metadata", "plain_1", "a.b", "", 'x"y', "-", "é")) == (
        'metadata.plain_1["a.b"][""]["x\\"y"]["-"]["é"]'
    )
    assert whole_path(("metadata", "k" * 1000)) == "metadata." + "k" * 1000
