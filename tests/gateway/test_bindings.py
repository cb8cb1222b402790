"""The routes that the annotations make, and the annotations that are refused."""

from typing import Any

import pytest
from google.api.http_pb2 import CustomHttpPattern, HttpRule
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from userfold.v1 import user_service_pb2

from gateway.bindings import InvalidPath, Match, MethodNotAllowed, UnsupportedBinding, bindings_of, match
from tests.gateway.protos import grouped_service, service_type

USERS = bindings_of(user_service_pb2.DESCRIPTOR.services_by_name["UserService"])
ID = [("id", Field.TYPE_STRING)]


def test_the_routes_of_the_user_service() -> None:
    assert [(each.method, each.template, each.rpc.rpartition("/")[2], each.body) for each in USERS] == [
        ("GET", "/v1/campaigns:report", "ReportCampaigns", ""),
        ("POST", "/v1/users/batch", "BatchUpdateUsers", "users"),
        ("POST", "/v1/users:batchDelete", "BatchDeleteUsers", "*"),
        ("POST", "/v1/users:batchExport", "BatchExportUsers", "*"),
        ("POST", "/v1/users:batchRemoveAliases", "BatchRemoveAliases", "*"),
        ("GET", "/v1/users:count", "CountUsers", ""),
        ("POST", "/v1/users:lookup", "LookupUsers", "*"),
        ("GET", "/v1/users/{user_id}:export", "ExportUser", ""),
        ("POST", "/v1/users/{user_id}:removeAlias", "RemoveAlias", "*"),
        ("DELETE", "/v1/users/{user_id}", "DeleteUser", ""),
        ("GET", "/v1/users/{user_id}", "GetUser", ""),
        ("GET", "/v1/users", "ListUsers", ""),
        ("POST", "/v1/users", "UpdateUser", "user"),
    ]
    found = {each.rpc.rpartition("/")[2]: each for each in USERS}
    assert found["GetUser"].response_body == "user"
    reads = {"GetUser", "LookupUsers", "ListUsers", "CountUsers", "ExportUser", "BatchExportUsers", "ReportCampaigns"}
    assert {name for name, each in found.items() if not each.is_write} == reads
    assert {name for name, each in found.items() if each.is_batch} == {"BatchUpdateUsers"}
    assert {name: (each.group.rpc, each.group.items) for name, each in found.items() if each.group} == {
        "UpdateUser": ("/userfold.v1.UserService/BatchUpdateUsers", "users")
    }
    assert found["UpdateUser"].request is user_service_pb2.UpdateUserRequest
    assert found["UpdateUser"].response is user_service_pb2.UpdateUserResponse


@pytest.mark.parametrize(
    ("method", "path", "template", "fields"),
    [
        ("POST", "/v1/users", "/v1/users", {}),
        ("POST", "/v1/users/batch", "/v1/users/batch", {}),
        ("GET", "/v1/users/batch", "/v1/users/{user_id}", {"user_id": "batch"}),
        ("GET", "/v1/users/a%2Fb", "/v1/users/{user_id}", {"user_id": "a/b"}),
        ("HEAD", "/v1/users/a:b", "/v1/users/{user_id}", {"user_id": "a:b"}),
        ("GET", "/v1/users/100%", "/v1/users/{user_id}", {"user_id": "100%"}),
    ],
)
def test_a_request_finds_its_binding(method: str, path: str, template: str, fields: dict[str, str]) -> None:
    found = match(USERS, method, path)
    assert isinstance(found, Match)
    assert (found.binding.template, found.fields) == (template, fields)


@pytest.mark.parametrize(
    "path", ["/", "", "/v1", "/v1/users/", "/v1/users/a/b", "/v1/users/%2F/", "/V1/users", "/v1/users\n"]
)
def test_a_path_of_no_template_finds_nothing(path: str) -> None:
    assert match(USERS, "GET", path) is None


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/users", ("GET", "HEAD", "OPTIONS", "POST")),
        ("PUT", "/v1/users/batch", ("DELETE", "GET", "HEAD", "OPTIONS", "POST")),
        ("POST", "/v1/users/x", ("DELETE", "GET", "HEAD", "OPTIONS")),
    ],
)
def test_another_method_is_told_all_that_are_allowed(method: str, path: str, allowed: tuple[str, ...]) -> None:
    assert match(USERS, method, path) == MethodNotAllowed(allowed)


