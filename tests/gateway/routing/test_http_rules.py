"""The routes that annotations declare, and the annotations that are refused."""

from typing import Any

import pytest
from google.api.http_pb2 import CustomHttpPattern, HttpRule
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from userfold.v1 import user_service_pb2

from gateway.app import INTERNAL, SERVICES
from gateway.routing.descriptors import UnsupportedBinding
from gateway.routing.http_rules import InvalidPath, Match, MethodNotAllowed, bindings_of, match
from tests.gateway.protos import service_type

BOUND = bindings_of(SERVICES, INTERNAL)
ID = [("id", Field.TYPE_STRING)]


def test_the_routes_of_the_services() -> None:
    assert [(each.method, each.template, each.rpc.removeprefix("/userfold.v1."), each.body) for each in BOUND] == [
        ("POST", "/v1/application:delete", "ApplicationService/DeleteApplication", "*"),
        ("POST", "/v1/application:rename", "ApplicationService/RenameApplication", "*"),
        ("GET", "/v1/application", "ApplicationService/GetApplication", ""),
        ("POST", "/v1/applications", "ApplicationService/CreateApplication", "*"),
        ("GET", "/v1/campaigns:report", "CampaignService/ReportCampaigns", ""),
        ("POST", "/v1/campaigns:report", "CampaignService/ReportCampaigns", "*"),
        ("POST", "/v1/companies/batch", "CompanyService/BatchUpdateCompanies", "companies"),
        ("GET", "/v1/companies:count", "CompanyService/CountCompanies", ""),
        ("POST", "/v1/companies:count", "CompanyService/CountCompanies", "*"),
        ("POST", "/v1/companies:delete", "CompanyService/DeleteCompany", "*"),
        ("POST", "/v1/companies:export", "CompanyService/ExportCompany", "*"),
        ("POST", "/v1/companies:search", "CompanyService/ListCompanies", "*"),
        ("GET", "/v1/companies/{company_id}:export", "CompanyService/ExportCompany", ""),
        ("DELETE", "/v1/companies/{company_id}", "CompanyService/DeleteCompany", ""),
        ("GET", "/v1/companies/{company_id}", "CompanyService/GetCompany", ""),
        ("GET", "/v1/companies", "CompanyService/ListCompanies", ""),
        ("POST", "/v1/companies", "CompanyService/UpdateCompany", "company"),
        ("GET", "/v1/credentials:current", "CredentialService/GetCurrentCredential", ""),
        ("POST", "/v1/credentials/{credential_id}:revoke", "CredentialService/RevokeCredential", "*"),
        ("POST", "/v1/credentials/{credential_id}:rotate", "CredentialService/RotateCredential", "*"),
        ("GET", "/v1/credentials", "CredentialService/ListCredentials", ""),
        ("POST", "/v1/credentials", "CredentialService/CreateCredential", "*"),
        ("GET", "/v1/metadata:catalogue", "MetadataService/GetMetadataCatalogue", ""),
        ("GET", "/v1/refusals", "RefusalService/ListRefusals", ""),
        ("GET", "/v1/status", "StatusService/GetStatus", ""),
        ("POST", "/v1/suppressions:lift", "UserService/LiftSuppression", "*"),
        ("POST", "/v1/suppressions:search", "UserService/ListSuppressions", "*"),
        ("GET", "/v1/suppressions", "UserService/ListSuppressions", ""),
        ("POST", "/v1/users/batch", "UserService/BatchUpdateUsers", "users"),
        ("POST", "/v1/users:batchDelete", "UserService/BatchDeleteUsers", "*"),
        ("POST", "/v1/users:batchExport", "UserService/BatchExportUsers", "*"),
        ("POST", "/v1/users:batchGet", "UserService/BatchGetUsers", "*"),
        ("POST", "/v1/users:batchRemoveAliases", "UserService/BatchRemoveAliases", "*"),
        ("GET", "/v1/users:count", "UserService/CountUsers", ""),
        ("POST", "/v1/users:count", "UserService/CountUsers", "*"),
        ("POST", "/v1/users:lookup", "UserService/LookupUsers", "*"),
        ("POST", "/v1/users:merge", "UserService/MergeUsers", "*"),
        ("POST", "/v1/users:search", "UserService/ListUsers", "*"),
        ("POST", "/v1/users:suggest", "UserService/SuggestUsers", "*"),
        ("GET", "/v1/users/{user_id}:export", "UserService/ExportUser", ""),
        ("POST", "/v1/users/{user_id}:merge", "UserService/MergeUsers", "*"),
        ("POST", "/v1/users/{user_id}:removeAlias", "UserService/RemoveAlias", "*"),
        ("DELETE", "/v1/users/{user_id}", "UserService/DeleteUser", ""),
        ("GET", "/v1/users/{user_id}", "UserService/GetUser", ""),
        ("GET", "/v1/users", "UserService/ListUsers", ""),
        ("POST", "/v1/users", "UserService/UpdateUser", "user"),
        ("GET", "/v1/visitors:count", "VisitorService/CountVisitors", ""),
        ("POST", "/v1/visitors:count", "VisitorService/CountVisitors", "*"),
        ("POST", "/v1/visitors:delete", "VisitorService/DeleteVisitor", "*"),
        ("POST", "/v1/visitors:export", "VisitorService/ExportVisitor", "*"),
        ("POST", "/v1/visitors:search", "VisitorService/ListVisitors", "*"),
        ("GET", "/v1/visitors/{anonymous_id}:export", "VisitorService/ExportVisitor", ""),
        ("DELETE", "/v1/visitors/{anonymous_id}", "VisitorService/DeleteVisitor", ""),
        ("GET", "/v1/visitors/{anonymous_id}", "VisitorService/GetVisitor", ""),
        ("GET", "/v1/visitors", "VisitorService/ListVisitors", ""),
    ]


