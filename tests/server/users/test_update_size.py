"""`ProfileWrite.size` bounds the MongoDB operation in both forms, whatever is sent; so does it after folding."""

from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import limits
from server.errors import InvalidRequest
from server.model import REMOVE, JsonObject, MetadataOperation, OperationKind, ProfileWrite, UserUpdate
from server.mongo.writes.update_document import dotted_update, exact_update
from server.users.fold import fold
from server.users.update import plan_update
from tests.support.strategies import METADATA, UPDATES

_NOW = 1_767_323_045_678_901_234


def _write(**fields: Any) -> ProfileWrite:
    return plan_update("app", UserUpdate(**({"user_id": "u"} | fields)), _NOW).write


def _operation_bytes(write: ProfileWrite, update: object) -> int:
    """The element of the command's array `updates` for a write."""
    statement = {"q": {"_id": write.profile_id}, "u": update, "multi": False, "upsert": True}
    return len(bson.encode(statement))


def _check(write: ProfileWrite) -> None:
    assert _operation_bytes(write, dotted_update(write)) <= write.size
    assert _operation_bytes(write, exact_update(write)) <= write.size


def _nested(key: str, levels: int, leaf: object) -> JsonObject:
    for _ in range(levels):
        leaf = {key: leaf}
    assert isinstance(leaf, dict)
    return leaf


_CAMPAIGN = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"]
_CAMPAIGN += ["referrer", "referring_domain", "gclid"]

_CLEARED = ["observed_ip_address", "company_id", "ip_address", "user_agent_string", "anonymous_id"]
_CLEARED += ["campaign", "initial_campaign", "latest_campaign"]

_HOSTILE: list[JsonObject] = [
    {f"k{n}": {} for n in range(1000)},
    {f"k{n}": None for n in range(1000)},
    {"a": {f"k{n}": None for n in range(999)}},
    {"a" * 60: {f"k{n}": {} for n in range(999)}},
    {"k" * 2000: {f"k{n}": None for n in range(999)}},
    {"a" * 3000: {f"k{n}": {"x": None} for n in range(499)}},
    {"." * 3000: {f"k{n}": {"\0": [None]} for n in range(300)}},
    {str(n): _nested("k", 18, 1) for n in range(50)},
    {str(n): _nested("%", 18, {}) for n in range(50)},
    _nested("é" * 5000, 19, None),
    {"a": [[]] * 9_000},
    {"a": [[[[]]]] * 3_000},
    {"a": [0] * 9_999},
    {"a": [{}] * 9_999},
    {"a": [{"." * 100: None}] * 4_000},
    {"a": [""] * 9_999},
    {"a": ["é" * 50] * 9_999},
    {"a": [2**63 + 1] * 9_999},
    {"a": [10**300 + 1] * 99},
    {"a": "é" * 1_000_000},
]


@pytest.mark.parametrize("metadata", _HOSTILE, ids=range(len(_HOSTILE)))
def test_the_size_of_a_hostile_update_bounds_its_operation(metadata: JsonObject) -> None:
    write = _write(metadata=metadata)
    _check(write)
    _check(fold([write, _write(metadata={"other": {"y": 1}})])[0])


@pytest.mark.parametrize("campaign", [{}, {"referring_domain": "x"}, dict.fromkeys(_CAMPAIGN, "é")], ids=len)
def test_the_size_of_a_full_envelope_bounds_its_operation(campaign: dict[str, str]) -> None:
    # Without long strings, so that the constants are the bound.
    agent = "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Mobile"
    full: dict[str, Any] = {
        "company_id": "é",
        "anonymous_id": "é",
        "session_token": "t",
        "user_agent_string": agent,
        "campaign": campaign,
        "metadata": {"email": "a@bücher.de", "e": {}},
        "modified_time": _NOW,
    }
    _check(_write(**full, ip_address="1.2.3.4"))
    _check(_write(**full, client_address="fe80::1%" + "é" * 56))
    _check(_write(**full, ip_address="1.2.3.4", clear_fields=_CLEARED))
    _check(_write(**full, client_address="fe80::1%" + "é" * 56, clear_fields=_CLEARED[1:]))
    _check(_write(clear_fields=[*_CLEARED, "observed_ip_address"], session_token="t"))
    for application in ("a", "a" * 200):
        _check(plan_update(application, UserUpdate("u", **full), _NOW).write)
    many = [_write(**full | {"session_token": str(number)}, ip_address="1.2.3.4") for number in range(300)]
    folded, count = fold(many)
    assert count == 300
    _check(folded)


