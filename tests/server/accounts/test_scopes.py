"""Scopes: what they allow."""

import pytest

from server.accounts.scopes import Need, granted, require
from server.errors import ScopeMissing
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
