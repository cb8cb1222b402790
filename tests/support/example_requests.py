"""Requests to each method of the contract about one user and company. A new method needs a row in `REQUESTS`."""

from collections.abc import Callable, Mapping, Sequence

from google.protobuf import struct_pb2
from google.protobuf.message import Message
from userfold.internal.v1 import company_update_service_pb2
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.v1 import (
    application_service_pb2,
    campaign_service_pb2,
    company_service_pb2,
    credential_service_pb2,
    metadata_service_pb2,
    refusal_service_pb2,
    status_service_pb2,
)
from userfold.v1 import user_service_pb2 as pb
from userfold.v1 import visitor_service_pb2 as visitor_pb
from userfold.v1.campaign_pb2 import Campaign
from userfold.v1.company_pb2 import CompanyUpdate
from userfold.v1.user_pb2 import UserUpdate

from tests.support.update_json import json_of


class UserIds:
    """The ids and values of one user, and of the user's company. Those of another marker share none of them."""

    def __init__(self, marker: str) -> None:
        self.user_id = f"user-{marker}"
        self.erased = f"erased-{marker}"
        self.merged = f"merged-{marker}"
        self.company_id = f"company-{marker}"
        self.anonymous_id = f"visitor-{marker}"
        self.unknown_visitor = f"unknown-visitor-{marker}"
        self.session_token = f"token-{marker}"
        self.email = f"{marker}@acme.com"
        self.utm_source = f"source-{marker}"
        self.company_domain = f"{marker}.example".lower()
        self.credential_id = f"credential-{marker}"
        self.application_id = marker

    def update(self) -> UserUpdate:
        """An update with all of them, the same each time."""
        metadata = struct_pb2.Struct()
        metadata.update({"email": self.email, "value": 1})
        update = UserUpdate(
            **{name: getattr(self, name) for name in ("user_id", "company_id", "anonymous_id", "session_token")},
            ip_address="192.0.2.1",
            metadata=metadata,
            campaign=Campaign(utm_source=self.utm_source),
        )
        update.modified_time.FromSeconds(1)
        return update

    def visit(self) -> UserUpdate:
        """An update of the visitor whose user id is not known, the same each time."""
        update = self.update()
        update.ClearField("user_id")
        update.anonymous_id = self.unknown_visitor
        return update

    def company(self) -> CompanyUpdate:
        """An update of the company, the same each time."""
        metadata = struct_pb2.Struct()
        metadata.update({"plan": self.company_domain})
        update = CompanyUpdate(
            company_id=self.company_id,
            company_domain=self.company_domain,
            ip_address="192.0.2.1",
            metadata=metadata,
            campaign=Campaign(utm_source=self.utm_source),
        )
        update.modified_time.FromSeconds(1)
        return update

    def filters_of_companies(self) -> list[str]:
        """Filters that match the company. The last one is empty."""
        named = [f'{name} = "{getattr(self, name)}"' for name in ("company_id", "company_domain")]
        return [*named, f'campaign.utm_source = "{self.utm_source}"', f'metadata.plan = "{self.company_domain}"', ""]

    def filters(self) -> list[str]:
        """Filters that match the user. The last one is empty."""
        named = [f'{name} = "{getattr(self, name)}"' for name in ("user_id", "company_id", "anonymous_id")]
        return [*named, f'campaign.utm_source = "{self.utm_source}"', f'metadata.email = "{self.email}"', ""]


def _visitor_filters(ids: UserIds) -> list[str]:
    return [f'anonymous_id = "{ids.unknown_visitor}"', *ids.filters()[3:]]