@settings(max_examples=500)
@given(st.lists(UPDATES, min_size=1, max_size=5))
def test_the_size_of_any_update_bounds_its_operation(updates: list[dict[str, Any]]) -> None:
    writes = []
    for update in updates:
        fields = {name: value for name, value in update.items() if value and name != "modified_time"}
        campaign = {name: value for name, value in dict(fields.pop("campaign", {})).items() if value is not None}
        writes.append(_write(**fields, campaign=campaign))
    for write in writes:
        _check(write)
    folded, count = fold(writes)
    assert count == len(writes)
    _check(folded)


_OBJECT: JsonObject = {"a" * 50: "é", "b": {"c": 1.5, ".": None}}
_OPERATIONS: list[list[tuple[str, object]]] = [
    [(kind, [0]) for kind in ("union", "remove") for _ in range(50)],
    [(kind, [{"a": 1, "b": 2}]) for kind in ("union", "remove") for _ in range(50)],
    [(kind, [{f"{n}": 1.5, "k" * 80: {}, "l": n} for n in range(100)]) for kind in ("union", "remove")],
    [(kind, [_nested("k", 14, _OBJECT), [[[[]]]], ""]) for kind in ("union", "remove") for _ in range(30)],
    [(kind, [[[[]] * 90, {"a": 1, "b": 2}]]) for kind in ("union", "remove") for _ in range(25)],
    [("set_once", _nested("é", 14, _OBJECT)) for _ in range(20)],
    [(kind, value) for kind in ("minimum", "maximum") for value in [1, 1e300, "2026-01-02"] * 15],
]


@pytest.mark.parametrize("operations", _OPERATIONS, ids=range(len(_OPERATIONS)))
@pytest.mark.parametrize("key", ["k", "." * 500, "é"], ids=["short", "long", "wide"])
def test_the_size_of_operations_bounds_the_pipeline(operations: list[tuple[str, object]], key: str) -> None:
    sent = [
        MetadataOperation((key, f"{number}"), OperationKind(kind), value)
        for number, (kind, value) in enumerate(operations)
    ]
    write = _write(metadata_operations=sent)
    assert _operation_bytes(write, exact_update(write)) <= write.size
    folded, count = fold([write, write])
    assert count == 2
    assert _operation_bytes(folded, exact_update(folded)) <= folded.size


@given(METADATA)
def test_every_value_that_an_update_may_add_is_counted(metadata: JsonObject) -> None:
    write = _write(metadata=metadata)
    assert write.values == _values(write.patch.get("metadata", {}))
    assert write.leaves == _paths(metadata)


def _values(value: object) -> int:
    if isinstance(value, dict):
        return sum(item is not REMOVE for item in value.values()) + sum(map(_values, value.values()))
    return len(value) + sum(map(_values, value)) if isinstance(value, list) else 0


def _paths(value: object) -> int:
    return len(value) + sum(map(_paths, value.values())) if isinstance(value, dict) else 0


def test_an_object_of_the_pipeline_does_not_repeat_the_path_to_it() -> None:
    # 30 KB of JSON, which would become 36 MB if each of the objects named the whole path.
    write = _write(metadata=_nested("k" * 1000, 18, {f"o{n}": {} for n in range(900)}))
    assert len(bson.encode({"u": exact_update(write)})) < 2 * 18 * 1000 + 900 * 200 + 1000
    assert write.size < limits.UPDATE_BYTES


def test_an_update_whose_operation_would_be_too_large_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        _write(metadata=_nested("k" * 1000, 18, {f"o{n}": 1 for n in range(900)}))
    assert [(item.field, item.reason) for item in refusal.value.violations] == [("metadata", "TOO_LARGE")]
    assert "4,194,304" in refusal.value.violations[0].description