def test_the_bindings_describe_their_methods() -> None:
    found = {(each.method, each.template): each for each in BOUND}
    get_user, update, batch = (
        found["GET", "/v1/users/{user_id}"],
        found["POST", "/v1/users"],
        found["POST", "/v1/users/batch"],
    )
    assert get_user.response_body == "user"
    assert {key for key, each in found.items() if each.is_write} == {
        ("POST", "/v1/users"),
        ("POST", "/v1/users/batch"),
        ("POST", "/v1/users/{user_id}:merge"),
        ("POST", "/v1/users:merge"),
        ("POST", "/v1/users/{user_id}:removeAlias"),
        ("POST", "/v1/users:batchRemoveAliases"),
        ("DELETE", "/v1/users/{user_id}"),
        ("DELETE", "/v1/visitors/{anonymous_id}"),
        ("POST", "/v1/companies"),
        ("POST", "/v1/companies/batch"),
        ("DELETE", "/v1/companies/{company_id}"),
        ("POST", "/v1/companies:delete"),
        ("POST", "/v1/visitors:delete"),
        ("POST", "/v1/users:batchDelete"),
        ("POST", "/v1/suppressions:lift"),
        ("POST", "/v1/applications"),
        ("POST", "/v1/application:rename"),
        ("POST", "/v1/application:delete"),
        ("POST", "/v1/credentials"),
        ("POST", "/v1/credentials/{credential_id}:rotate"),
        ("POST", "/v1/credentials/{credential_id}:revoke"),
    }
    company, companies = found["POST", "/v1/companies"], found["POST", "/v1/companies/batch"]
    assert [each for each in BOUND if each.is_batch] == [companies, batch]
    assert {each.rpc for each in BOUND if each.batch_method} == {update.rpc, batch.rpc, company.rpc, companies.rpc}
    assert company.batch_method
    assert company.batch_method is companies.batch_method
    assert update.batch_method
    assert update.batch_method is batch.batch_method
    assert batch.query.keys() <= {*update.batch_method.request.DESCRIPTOR.fields_by_name}
    assert update.batch_method.stream
    assert (update.batch_method.rpc, update.batch_method.stream.rpc, update.batch_method.items) == (
        "/userfold.internal.v1.UserUpdateService/BatchUpdateUsers",
        "/userfold.internal.v1.UserUpdateService/StreamBatchUpdateUsers",
        "users",
    )
    assert (update.request, update.response) == (
        user_service_pb2.UpdateUserRequest,
        user_service_pb2.UpdateUserResponse,
    )
    assert {key: [*each.query] for key, each in found.items() if each.query} == {
        ("POST", "/v1/users"): ["validate_only"],
        ("POST", "/v1/users/batch"): ["validate_only"],
        ("GET", "/v1/users/{user_id}"): ["include_company"],
        ("DELETE", "/v1/users/{user_id}"): ["suppress_days", "validate_only"],
        ("POST", "/v1/companies"): ["validate_only"],
        ("POST", "/v1/companies/batch"): ["validate_only"],
        ("DELETE", "/v1/companies/{company_id}"): ["validate_only"],
        ("GET", "/v1/companies"): ["filter", "order_by", "page_size", "page_token", "fields"],
        ("GET", "/v1/companies:count"): ["filter"],
        ("GET", "/v1/suppressions"): ["user_id", "page_size", "page_token"],
        ("GET", "/v1/users"): ["filter", "order_by", "page_size", "page_token", "fields"],
        ("GET", "/v1/users:count"): ["filter"],
        ("DELETE", "/v1/visitors/{anonymous_id}"): ["validate_only"],
        ("GET", "/v1/visitors"): ["filter", "order_by", "page_size", "page_token", "fields"],
        ("GET", "/v1/visitors:count"): ["filter"],
        ("GET", "/v1/campaigns:report"): [
            "start_time",
            "end_time",
            "group_by",
            "value_path",
            "filter",
            "max_groups",
        ],
    }


