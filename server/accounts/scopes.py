"""Which credential each method takes: the one place that says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from server.errors import ScopeMissing
from server.model import Application, CredentialKind, Scope


@dataclass(frozen=True, slots=True)
class Need:
    """What a method asks of a credential: a management token with `scope`, or, where `collector_key`, such a key."""

    scope: Scope
    collector_key: bool = False


_FOLD: Final = Need(Scope.WRITE_USERS, collector_key=True)

NEEDS: Final[Mapping[str, Need]] = {
    "UpdateUser": _FOLD,
    "BatchUpdateUsers": _FOLD,
    "StreamUpdateUsers": _FOLD,
    "StreamBatchUpdateUsers": _FOLD,
    "RemoveAlias": Need(Scope.WRITE_USERS),
    "BatchRemoveAliases": Need(Scope.WRITE_USERS),
    "GetUser": Need(Scope.READ_USERS),
    "BatchGetUsers": Need(Scope.READ_USERS),
    "LookupUsers": Need(Scope.READ_USERS),
    "ListUsers": Need(Scope.READ_USERS),
    "CountUsers": Need(Scope.READ_USERS),
    "ExportUser": Need(Scope.READ_USERS),
    "BatchExportUsers": Need(Scope.READ_USERS),
    "DeleteUser": Need(Scope.DELETE_USERS),
    "BatchDeleteUsers": Need(Scope.DELETE_USERS),
    "ReportCampaigns": Need(Scope.READ_CAMPAIGNS),
}
"""By the name of the method. The server does not start where a method is neither here nor in ANY_CREDENTIAL."""

ANY_CREDENTIAL: Final = frozenset({"CheckCredential"})
"""Methods that take every credential that is known: they answer what it is, and nothing that is stored."""

COLLECTOR_SCOPES: Final = frozenset({Scope.WRITE_USERS})
"""What a collector key is for, within the methods that take one."""


def require(need: Need, application: Application) -> None:
    """Raise ScopeMissing unless the credential that the application was known by is what a method needs."""
    is_wrong_kind = application.kind is CredentialKind.COLLECTOR and not need.collector_key
    if is_wrong_kind or need.scope not in application.scopes:
        raise ScopeMissing(need.scope)


def granted(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """The scopes that a credential has which was given these: all, where ADMIN is among them."""
    return frozenset(Scope) if Scope.ADMIN in scopes else scopes