# Except for updates, the response to each depends on whether the user exists, and `erased` is suppressed.
REQUESTS: Mapping[str, Callable[[UserIds], Sequence[Message]]] = {
    "UpdateUser": lambda ids: [pb.UpdateUserRequest(user=ids.update())],
    "BatchUpdateUsers": lambda ids: [pb.BatchUpdateUsersRequest(users=[ids.update()])],
    "StreamUpdateUsers": lambda ids: [pb.StreamUpdateUsersRequest(users=[ids.update()])],
    "StreamBatchUpdateUsers": lambda ids: [
        internal_pb.StreamBatchUpdateUsersRequest(users_json=[json_of(ids.update())])
    ],
    "GetUser": lambda ids: [
        pb.GetUserRequest(user_id=ids.user_id, include_company=True),
        pb.GetUserRequest(user_id=ids.user_id),
    ],
    "BatchGetUsers": lambda ids: [
        pb.BatchGetUsersRequest(user_ids=[ids.user_id], include_company=True),
        pb.BatchGetUsersRequest(user_ids=[ids.user_id]),
    ],
    "LookupUsers": lambda ids: [
        pb.LookupUsersRequest(session_token=ids.session_token, include_company=True),
        pb.LookupUsersRequest(session_token=ids.session_token),
        pb.LookupUsersRequest(email=ids.email),
        pb.LookupUsersRequest(company_id=ids.company_id),
        pb.LookupUsersRequest(anonymous_id=ids.anonymous_id),
    ],
    "SuggestUsers": lambda ids: [pb.SuggestUsersRequest(text=text) for text in (ids.user_id, ids.email, ids.email[0])],
    "RemoveAlias": lambda ids: [pb.RemoveAliasRequest(user_id=ids.user_id, session_token=ids.session_token)],
    "BatchRemoveAliases": lambda ids: [
        pb.BatchRemoveAliasesRequest(
            requests=[pb.RemoveAliasRequest(user_id=ids.user_id, session_token=ids.session_token)]
        )
    ],
    "MergeUsers": lambda ids: [pb.MergeUsersRequest(user_id=ids.user_id, source_user_id=ids.merged)],
    "ListUsers": lambda ids: [pb.ListUsersRequest(filter=text) for text in ids.filters()],
    "CountUsers": lambda ids: [pb.CountUsersRequest(filter=text) for text in ids.filters()],
    "DeleteUser": lambda ids: [pb.DeleteUserRequest(user_id=ids.user_id, suppress_days=1)],
    "BatchDeleteUsers": lambda ids: [pb.BatchDeleteUsersRequest(user_ids=[ids.user_id], suppress_days=1)],
    "ExportUser": lambda ids: [pb.ExportUserRequest(user_id=ids.user_id)],
    "BatchExportUsers": lambda ids: [pb.BatchExportUsersRequest(user_ids=[ids.user_id])],
    "GetVisitor": lambda ids: [visitor_pb.GetVisitorRequest(anonymous_id=ids.unknown_visitor)],
    "ListVisitors": lambda ids: [visitor_pb.ListVisitorsRequest(filter=text) for text in _visitor_filters(ids)],
    "CountVisitors": lambda ids: [visitor_pb.CountVisitorsRequest(filter=text) for text in _visitor_filters(ids)],
    "DeleteVisitor": lambda ids: [visitor_pb.DeleteVisitorRequest(anonymous_id=ids.unknown_visitor)],
    "ExportVisitor": lambda ids: [visitor_pb.ExportVisitorRequest(anonymous_id=ids.unknown_visitor)],
    "ListSuppressions": lambda ids: [pb.ListSuppressionsRequest(user_id=ids.erased), pb.ListSuppressionsRequest()],
    "LiftSuppression": lambda ids: [pb.LiftSuppressionRequest(user_id=ids.erased)],
    "UpdateCompany": lambda ids: [company_service_pb2.UpdateCompanyRequest(company=ids.company())],
    "BatchUpdateCompanies": lambda ids: [company_service_pb2.BatchUpdateCompaniesRequest(companies=[ids.company()])],
    "StreamUpdateCompanies": lambda ids: [company_service_pb2.StreamUpdateCompaniesRequest(companies=[ids.company()])],
    "StreamBatchUpdateCompanies": lambda ids: [
        company_update_service_pb2.StreamBatchUpdateCompaniesRequest(companies_json=[json_of(ids.company())])
    ],
    "GetCompany": lambda ids: [company_service_pb2.GetCompanyRequest(company_id=ids.company_id)],
    "ListCompanies": lambda ids: [
        company_service_pb2.ListCompaniesRequest(filter=text) for text in ids.filters_of_companies()
    ],
    "CountCompanies": lambda ids: [
        company_service_pb2.CountCompaniesRequest(filter=text) for text in ids.filters_of_companies()
    ],
    "DeleteCompany": lambda ids: [company_service_pb2.DeleteCompanyRequest(company_id=ids.company_id)],
    "ExportCompany": lambda ids: [company_service_pb2.ExportCompanyRequest(company_id=ids.company_id)],
    "GetApplication": lambda _: [application_service_pb2.GetApplicationRequest()],
    "RenameApplication": lambda _: [application_service_pb2.RenameApplicationRequest(display_name="New name")],
    "DeleteApplication": lambda ids: [
        application_service_pb2.DeleteApplicationRequest(application_id=ids.application_id, validate_only=True)
    ],
    "CreateApplication": lambda _: [application_service_pb2.CreateApplicationRequest(display_name="Another")],
    "GetCurrentCredential": lambda _: [credential_service_pb2.GetCurrentCredentialRequest()],
    "ListCredentials": lambda _: [credential_service_pb2.ListCredentialsRequest()],
    "CreateCredential": lambda _: [
        credential_service_pb2.CreateCredentialRequest(
            display_name="Support desk", kind="management_token", scopes=["read:users"]
        )
    ],
    "RotateCredential": lambda ids: [
        credential_service_pb2.RotateCredentialRequest(credential_id=ids.credential_id, overlap_hours=1)
    ],
    "RevokeCredential": lambda ids: [credential_service_pb2.RevokeCredentialRequest(credential_id=ids.credential_id)],
    "GetMetadataCatalogue": lambda _: [metadata_service_pb2.GetMetadataCatalogueRequest()],
    "GetStatus": lambda _: [status_service_pb2.GetStatusRequest()],
    "ListRefusals": lambda _: [refusal_service_pb2.ListRefusalsRequest()],
    "ReportCampaigns": lambda ids: [
        campaign_service_pb2.ReportCampaignsRequest(
            filter=text, group_by=["campaign.utm_source"], value_path="metadata.value"
        )
        for text in ids.filters()
    ],
}
