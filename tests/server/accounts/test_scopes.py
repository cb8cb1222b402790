"""Scopes: what they allow."""

import pytest

from server.accounts.scopes import Need, granted, require
from server.errors import ManagementTokenRequired, ScopeMissing
from server.model import Application, CredentialKind, Scope


@pytest.mark.parametrize("held", Scope)
@pytest.mark.parametrize("needed", [scope for scope in Scope if scope is not Scope.ADMIN])
def test_a_scope_meets_the_need_for_itself_and_admin_meets_every_need(held: Scope, needed: Scope) -> None:
    application = Application("app", CredentialKind.MANAGEMENT, granted(frozenset({held})))
    if held in (needed, Scope.ADMIN):
        require(Need(needed), application)
    else:
        with pytest.raises(ScopeMissing) as missing:
            require(Need(needed), application)
        assert missing.value.scope is needed


@pytest.mark.parametrize("scopes", [frozenset(), frozenset({Scope.READ_USERS}), frozenset({Scope.WRITE_USERS})])
def test_any_management_token_meets_a_need_without_a_scope_and_no_collector_key_does(scopes: frozenset[Scope]) -> None:
    require(Need(None), Application("app", CredentialKind.MANAGEMENT, scopes))
    with pytest.raises(ManagementTokenRequired):
        require(Need(None), Application("app", CredentialKind.COLLECTOR, scopes))
