"""Applications, and what their credentials permit."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a credential permits. ADMIN includes all scopes, also those of later versions."""

    READ_USERS = "read:users"
    WRITE_USERS = "write:users"
    DELETE_USERS = "delete:users"
    READ_COMPANIES = "read:companies"
    WRITE_COMPANIES = "write:companies"
    DELETE_COMPANIES = "delete:companies"
    READ_CAMPAIGNS = "read:campaigns"
    READ_REFUSALS = "read:refusals"
    ADMIN = "admin"


class CredentialKind(StrEnum):
    """The kinds of credential: a collector key, which deployed clients send, and a management token."""

    COLLECTOR = "collector"
    MANAGEMENT = "management"


@dataclass(frozen=True, slots=True)
class Application:
    """One product that sends updates, and whose profiles they change.

    `kind`, `scopes` and `credential_id` are those of the credential of the call. With ADMIN, `scopes` has all of them.
    """

    application_id: str
    kind: CredentialKind
    scopes: frozenset[Scope]
    credential_id: str = ""
