"""Applications, and what their credentials permit."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a credential permits. ADMIN includes all scopes, also those of later versions."""

    READ_USERS = "read:users"
    WRITE_USERS = "write:users"
    DELETE_USERS = "delete:users"
    READ_CAMPAIGNS = "read:campaigns"
    ADMIN = "admin"


class CredentialKind(StrEnum):
    """The kinds of credential: a collector key, which deployed clients send, and a management token."""

    COLLECTOR = "collector"
    MANAGEMENT = "management"


@dataclass(frozen=True, slots=True)
class Application:
    """One product that sends updates, and whose profiles they change.

    `kind` and `scopes` are those of the credential of the call. With ADMIN, all scopes are in `scopes`.
    """

    application_id: str
    kind: CredentialKind
    scopes: frozenset[Scope]
