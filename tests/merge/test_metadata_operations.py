"""The rows of the merge table for operations on metadata, over HTTP and gRPC."""

import json
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from userfold.v1.metadata_operation_pb2 import MetadataOperation
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2 import UpdateUserRequest
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from tests.support.expected_profile import ReferenceProfile
from tests.support.stack import Api, Stack
from tests.support.strategies import UPDATES_WITH_OPERATIONS

pytestmark = pytest.mark.long

_NOTHING: Any = None
_OTHER_TYPES: list[Any] = ["text", True, {"old": 1}, {}]


def _operated(api: Api, stored: Any, *operations: dict[str, Any]) -> Any:
    """The value after these operations, one update each, and after the last one again."""
    update: dict[str, Any] = {"metadata": {"deep": {"k": stored}, "other": 1}}
    profile = api.stored(update, *({"metadata_operations": [{"path": ["deep", "k"]} | each]} for each in operations))
    assert profile["metadata"]["other"] == 1
    again = api.stored({"metadata_operations": [{"path": ["deep", "k"]} | operations[-1]]})
    assert again["metadata"] == profile["metadata"]
    return profile["metadata"]["deep"].get("k", _NOTHING)


@pytest.mark.parametrize("stored", [0, "", False, [], {}, [None], {"a": 1}], ids=str)
def test_set_once_is_stored_only_if_nothing_is(api: Api, stored: Any) -> None:
    assert _operated(api, stored, {"set_once": "new"}) == stored
    assert _operated(api, _NOTHING, {"set_once": stored}) == stored
    assert _operated(api, _NOTHING, {"set_once": "first"}, {"set_once": "second"}) == "first"


def test_union_joins_values_to_an_array_each_once_and_in_order(api: Api) -> None:
    assert _operated(api, [2, 1, 2], {"union": [3, 1, 4, 3]}) == [2, 1, 2, 3, 4]
    assert _operated(api, [1, {"a": 1, "b": 2}], {"union": ["1", True, 1.0, {"b": 2, "a": 1}, None, None]}) == [
        *(1, {"a": 1, "b": 2}, "1", True, None)
    ]
    assert _operated(api, _NOTHING, {"union": ["a", "b", "a"]}) == ["a", "b"]
    assert _operated(api, _NOTHING, {"union": []}) is _NOTHING


def test_remove_takes_values_out_of_an_array(api: Api) -> None:
    values = [1, "1", True, 1, {"a": 1, "b": [2]}, None]
    assert _operated(api, values, {"remove": [1, {"b": [2], "a": 1}, "none"]}) == ["1", True, None]
    assert _operated(api, [1], {"remove": [1]}) == []
    assert _operated(api, _NOTHING, {"remove": [1]}) is _NOTHING


@pytest.mark.parametrize(
    ("small", "great"),
    [
        (-1, 0.5),
        (24000, 1e300),
        (2**53 - 1, 2**53),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000001Z"),
        ("2026-01-01T23:59:59Z", "2026-01-02"),
    ],
    ids=str,
)
def test_minimum_and_maximum_keep_the_less_and_the_greater_value(api: Api, small: Any, great: Any) -> None:
    for stored, sent in ((small, great), (great, small), (_NOTHING, small), (_NOTHING, great)):
        assert _operated(api, stored, {"minimum": sent}) == (small if stored is not _NOTHING else sent)
        assert _operated(api, stored, {"maximum": sent}) == (great if stored is not _NOTHING else sent)


@pytest.mark.parametrize("stored", _OTHER_TYPES, ids=str)
def test_a_value_of_another_type_is_replaced_and_stays_if_nothing_is_added(api: Api, stored: Any) -> None:
    assert _operated(api, stored, {"union": [1]}) == [1]
    assert _operated(api, stored, {"minimum": 1}) == 1
    assert _operated(api, stored, {"maximum": "2026-01-02"}) == "2026-01-02"
    assert _operated(api, stored, {"remove": ["text", True]}) == stored
    assert _operated(api, stored, {"union": []}) == stored
    assert _operated(api, 5, {"maximum": "2026-01-02"}, {"maximum": 1}) == 1


