"""The table of methods, checked against the descriptors and the comments of the protos."""

import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor
from userfold.internal.v1 import (
    company_update_service_pb2,
    options_pb2,
    refusal_report_service_pb2,
    user_update_service_pb2,
)
from userfold.internal.v1 import credential_service_pb2 as internal_credential_service_pb2
from userfold.v1 import (
    application_service_pb2,
    campaign_service_pb2,
    company_service_pb2,
    credential_service_pb2,
    metadata_service_pb2,
    refusal_service_pb2,
    status_service_pb2,
    user_service_pb2,
    visitor_service_pb2,
)

from server.accounts.scopes import COLLECTOR_SCOPES, Need, require
from server.errors import ManagementTokenRequired, ScopeMissing
from server.model import Application, CredentialKind, Scope
from server.rpc.methods import METHODS, MOVED, require_rules
from server.services.accounts.application_service import ApplicationService
from server.services.accounts.credential_check import CredentialCheckService
from server.services.accounts.credential_service import CredentialService
from server.services.campaign_service import CampaignService
from server.services.company_service import CompanyService
from server.services.overview.metadata_service import MetadataService
from server.services.overview.status_service import StatusService
from server.services.refusal_service import RefusalReportService, RefusalService
from server.services.updates.update_service import CompanyUpdateService, UserUpdateService
from server.services.user_service import UserService
from server.services.visitor_service import VisitorService

_SERVICES = [
    service
    for module in (
        user_service_pb2,
        visitor_service_pb2,
        company_service_pb2,
        campaign_service_pb2,
        refusal_service_pb2,
        metadata_service_pb2,
        status_service_pb2,
        application_service_pb2,
        credential_service_pb2,
        user_update_service_pb2,
        company_update_service_pb2,
        internal_credential_service_pb2,
        refusal_report_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
]
_SERVICERS = (
    UserService,
    VisitorService,
    CompanyService,
    CampaignService,
    RefusalService,
    MetadataService,
    StatusService,
    ApplicationService,
    CredentialService,
    UserUpdateService,
    CompanyUpdateService,
    CredentialCheckService,
    RefusalReportService,
)
_DESCRIPTORS = {method.full_name: method for service in _SERVICES for method in service.methods}
_PROTOS = Path(__file__).parents[3] / "protos"

each_method = pytest.mark.parametrize("method", _DESCRIPTORS.values(), ids=_DESCRIPTORS)


def test_every_method_has_a_rule_and_every_rule_a_method() -> None:
    require_rules(_SERVICES, METHODS)


@each_method
def test_every_method_has_a_function_of_its_servicer(method: MethodDescriptor) -> None:
    servicers = dict(zip((service.full_name for service in _SERVICES), _SERVICERS, strict=True))
    name = METHODS[method.full_name].served_as or method.name
    assert callable(getattr(servicers[method.containing_service.full_name], name))


def test_every_method_needs_what_its_comment_says() -> None:
    promised = {}
    for service in _SERVICES:
        text = (_PROTOS / service.file.name).read_text()
        for comment, name in re.findall(r"((?:^  //.*\n)+)^  rpc (\w+)\(", text, re.MULTILINE):
            sentence = " ".join(line.strip(" /") for line in comment.splitlines())
            needs = re.findall(r"Needs (a collector key, or )?the scope `([a-z:]+)`", sentence)
            any_token = [Need(None)] * sentence.count("Needs a management token, whatever its scopes are.")
            promised[f"{service.full_name}.{name}"] = any_token + [
                Need(Scope(scope), bool(key)) for key, scope in needs
            ]
    assert promised == {name: [rule.need] if rule.need else [] for name, rule in METHODS.items()}


def test_a_collector_key_may_send_updates_and_reports_and_check_itself_and_nothing_else() -> None:
    application = Application("app", CredentialKind.COLLECTOR, COLLECTOR_SCOPES)
    allowed = set()
    for name, rule in METHODS.items():
        try:
            if rule.need:
                require(rule.need, application)
            allowed.add(name.removeprefix("userfold."))
        except (ManagementTokenRequired, ScopeMissing):
            pass
    assert allowed == {
        "v1.UserService.UpdateUser",
        "v1.UserService.BatchUpdateUsers",
        "v1.UserService.StreamUpdateUsers",
        "v1.CompanyService.UpdateCompany",
        "v1.CompanyService.BatchUpdateCompanies",
        "v1.CompanyService.StreamUpdateCompanies",
        "internal.v1.CompanyUpdateService.BatchUpdateCompanies",
        "internal.v1.CompanyUpdateService.StreamBatchUpdateCompanies",
        "internal.v1.UserUpdateService.BatchUpdateUsers",
        "internal.v1.UserUpdateService.StreamBatchUpdateUsers",
        "internal.v1.CredentialService.CheckCredential",
        "internal.v1.RefusalReportService.ReportRefusals",
    }


@each_method
def test_the_items_of_a_method_are_a_repeated_field_with_a_result_for_each(method: MethodDescriptor) -> None:
    items = METHODS[method.full_name].items
    results = {"results", "acknowledgements", "response"} & {*method.output_type.fields_by_name}
    assert bool(items) == bool(results)
    if items:
        assert method.input_type.fields_by_name[items].is_repeated


@each_method
def test_a_rule_says_what_streams_as_the_descriptor_does(method: MethodDescriptor) -> None:
    rule = METHODS[method.full_name]
    assert (rule.is_stream, rule.is_stream) == (method.client_streaming, method.server_streaming)
    option = method.GetOptions().Extensions[options_pb2.stream_of]
    assert option == (f"{method.containing_service.full_name}.{rule.served_as}" if rule.served_as else "")


@pytest.mark.parametrize("stream", [name for name, rule in METHODS.items() if rule.served_as])
def test_a_request_of_a_stream_of_calls_is_one_of_the_method_that_serves_it(stream: str) -> None:
    method = _DESCRIPTORS[stream]
    served_as = method.containing_service.methods_by_name[METHODS[stream].served_as or ""]

    def fields(message: MethodDescriptor) -> list[tuple[str, int, int]]:
        return [(field.name, field.number, field.type) for field in message.input_type.fields]

    assert fields(method) == fields(served_as)
    assert METHODS[stream].need == METHODS[served_as.full_name].need
    assert method.output_type.fields_by_name["response"].message_type == served_as.output_type
    assert method.output_type.fields_by_name["error"].message_type.full_name == "google.rpc.Status"


def test_what_has_moved_is_served_elsewhere() -> None:
    for path in MOVED:
        _, service, name = path.split("/")
        assert f"{service}.{name}" not in METHODS
        assert name in {method.name for method in _DESCRIPTORS.values()}