@pytest.mark.parametrize(
    ("method", "path", "template", "fields"),
    [
        ("POST", "/v1/users", "/v1/users", {}),
        ("POST", "/v1/users/batch", "/v1/users/batch", {}),
        ("GET", "/v1/users/batch", "/v1/users/{user_id}", {"user_id": "batch"}),
        ("GET", "/v1/users/a%2Fb", "/v1/users/{user_id}", {"user_id": "a/b"}),
        ("GET", "/v1/users/100%", "/v1/users/{user_id}", {"user_id": "100%"}),
        ("HEAD", "/v1/users/a%3Ab", "/v1/users/{user_id}", {"user_id": "a:b"}),
        ("GET", "/v1/users/a%3Aexport", "/v1/users/{user_id}", {"user_id": "a:export"}),
        ("DELETE", "/v1/users/a%3aexport", "/v1/users/{user_id}", {"user_id": "a:export"}),
        ("GET", "/v1/users/a:export", "/v1/users/{user_id}:export", {"user_id": "a"}),
        ("GET", "/v1/users/a%3Ab:export", "/v1/users/{user_id}:export", {"user_id": "a:b"}),
        (
            "POST",
            "/v1/users/a%3AremoveAlias:removeAlias",
            "/v1/users/{user_id}:removeAlias",
            {"user_id": "a:removeAlias"},
        ),
    ],
)
def test_a_request_finds_its_binding(method: str, path: str, template: str, fields: dict[str, str]) -> None:
    found = match(BOUND, method, path)
    assert isinstance(found, Match)
    assert (found.binding.template, found.fields) == (template, fields)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/v1",
        "/v1/users/",
        "/v1/users/a/b",
        "/v1/users/%2F/",
        "/V1/users",
        "/v1/users\n",
        "/v1/users/a:b",
        "/v1/users/a:",
        "/v1/users/:export",
        "/v1/users/a:b:export",
        "/v1/users/a:Export",
        "/v1/users:export",
        "/v1/users:",
    ],
)
def test_a_path_without_a_template_has_no_binding(path: str) -> None:
    assert match(BOUND, "GET", path) is None


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/users", ("GET", "HEAD", "OPTIONS", "POST")),
        ("PUT", "/v1/users/batch", ("DELETE", "GET", "HEAD", "OPTIONS", "POST")),
        ("POST", "/v1/users/x", ("DELETE", "GET", "HEAD", "OPTIONS")),
        ("POST", "/v1/users/a%3AremoveAlias", ("DELETE", "GET", "HEAD", "OPTIONS")),
        ("DELETE", "/v1/users/a:export", ("GET", "HEAD", "OPTIONS")),
        ("GET", "/v1/users/a:removeAlias", ("OPTIONS", "POST")),
    ],
)
def test_another_method_gets_all_allowed_ones(method: str, path: str, allowed: tuple[str, ...]) -> None:
    assert match(BOUND, method, path) == MethodNotAllowed(allowed)


def test_a_parameter_that_is_not_utf8_names_its_field() -> None:
    with pytest.raises(InvalidPath) as caught:
        match(BOUND, "GET", "/v1/users/%ff")
    assert caught.value.field == "user_id"


def test_literals_and_verbs_are_tried_before_fields() -> None:
    rules = [
        HttpRule(get="/v1/{id}"),
        HttpRule(post="/v1/{id}:archive", body="*"),
        HttpRule(get="/v1/{id}:show", additional_bindings=[HttpRule(get="/v1/fixed"), HttpRule(delete="/v1/{id}")]),
        None,
    ]
    found = bindings_of([service_type(rules, ID)])
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
        (HttpRule(get="/v1/{tags}"), [("tags", Field.TYPE_STRING, "repeated")], [], "'tags' is no scalar"),
        (HttpRule(get="/v1"), [("counts", Field.TYPE_INT32, "repeated")], [], "'counts' is no scalar"),
        (HttpRule(post="/v1", body="item"), [("item", "Item"), ("more", "Item")], [], "'more' is no scalar"),
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
        bindings_of([service_type([rule], request_fields, response_fields)])


def test_a_route_belongs_to_one_service_only() -> None:
    one, other = (service_type([HttpRule(get="/a/{id}")], ID) for _ in range(2))
    with pytest.raises(UnsupportedBinding, match="bound twice"):
        bindings_of([one, other])


def test_a_repeated_field_with_a_result_for_each_item_is_a_batch() -> None:
    (found,) = bindings_of(
        [service_type([HttpRule(put="/v1", body="items")], ARRAY, [("results", "Result", "repeated")])]
    )
    assert (found.is_batch, found.body, [*found.query]) == (True, "items", ["id"])


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (HttpRule(get="/v1"), ["id", "tags", "on"]),
        (HttpRule(get="/v1/{id}"), ["tags", "on"]),
        (HttpRule(post="/v1", body="*"), []),
    ],
)
def test_fields_outside_the_path_and_the_body_are_query_parameters(rule: HttpRule, names: list[str]) -> None:
    fields = [*ID, ("tags", Field.TYPE_STRING, "repeated"), ("on", Field.TYPE_BOOL)]
    (found,) = bindings_of([service_type([rule], fields)])
    assert [*found.query] == names


def test_streaming_is_refused() -> None:
    with pytest.raises(UnsupportedBinding, match="streaming"):
        bindings_of([service_type([HttpRule(get="/v1")], ID, server_streaming=True)])