@pytest.mark.parametrize("stored", ["text", 1, [{"k": [1]}], _NOTHING], ids=str)
def test_the_objects_on_the_way_are_merged_as_in_metadata(api: Api, stored: Any) -> None:
    def operated(operation: dict[str, Any]) -> Any:
        update = {"metadata": {"a": None}}, {"metadata": {"a": {"b": stored, "x": 1}}}
        path = ["a", "b", "k"]
        return api.stored(*update, {"metadata_operations": [{"path": path} | operation]})["metadata"]["a"]

    assert operated({"set_once": 1}) == {"b": {"k": 1}, "x": 1}
    assert operated({"union": [2]}) == {"b": {"k": [2]}, "x": 1}
    assert operated({"remove": [1]}) == {"b": {}, "x": 1}


def test_operations_are_applied_with_the_rest_of_their_update(api: Api) -> None:
    operations: list[dict[str, Any]] = [
        {"path": ["plan", "first"], "setOnce": "pro"},
        {"path": ["plan", "seats"], "maximum": 3},
        {"path": ["a.b", "$set", ""], "union": ["x"]},
        {"path": [0], "minimum": 1},
    ]
    first: dict[str, Any] = {
        "metadata": {"plan": {"name": "pro"}, "email": "john@acmeinc.com"},
        "company_id": "c",
        "session_token": "t",
        "metadata_operations": operations,
    }
    later = {"path": ["plan", "first"], "set_once": "free"}, {"path": ["plan", "seats"], "maximum": 2}
    second = {
        **first,
        "metadata": {"plan": {"name": "free"}},
        "metadata_operations": [*later, *operations[2:]],
    }
    profile = api.stored(first, second)
    assert profile["metadata"] == {
        "email": "john@acmeinc.com",
        "plan": {"name": "free", "first": "pro", "seats": 3},
        "a.b": {"$set": {"": ["x"]}},
        "0": 1,
    }
    assert (profile["company_id"], profile["alias_count"], profile["company_domain"]) == ("c", 1, "acmeinc.com")


def test_companies_have_operations(api: Api) -> None:
    for stage in ("Lead", "Customer"):
        operations = [
            {"path": ["first_stage"], "set_once": stage},
            {"path": ["stages"], "union": [stage]},
            {"path": ["seats"], "maximum": len(stage)},
        ]
        company = {"company_id": "c", "metadata": {"stage": stage}, "metadata_operations": operations}
        assert api.client.post("/v1/companies", json=company, headers=api.writer).status_code == 201
    stored = api.client.get("/v1/companies/c", headers=api.reader).json()
    assert stored["metadata"] == {
        "stage": "Customer",
        "first_stage": "Lead",
        "stages": ["Lead", "Customer"],
        "seats": 8,
    }


def test_an_operation_may_be_conditional_and_be_tried(api: Api) -> None:
    etag = api.stored({"metadata": {"tags": ["a"]}})["etag"]
    update = {"user_id": "u", "metadata_operations": [{"path": ["tags"], "union": ["b"]}]}
    shown = api.client.post("/v1/users?validate_only=true", json=update, headers=api.reader).json()
    assert (shown["user"]["metadata"], "metadata.tags" in shown["changed_paths"]) == ({"tags": ["a", "b"]}, True)
    assert api.get("u").json()["etag"] == etag
    assert api.update({**update, "etag": etag}).status_code == 201
    assert api.get("u").json()["metadata"] == {"tags": ["a", "b"]}
    assert api.update({**update, "etag": etag}).status_code == 409


