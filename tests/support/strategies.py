"""Hypothesis strategies for updates, with keys and shapes that once caused a defect."""

from typing import Any

from hypothesis import strategies as st

_ODD_KEYS = ["a", "b", "c", "a.b", "$set", "$unset", "", "0", "1", "_id", "__proto__", "%2E", "%", "a\0b", "k" * 1000]
_ODD_KEYS += ["é", "日本", "😀", "metadata", "aliases", "constructor", "$literal", "$$REMOVE", ".", "..", "length"]

# Few keys, so that updates often share one.
KEYS = st.sampled_from(_ODD_KEYS)

_TEXTS = st.sampled_from(["", "x", "$name", "$$ROOT", "$metadata.a", "\0", "é😀", "2026-01-02T03:04:05Z", "a" * 300])
_NUMBERS = st.sampled_from([0, 1, -1, 24000, 2**53 - 1, -(2**53 - 1), 0.1, -2.5, 1e300, 5e-324, 1e21, 2**53 + 1])
SCALARS: st.SearchStrategy[Any] = st.booleans() | _NUMBERS | _TEXTS

_ARRAYS: st.SearchStrategy[Any] = st.lists(
    SCALARS | st.none() | st.dictionaries(KEYS, SCALARS | st.none(), max_size=2) | st.just([]), max_size=3
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.none() | _ARRAYS, lambda values: st.dictionaries(KEYS, values, max_size=3), max_leaves=8
)
METADATA: st.SearchStrategy[dict[str, Any]] = st.dictionaries(KEYS, _VALUES, max_size=4)

_RESERVED: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "email": st.sampled_from(["john@acmeinc.com", "j@x", None, "mary@gmail.com"]),
        "phone": st.sampled_from([4155551212, "+1 415", None, True, 1.5]),
        "name": st.sampled_from(["John", None]),
    },
)

# Strings of the envelope are returned unchanged, so tests compare for equality.
_CAMPAIGN = st.dictionaries(
    st.sampled_from(["utm_source", "utm_medium", "referrer", "gclid"]), st.sampled_from(["s", "é", "$x", "", None])
)
CLEARABLE = ["company_id", "ip_address", "observed_ip_address", "user_agent_string", "anonymous_id"]
CLEARABLE += ["campaign", "initial_campaign", "latest_campaign"] * 2
UPDATES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "company_id": st.sampled_from(["c1", "c2", None]),
        "modified_time": st.sampled_from(
            ["1970-01-01T00:00:00Z", "2026-01-02T03:04:05.678901234Z", "0001-01-01T00:00:00Z", None]
        ),
        "ip_address": st.sampled_from(["1.2.3.4", "2001:db8::1", None]),
        "session_token": st.sampled_from(["t1", "t2", "t3", "", None]),
        "user_agent_string": st.sampled_from(["UA", "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko Firefox/121.0"]),
        "anonymous_id": st.sampled_from(["anon", None]),
        "campaign": _CAMPAIGN | st.none() | st.just([]),
        "clear_fields": st.lists(st.sampled_from(CLEARABLE), max_size=3) | st.none(),
        "metadata": st.builds(lambda one, other: one | other, METADATA, _RESERVED) | st.none() | st.just([]),
    },
)

# Some are equal, or nearly. JSON cannot tell 1 from 1.0.
ELEMENTS: list[Any] = [
    *(0, 1, 1.5, -2.5, True, False, None, "1", "", "$x", {}, [], [1], [True], {"a": 1}, {"a": True}, 2**53, 1e300, "é"),
    *({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"v": 1, "k": "a"}),
    *([{"a": [], "$b": {"c": 1, "d": 2}}], [{"$b": {"d": 2, "c": 1}, "a": []}], [{"$b": {"d": 2, "c": 1}, "a": {}}]),
    *([[1], [2, {"a": None, "b": 0}]], [[1], [2, {"b": 0, "a": None}]], [[2, {"b": 0, "a": None}], [1]], [[], 1]),
    *({"t": "array", "v": []}, {"t": "object", "v": [{"k": "a", "v": 1}]}, [{"v": 1}]),
]
COMPARED: list[Any] = [
    *(0, 1, -2.5, 1.5, 2**53, 1e300, -0.0, "2026-01-02", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00.5Z"),
    *("2026-01-02T00:00:00.50Z", "2026-01-02T00:00:00.000000001Z", "2025-12-31T23:59:59.999999999Z", "0001-01-01"),
]
NOT_COMPARED: list[Any] = [
    *("", "x", "1", "2026-01-02T00:00:00", "2026-01-02T00:00:00+00:00", "2026-01-02\n", "2026-01-02Z", "2026-1-2"),
    *("２０２６-01-02", "2026-01-02T00:00:00.Z", "2026-01-02T00:00:00.0000000000Z", "a2026-01-02", "2026-01-02 "),
    *(True, False, {}, {"a": 1}, [], [1]),
]

# Few paths, so that operations often meet.
_PATHS = st.sampled_from([["a"], ["a"], ["a"], ["b"], ["a", "b"], ["a", "b"], ["$set", "a.b"], ["", "0", "%"]])
_SOME = st.lists(st.sampled_from(ELEMENTS), max_size=6)
_OPERATED: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda value: {"set_once": value}, _VALUES.filter(lambda value: value is not None)),
    st.builds(lambda values: {"union": values}, _SOME),
    st.builds(lambda values: {"remove": values}, _SOME),
    st.builds(lambda value: {"minimum": value}, st.sampled_from(COMPARED)),
    st.builds(lambda value: {"maximum": value}, st.sampled_from(COMPARED)),
)
_STORED: st.SearchStrategy[Any] = _SOME | st.sampled_from([*COMPARED, *NOT_COMPARED]) | _VALUES


def _update_with_operations(changes: list[tuple[list[str], dict[str, Any]]], token: str) -> dict[str, Any]:
    """An update with those of some values and operations that meet no other one before them."""
    metadata: dict[str, Any] = {}
    taken: list[list[str]] = []
    operations = []
    for path, change in changes:
        if any(path[: len(other)] == other[: len(path)] for other in taken):
            continue
        taken.append(path)
        if "value" not in change:
            operations.append({"path": path} | change)
            continue
        inner = metadata
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = change["value"]
    return {"session_token": token, "metadata": metadata, "metadata_operations": operations}


UPDATES_WITH_OPERATIONS: st.SearchStrategy[dict[str, Any]] = st.builds(
    _update_with_operations,
    st.lists(st.tuples(_PATHS, _OPERATED | _OPERATED | st.builds(lambda value: {"value": value}, _STORED)), max_size=4),
    st.sampled_from(["t1", "t2", ""]),
)
"""Updates with operations on values that others of them store."""