def test_a_parameter_that_is_no_utf8_names_its_field() -> None:
    with pytest.raises(InvalidPath) as caught:
        match(USERS, "GET", "/v1/users/%ff")
    assert caught.value.field == "user_id"


def test_literals_and_verbs_are_tried_before_fields() -> None:
    found = bindings_of(
        service_type(
            [
                HttpRule(get="/v1/{id}"),
                HttpRule(post="/v1/{id}:archive", body="*"),
                HttpRule(
                    get="/v1/{id}:show", additional_bindings=[HttpRule(get="/v1/fixed"), HttpRule(delete="/v1/{id}")]
                ),
                None,
            ],
            ID,
        )
    )
    assert [(each.method, each.template) for each in found] == [
        ("GET", "/v1/fixed"),
        ("POST", "/v1/{id}:archive"),
        ("GET", "/v1/{id}:show"),
        ("DELETE", "/v1/{id}"),
        ("GET", "/v1/{id}"),
    ]
    shown, plain = match(found, "GET", "/v1/a:show"), match(found, "GET", "/v1/a%3Ashow")
    assert isinstance(shown, Match)
    assert isinstance(plain, Match)
    assert (shown.binding.has_verb, shown.fields) == (True, {"id": "a"})
    assert (plain.binding.has_verb, plain.fields) == (False, {"id": "a:show"})
    assert set(found[0].query) == {"id"}


ARRAY = [("items", "Item", "repeated"), *ID]


@pytest.mark.parametrize(
    ("rule", "request_fields", "response_fields", "why"),
    [
        (HttpRule(custom=CustomHttpPattern(kind="LINK", path="/v1")), ID, [], "the pattern custom"),
        (HttpRule(body="*"), ID, [], "the pattern None"),
        (HttpRule(get="/v1", body="*"), ID, [], "a GET with a body"),
        (HttpRule(get="v1/x"), ID, [], "the path"),
        (HttpRule(get="/v1/*"), ID, [], "the path"),
        (HttpRule(get="/v1/{id=users/*}"), ID, [], "the path"),
        (HttpRule(get="/v1/{a.b}"), ID, [], "the path"),
        (HttpRule(get="/v1/{id}/{id}"), ID, [], "the path"),
        (HttpRule(get="/v1/"), ID, [], "the path"),
        (HttpRule(get="/v1:verb/x"), ID, [], "a verb inside"),
        (HttpRule(get="/v1/{other}"), ID, [], "'other' is no scalar"),
        (HttpRule(get="/v1/{item}"), [("item", "Item")], [], "'item' is no scalar"),
        (HttpRule(get="/v1"), [("tags", Field.TYPE_STRING, "repeated")], [], "'tags' is no scalar"),
        (HttpRule(post="/v1", body="id"), ID, [], "no message field"),
        (HttpRule(post="/v1", body="nothing"), ID, [], "no message field"),
        (HttpRule(post="/v1", body="items"), ARRAY, [], "an array body needs"),
        (HttpRule(post="/v1", body="items"), ARRAY, [("results", "Item", "repeated")], "an array body needs"),
        (HttpRule(post="/v1", body="items"), ARRAY, [("results", "Result")], "an array body needs"),
        (
            HttpRule(post="/v1", body="items"),
            ARRAY,
            [("results", Field.TYPE_STRING, "repeated")],
            "an array body needs",
        ),
        (HttpRule(get="/v1", response_body="x"), ID, [("x", Field.TYPE_STRING)], "response_body"),
        (HttpRule(get="/v1", response_body="y"), ID, [], "response_body"),
        (
            HttpRule(get="/a", additional_bindings=[HttpRule(get="/b", additional_bindings=[HttpRule(get="/c")])]),
            ID,
            [],
            "inside additional_bindings",
        ),
        (HttpRule(get="/a/{id}", additional_bindings=[HttpRule(get="/a/{id}")]), ID, [], "bound twice"),
    ],
)
def test_an_annotation_that_cannot_be_served_is_refused(
    rule: HttpRule, request_fields: list[Any], response_fields: list[Any], why: str
) -> None:
    with pytest.raises(UnsupportedBinding, match=why):
        bindings_of(service_type([rule], request_fields, response_fields))