def test_a_profile_that_is_full_takes_an_operation_that_adds_nothing(api: Api) -> None:
    for start in range(0, 50_000, 9_000):
        values = list(range(start, min(start + 9_000, 49_989)))
        assert api.update({"user_id": "u", "metadata": {"arrays": {str(start): values}}}).status_code == 201
    api.stored({"metadata": {"tags": ["a", "b", "c"]}})
    for _ in range(3):
        # More than a few values always count, and make the server count those that are stored.
        again = {"path": ["tags"], "union": ["a", "b", "c"] * 6}
        assert api.update({"user_id": "u", "metadata_operations": [again]}).status_code == 201
    answer = api.update({"user_id": "u", "metadata_operations": [{"path": ["tags"], "union": list(range(17))}]})
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, "PROFILE_TOO_LARGE")
    assert api.get("u").json()["metadata"]["tags"] == ["a", "b", "c"]


def test_operations_are_the_same_as_messages(stack: Stack, api: Api) -> None:
    operations = [
        MetadataOperation(path=["a", "b.c"], set_once=Value(string_value="x")),
        MetadataOperation(path=["tags"], union=ListValue(values=[Value(number_value=1), Value(null_value=NULL_VALUE)])),
        MetadataOperation(path=["none"], remove=ListValue()),
        MetadataOperation(path=["least"], minimum=Value(number_value=1.5)),
        MetadataOperation(path=["latest"], maximum=Value(string_value="2026-01-02T03:04:05Z")),
    ]
    with grpc.insecure_channel(stack.grpc) as channel:
        metadata = (("authorization", f"Bearer {api.application.management_token}"),)
        update = UserUpdate(user_id="u", metadata_operations=operations)
        UserServiceStub(channel).UpdateUser(UpdateUserRequest(user=update), timeout=10, metadata=metadata)
    assert api.get("u").json()["metadata"] == {
        "a": {"b.c": "x"},
        "tags": [1, None],
        "least": 1.5,
        "latest": "2026-01-02T03:04:05Z",
    }


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(UPDATES_WITH_OPERATIONS, min_size=1, max_size=6))
def test_a_batch_leaves_what_the_reference_expects(api: Api, updates: list[dict[str, Any]]) -> None:
    reference = ReferenceProfile()
    for update in updates:
        reference.fold(update)
    api.client.delete("/v1/users/u", headers=api.reader)
    answer = api.batch([{"user_id": "u"} | update for update in updates])
    assert answer.status_code == 201, answer.text
    assert api.get("u").json()["metadata"] == reference.metadata


@pytest.mark.parametrize("keys", [1, 10, 18])
def test_values_at_the_limit_of_levels_are_compared(api: Api, keys: int) -> None:
    one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    # `metadata` and the array are levels, too.
    for _ in range(20 - keys - 2):
        one, other = {"a": one, "b": 2}, {"b": 2, "a": other}  # type: ignore[dict-item]  # Nested ever deeper.
    path = ["k"] * keys
    stored = json.loads('{"k":' * keys + json.dumps([one]) + "}" * keys)
    api.stored({"metadata": stored})
    for number in range(2):
        user = {"user_id": "u", "metadata_operations": [{"path": path, "union": [other]}], "company_id": str(number)}
        shown = api.client.post("/v1/users?validate_only=true", json=user, headers=api.reader)
        assert (shown.status_code, shown.json()["user"]["metadata"]) == (201, stored)
        assert api.stored(user)["metadata"] == stored
    emptied = api.stored({"metadata_operations": [{"path": path, "remove": [other, one]}]})["metadata"]
    assert emptied == json.loads('{"k":' * keys + "[]" + "}" * keys)


def test_a_path_has_as_many_levels_as_metadata(api: Api) -> None:
    path = ["k"] * 20
    for sent, stored in (("2026-01-02", "2026-01-02"), ("2026-01-02T00:00:00.1Z", "2026-01-02T00:00:00.1Z"), (5, 5)):
        value = api.stored({"metadata_operations": [{"path": path, "maximum": sent}]})["metadata"]
        for key in path:
            value = value[key]
        assert value == stored
