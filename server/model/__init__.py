"""The plain values that all packages of the server share."""

from server.model.accounts import Application, CredentialKind, Scope
from server.model.changes import AliasRemoval, Erasure
from server.model.profiles import Fetched, Profile, StoredUser
from server.model.reads import (
    CampaignGroup,
    CampaignReport,
    FetchedGroup,
    ListRequest,
    Lookup,
    LookupRequest,
    ReportRequest,
)
from server.model.updates import (
    REMOVE,
    STORED,
    SUPPRESSED,
    DotPaths,
    JsonObject,
    Patch,
    PlannedUpdate,
    ProfileWrite,
    Remove,
    Stored,
    Suppressed,
    UpdateWarning,
    UserUpdate,
    Whole,
)

__all__ = [
    "REMOVE",
    "STORED",
    "SUPPRESSED",
    "AliasRemoval",
    "Application",
    "CampaignGroup",
    "CampaignReport",
    "CredentialKind",
    "DotPaths",
    "Erasure",
    "Fetched",
    "FetchedGroup",
    "JsonObject",
    "ListRequest",
    "Lookup",
    "LookupRequest",
    "Patch",
    "PlannedUpdate",
    "Profile",
    "ProfileWrite",
    "Remove",
    "ReportRequest",
    "Scope",
    "Stored",
    "StoredUser",
    "Suppressed",
    "UpdateWarning",
    "UserUpdate",
    "Whole",
]
