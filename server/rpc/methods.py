"""The table of all methods: who may call each, what admits its calls, and how its requests are read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor

from server.accounts.scopes import Need
from server.model import Scope


class Work(Enum):
    """The work that a method causes. It decides what admits a call: see `admission`."""

    NONE = auto()
    """None: neither the rate limit nor the capacity of the application is touched."""

    UPDATE = auto()
    """Writes that wait in a group. There must be room among the waiting updates."""

    READ = auto()
    LOOKUP = auto()
    QUERY = auto()
    CHANGE = auto()
    STATUS = auto()
    """One gate each."""

    @property
    def is_read(self) -> bool:
        """Whether the rate limit of reads applies. All other work has a rate limit of its own."""
        return self in (Work.READ, Work.LOOKUP, Work.QUERY, Work.STATUS)


@dataclass(frozen=True, slots=True)
class MethodRule:
    """The rule of one method.

    `need` is what the credential must be; None: any known credential may call, a collector key too. `items` is the
    repeated field of the request whose items each have a result of their own; None: the request is one item.

    `is_stream`: the client streams requests. `served_as` is the method of the same service that serves each of them as
    a call of its own; None: one call of the servicer serves the whole stream.

    `is_misread_by_0_1`: a gateway of version 0.1 would misread the responses, so its calls are refused.
    """

    need: Need | None
    work: Work
    items: str | None = None
    is_stream: bool = False
    served_as: str | None = None
    is_misread_by_0_1: bool = False


_SEND_UPDATES: Final = Need(Scope.WRITE_USERS, collector_key=True)
_SEND_COMPANIES: Final = Need(Scope.WRITE_COMPANIES, collector_key=True)
_READ_COMPANIES: Final = Need(Scope.READ_COMPANIES)
_DELETE_COMPANIES: Final = Need(Scope.DELETE_COMPANIES)
_WRITE_USERS: Final = Need(Scope.WRITE_USERS)
_READ_USERS: Final = Need(Scope.READ_USERS)
_DELETE_USERS: Final = Need(Scope.DELETE_USERS)
_READ_CAMPAIGNS: Final = Need(Scope.READ_CAMPAIGNS)
_READ_REFUSALS: Final = Need(Scope.READ_REFUSALS)
_ADMIN: Final = Need(Scope.ADMIN)
_ANY_TOKEN: Final = Need(scope=None)

METHODS: Final[Mapping[str, MethodRule]] = {
    "userfold.v1.UserService.UpdateUser": MethodRule(_SEND_UPDATES, Work.UPDATE),
    "userfold.v1.UserService.BatchUpdateUsers": MethodRule(_SEND_UPDATES, Work.UPDATE, items="users"),
    "userfold.v1.UserService.StreamUpdateUsers": MethodRule(_SEND_UPDATES, Work.UPDATE, items="users", is_stream=True),
    "userfold.v1.UserService.GetUser": MethodRule(_READ_USERS, Work.READ),
    "userfold.v1.UserService.BatchGetUsers": MethodRule(_READ_USERS, Work.QUERY, items="user_ids"),
    "userfold.v1.UserService.LookupUsers": MethodRule(_READ_USERS, Work.LOOKUP),
    "userfold.v1.UserService.SuggestUsers": MethodRule(_READ_USERS, Work.READ),
    "userfold.v1.UserService.ListUsers": MethodRule(_READ_USERS, Work.QUERY),
    "userfold.v1.UserService.CountUsers": MethodRule(_READ_USERS, Work.QUERY),
    "userfold.v1.UserService.ExportUser": MethodRule(_READ_USERS, Work.READ, is_misread_by_0_1=True),
    "userfold.v1.UserService.BatchExportUsers": MethodRule(
        _READ_USERS, Work.QUERY, items="user_ids", is_misread_by_0_1=True
    ),
    "userfold.v1.UserService.RemoveAlias": MethodRule(_WRITE_USERS, Work.CHANGE),
    "userfold.v1.UserService.BatchRemoveAliases": MethodRule(
        _WRITE_USERS, Work.CHANGE, items="requests", is_misread_by_0_1=True
    ),
    "userfold.v1.UserService.MergeUsers": MethodRule(_WRITE_USERS, Work.CHANGE),
    "userfold.v1.UserService.DeleteUser": MethodRule(_DELETE_USERS, Work.CHANGE),
    "userfold.v1.UserService.BatchDeleteUsers": MethodRule(
        _DELETE_USERS, Work.CHANGE, items="user_ids", is_misread_by_0_1=True
    ),
    "userfold.v1.UserService.ListSuppressions": MethodRule(_DELETE_USERS, Work.QUERY),
    "userfold.v1.UserService.LiftSuppression": MethodRule(_DELETE_USERS, Work.CHANGE),
    "userfold.v1.VisitorService.GetVisitor": MethodRule(_READ_USERS, Work.READ),
    "userfold.v1.VisitorService.ListVisitors": MethodRule(_READ_USERS, Work.QUERY),
    "userfold.v1.VisitorService.CountVisitors": MethodRule(_READ_USERS, Work.QUERY),
    "userfold.v1.VisitorService.DeleteVisitor": MethodRule(_DELETE_USERS, Work.CHANGE),
    "userfold.v1.VisitorService.ExportVisitor": MethodRule(_READ_USERS, Work.READ),
    "userfold.v1.CompanyService.UpdateCompany": MethodRule(_SEND_COMPANIES, Work.UPDATE),
    "userfold.v1.CompanyService.BatchUpdateCompanies": MethodRule(_SEND_COMPANIES, Work.UPDATE, items="companies"),
    "userfold.v1.CompanyService.StreamUpdateCompanies": MethodRule(
        _SEND_COMPANIES, Work.UPDATE, items="companies", is_stream=True
    ),
    "userfold.v1.CompanyService.GetCompany": MethodRule(_READ_COMPANIES, Work.READ),
    "userfold.v1.CompanyService.ListCompanies": MethodRule(_READ_COMPANIES, Work.QUERY),
    "userfold.v1.CompanyService.CountCompanies": MethodRule(_READ_COMPANIES, Work.QUERY),
    "userfold.v1.CompanyService.DeleteCompany": MethodRule(_DELETE_COMPANIES, Work.CHANGE),
    "userfold.v1.CompanyService.ExportCompany": MethodRule(_READ_COMPANIES, Work.READ),
    "userfold.v1.CampaignService.ReportCampaigns": MethodRule(_READ_CAMPAIGNS, Work.QUERY),
    "userfold.internal.v1.UserUpdateService.BatchUpdateUsers": MethodRule(
        _SEND_UPDATES, Work.UPDATE, items="users_json"
    ),
    "userfold.internal.v1.UserUpdateService.StreamBatchUpdateUsers": MethodRule(
        _SEND_UPDATES, Work.UPDATE, items="users_json", is_stream=True, served_as="BatchUpdateUsers"
    ),
    "userfold.internal.v1.CompanyUpdateService.BatchUpdateCompanies": MethodRule(
        _SEND_COMPANIES, Work.UPDATE, items="companies_json"
    ),
    "userfold.internal.v1.CompanyUpdateService.StreamBatchUpdateCompanies": MethodRule(
        _SEND_COMPANIES, Work.UPDATE, items="companies_json", is_stream=True, served_as="BatchUpdateCompanies"
    ),
    "userfold.v1.RefusalService.ListRefusals": MethodRule(_READ_REFUSALS, Work.READ),
    "userfold.v1.StatusService.GetStatus": MethodRule(_ANY_TOKEN, Work.STATUS),
    "userfold.v1.MetadataService.GetMetadataCatalogue": MethodRule(_READ_USERS, Work.QUERY),
    "userfold.v1.ApplicationService.GetApplication": MethodRule(_ANY_TOKEN, Work.READ),
    "userfold.v1.ApplicationService.RenameApplication": MethodRule(_ADMIN, Work.CHANGE),
    "userfold.v1.ApplicationService.DeleteApplication": MethodRule(_ADMIN, Work.CHANGE),
    "userfold.v1.ApplicationService.CreateApplication": MethodRule(_ADMIN, Work.CHANGE),
    "userfold.v1.CredentialService.GetCurrentCredential": MethodRule(_ANY_TOKEN, Work.READ),
    "userfold.v1.CredentialService.ListCredentials": MethodRule(_ADMIN, Work.READ),
    "userfold.v1.CredentialService.CreateCredential": MethodRule(_ADMIN, Work.CHANGE),
    "userfold.v1.CredentialService.RotateCredential": MethodRule(_ADMIN, Work.CHANGE),
    "userfold.v1.CredentialService.RevokeCredential": MethodRule(_ADMIN, Work.CHANGE),
    "userfold.internal.v1.CredentialService.CheckCredential": MethodRule(need=None, work=Work.NONE),
    "userfold.internal.v1.RefusalReportService.ReportRefusals": MethodRule(need=None, work=Work.NONE),
}
"""The rule of each method, by its full name. The server starts only where the table has exactly the methods of its
services."""

MOVED: Final = frozenset({"/userfold.v1.UserService/ReportCampaigns"})
"""Paths at which gateways of version 0.1 call methods that have moved to another service."""


def require_rules(services: Iterable[ServiceDescriptor], rules: Mapping[str, MethodRule]) -> None:
    """Raise ValueError unless `rules` has exactly the methods of these services."""
    served = {method.full_name for service in services for method in service.methods}
    if served != rules.keys():
        raise ValueError(
            f"methods without a rule: {sorted(served - rules.keys())}, rules without a method: "
            f"{sorted(rules.keys() - served)}"
        )