def test_a_repeated_field_with_a_result_for_each_item_is_a_batch() -> None:
    (found,) = bindings_of(
        service_type([HttpRule(put="/v1", body="items")], ARRAY, [("results", "Result", "repeated")])
    )
    assert (found.is_batch, found.body) == (True, "items")


def test_fields_beside_a_body_are_not_reachable() -> None:
    (found,) = bindings_of(
        service_type([HttpRule(post="/v1", body="item")], [("item", "Item"), ("item_tags", "Item", "repeated"), *ID])
    )
    assert found.query == {}


def test_streaming_is_refused() -> None:
    with pytest.raises(UnsupportedBinding, match="streaming"):
        bindings_of(service_type([HttpRule(get="/v1")], ID, server_streaming=True))


PUT = HttpRule(post="/v1", body="item")
ADDRESSES = ("client_addresses", Field.TYPE_STRING, "repeated")
MANY = ("things", "Item", "repeated")
RESULT = [("status", "google.rpc.Status"), ("warnings", "Item", "repeated")]


def test_bodies_may_travel_in_the_batch_method_that_has_a_place_for_all_of_them() -> None:
    (found,) = bindings_of(grouped_service(PUT, batch_request=[MANY, ADDRESSES], result=RESULT))
    assert found.group
    assert found.group.rpc.endswith(".Service/BatchPutThings")
    assert found.group.items == "things"
    assert found.group.request.DESCRIPTOR.name == "BatchRequest"
    assert found.group.response.DESCRIPTOR.name == "BatchResponse"


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        (PUT, {"batch_name": "BatchPutThing"}),
        (PUT, {"client_streaming": True}),
        (PUT, {"server_streaming": True}),
        (PUT, {"batch_request": [MANY]}),
        (PUT, {"batch_request": [MANY, ("client_addresses", Field.TYPE_STRING)]}),
        (PUT, {"batch_request": [MANY, ("client_addresses", Field.TYPE_INT32, "repeated")]}),
        (PUT, {"batch_request": [("things", "Item"), ADDRESSES]}),
        (PUT, {"batch_request": [("things", "Result", "repeated"), ADDRESSES]}),
        (PUT, {"batch_request": [MANY, ("others", "Item", "repeated"), ADDRESSES]}),
        (PUT, {"result": [("warnings", "Item", "repeated")]}),
        (PUT, {"result": [("status", "google.rpc.Status")]}),
        (PUT, {"result": [("status", "google.rpc.Status"), ("warnings", "Item")]}),
        (PUT, {"response": [("item", "Item")]}),
        (HttpRule(post="/v1", body="*"), {}),
        (HttpRule(post="/v1/{id}", body="item"), {}),
        (HttpRule(post="/v1", body="item", response_body="item"), {"response": [("item", "Item")]}),
    ],
)
def test_bodies_go_alone_where_a_batch_could_not_carry_all_of_a_request_or_an_answer(
    rule: HttpRule, more: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"batch_request": [MANY, ADDRESSES], "result": RESULT}
    (found,) = bindings_of(grouped_service(rule, **fields | more))
    assert found.group is None


TOLD = [("response", "BatchResponse"), ("status", "google.rpc.Status")]


@pytest.mark.parametrize(
    ("request_fields", "told", "options", "is_one"),
    [
        ([MANY, ADDRESSES], TOLD, None, True),
        ([ADDRESSES, MANY], TOLD, None, False),
        ([MANY], TOLD, None, False),
        ([("things", "Result", "repeated"), ADDRESSES], TOLD, None, False),
        ([MANY, ADDRESSES], TOLD[:1], None, False),
        ([MANY, ADDRESSES], TOLD[1:], None, False),
        ([MANY, ADDRESSES], [("response", "Response"), TOLD[1]], None, False),
        ([MANY, ADDRESSES], [TOLD[0], ("status", "Item")], None, False),
        ([MANY, ADDRESSES], TOLD, {"client_streaming": True}, False),
    ],
)
def test_a_batch_method_has_the_stream_that_takes_and_tells_the_same(
    request_fields: Any, told: Any, options: Any, is_one: bool
) -> None:
    service = grouped_service(
        PUT,
        batch_request=[MANY, ADDRESSES],
        result=RESULT,
        stream_request=request_fields,
        stream_response=told,
        stream_options=options,
    )
    found = [each for each in bindings_of(service) if each.group]
    assert [bool(each.group and each.group.stream) for each in found] == [is_one]
