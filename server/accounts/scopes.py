"""Scopes: what a method needs of a credential, and whether a credential has it."""

from dataclasses import dataclass
from typing import Final

from server.errors import ManagementTokenRequired, ScopeMissing
from server.model import Application, CredentialKind, Scope


@dataclass(frozen=True, slots=True)
class Need:
    """A management token with `scope` or, if `collector_key`, a collector key. `rpc/methods` lists them.

    Without a `scope`, any management token will do.
    """

    scope: Scope | None
    collector_key: bool = False


COLLECTOR_SCOPES: Final = frozenset({Scope.WRITE_USERS, Scope.WRITE_COMPANIES})
"""The scopes of a collector key, whatever an earlier version stored. It can use them only in methods that accept such
a key."""


def require(need: Need, application: Application) -> None:
    """Raise ScopeMissing, or ManagementTokenRequired, unless the credential of the call, whose kind and scopes
    `application` has, meets the need."""
    is_wrong_kind = application.kind is CredentialKind.COLLECTOR and not need.collector_key
    if need.scope is None:
        if is_wrong_kind:
            raise ManagementTokenRequired
    elif is_wrong_kind or need.scope not in application.scopes:
        raise ScopeMissing(need.scope)


def granted(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """All that these scopes allow: every scope where ADMIN is among them."""
    return frozenset(Scope) if Scope.ADMIN in scopes else scopes
