"""The limits of fields as parts of their schemas. tests/api/test_openapi.py sends values at each, and beyond it."""

from collections.abc import Mapping
from typing import Any, Final

from server import limits
from server.accounts.credentials import KIND_NAMES
from server.model import Scope

_CLEARED: Final = (
    *("anonymous_id", "campaign", "company_id", "initial_campaign", "ip_address", "latest_campaign"),
    *("observed_ip_address", "user_agent_string"),
)
_CLEARED_OF_COMPANIES: Final = (
    *("campaign", "company_domain", "initial_campaign", "ip_address", "latest_campaign", "observed_ip_address"),
    "user_agent_string",
)
_INT32: Final = 2**31 - 1


def _text(longest: int, *, shortest: int = 0) -> Mapping[str, Any]:
    # In characters, of which each has a byte or more.
    return {"maxLength": longest, **({"minLength": shortest} if shortest else {})}


_ID: Final = _text(limits.ID_BYTES, shortest=1)
_LIST_OF_FIELDS: Final = {"maxItems": limits.PATHS}
_FILTER: Final = _text(limits.FILTER_BYTES)
_PAGE: Final = {"minimum": 0, "maximum": _INT32, "default": limits.PAGE_USERS_BY_DEFAULT}
_PAGE_TOKEN: Final = _text(limits.PAGE_TOKEN_BYTES)
_ITEMS: Final = {"maxItems": limits.BATCH_UPDATES}
_NAME: Final = _text(limits.NAME_CHARACTERS, shortest=1)
_DAYS: Final = {"minimum": 0, "maximum": limits.SUPPRESS_DAYS}

CONSTRAINTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "UserUpdate.user_id": _text(limits.ID_BYTES),
    "UserUpdate.company_id": _text(limits.ID_BYTES),
    "UserUpdate.anonymous_id": _text(limits.ID_BYTES),
    "UserUpdate.ip_address": _text(limits.IP_ADDRESS_BYTES),
    "UserUpdate.session_token": _text(limits.TEXT_BYTES),
    "UserUpdate.user_agent_string": _text(limits.TEXT_BYTES),
    "UserUpdate.etag": _text(limits.ETAG_BYTES),
    "UserUpdate.clear_fields": {"maxItems": limits.CLEAR_FIELDS, "items": {"enum": [*_CLEARED]}},
    "UserUpdate.metadata_operations": {"maxItems": limits.METADATA_OPERATIONS},
    "MetadataOperation.path": {"minItems": 1, "maxItems": limits.METADATA_LEVELS},
    **{f"MetadataOperation.{name}": {"maxItems": limits.OPERATION_VALUES} for name in ("union", "remove")},
    "CompanyUpdate.company_id": _text(limits.ID_BYTES),
    "CompanyUpdate.company_domain": _text(limits.ID_BYTES),
    "CompanyUpdate.ip_address": _text(limits.IP_ADDRESS_BYTES),
    "CompanyUpdate.user_agent_string": _text(limits.TEXT_BYTES),
    "CompanyUpdate.etag": _text(limits.ETAG_BYTES),
    "CompanyUpdate.clear_fields": {"maxItems": limits.CLEAR_FIELDS, "items": {"enum": [*_CLEARED_OF_COMPANIES]}},
    "CompanyUpdate.metadata_operations": {"maxItems": limits.METADATA_OPERATIONS},
    **{f"Campaign.{name}": _text(limits.TEXT_BYTES) for name in ("utm_source", "utm_medium", "utm_campaign")},
    **{f"Campaign.{name}": _text(limits.TEXT_BYTES) for name in ("utm_term", "utm_content", "referrer")},
    **{f"Campaign.{name}": _text(limits.TEXT_BYTES) for name in ("referring_domain", "gclid")},
    "GetUserRequest.user_id": _ID,
    "ExportUserRequest.user_id": _ID,
    "DeleteUserRequest.user_id": _ID,
    "DeleteUserRequest.suppress_days": _DAYS,
    "RemoveAliasRequest.user_id": _ID,
    "RemoveAliasRequest.session_token": _text(limits.TEXT_BYTES, shortest=1),
    "MergeUsersRequest.user_id": _ID,
    "MergeUsersRequest.source_user_id": _ID,
    "BatchGetUsersRequest.user_ids": _ITEMS,
    "BatchGetUsersRequest.fields": _LIST_OF_FIELDS,
    "BatchRemoveAliasesRequest.requests": _ITEMS,
    "BatchDeleteUsersRequest.user_ids": _ITEMS,
    "BatchDeleteUsersRequest.suppress_days": _DAYS,
    "BatchExportUsersRequest.user_ids": _ITEMS,
    "LookupUsersRequest.session_token": _text(limits.TEXT_BYTES, shortest=1),
    "LookupUsersRequest.email": _text(limits.TEXT_BYTES, shortest=1),
    "LookupUsersRequest.company_id": _text(limits.ID_BYTES, shortest=1),
    "LookupUsersRequest.anonymous_id": _text(limits.ID_BYTES, shortest=1),
    "LookupUsersRequest.page_size": _PAGE,
    "LookupUsersRequest.page_token": _PAGE_TOKEN,
    "SuggestUsersRequest.text": _text(limits.ID_BYTES, shortest=1),
    "SuggestUsersRequest.page_size": {**_PAGE, "default": limits.SUGGESTIONS_BY_DEFAULT},
    "ListSuppressionsRequest.user_id": _text(limits.ID_BYTES),
    "ListSuppressionsRequest.page_size": _PAGE,
    "ListSuppressionsRequest.page_token": _PAGE_TOKEN,
    "LiftSuppressionRequest.user_id": _ID,
    "RenameApplicationRequest.display_name": _NAME,
    "CreateApplicationRequest.display_name": _NAME,
    "CreateCredentialRequest.display_name": _NAME,
    "CreateCredentialRequest.kind": {"enum": [*KIND_NAMES.values()]},
    "CreateCredentialRequest.scopes": {"maxItems": len(Scope), "items": {"enum": [*Scope]}},
    "RotateCredentialRequest.credential_id": _ID,
    "RotateCredentialRequest.overlap_hours": {
        "minimum": 0,
        "maximum": limits.OVERLAP_HOURS,
        "default": limits.OVERLAP_HOURS_BY_DEFAULT,
    },
    "RevokeCredentialRequest.credential_id": _ID,
    "GetVisitorRequest.anonymous_id": _ID,
    "ExportVisitorRequest.anonymous_id": _ID,
    "DeleteVisitorRequest.anonymous_id": _ID,
    "ListVisitorsRequest.filter": _FILTER,
    "ListVisitorsRequest.order_by": _text(limits.ORDER_BY_BYTES),
    "ListVisitorsRequest.page_size": _PAGE,
    "ListVisitorsRequest.page_token": _PAGE_TOKEN,
    "ListVisitorsRequest.fields": _LIST_OF_FIELDS,
    "CountVisitorsRequest.filter": _FILTER,
    "ListUsersRequest.filter": _FILTER,
    "ListUsersRequest.order_by": _text(limits.ORDER_BY_BYTES),
    "ListUsersRequest.page_size": _PAGE,
    "ListUsersRequest.page_token": _PAGE_TOKEN,
    "ListUsersRequest.fields": _LIST_OF_FIELDS,
    "CountUsersRequest.filter": _FILTER,
    "GetCompanyRequest.company_id": _ID,
    "ExportCompanyRequest.company_id": _ID,
    "DeleteCompanyRequest.company_id": _ID,
    "ListCompaniesRequest.filter": _FILTER,
    "ListCompaniesRequest.order_by": _text(limits.ORDER_BY_BYTES),
    "ListCompaniesRequest.page_size": _PAGE,
    "ListCompaniesRequest.page_token": _PAGE_TOKEN,
    "ListCompaniesRequest.fields": _LIST_OF_FIELDS,
    "CountCompaniesRequest.filter": _FILTER,
    "ReportCampaignsRequest.group_by": {"maxItems": limits.REPORT_FIELDS},
    "ReportCampaignsRequest.value_path": _text(limits.PATHS_BYTES),
    "ReportCampaignsRequest.filter": _FILTER,
    "ReportCampaignsRequest.max_groups": {
        "minimum": 0,
        "maximum": limits.REPORT_GROUPS,
        "default": limits.REPORT_GROUPS_BY_DEFAULT,
    },
}
"""Parts of schemas by the full name of the field, without the package."""

UNLIMITED: Final = frozenset(
    {
        *("DeleteApplicationRequest.application_id", "CompanyUpdate.session_token"),
        *("UserUpdate.metadata", "UserUpdate.metadata_json", "CompanyUpdate.metadata", "CompanyUpdate.metadata_json"),
    }
)
"""Strings and lists of requests whose limits no schema can say, or that are refused whatever they are."""
