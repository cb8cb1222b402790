"""The table of what each method needs, held against the contract."""

import re
from pathlib import Path

import pytest

from server.accounts.scopes import COLLECTOR_SCOPES, NEEDS, Need, granted, require
from server.errors import ScopeMissing
from server.model import Application, CredentialKind, Scope

_PROTOS = Path(__file__).parents[3] / "protos/userfold"
_SERVICES = [_PROTOS / f"{name}_service.proto" for name in ("internal/v1/user_update", "v1/campaign", "v1/user")]


def test_every_method_needs_what_its_comment_says() -> None:
    promised = {}
    text = "".join(path.read_text() for path in _SERVICES)
    for comment, name in re.findall(r"((?:^  //.*\n)+)^  rpc (\w+)\(", text, re.MULTILINE):
        text = " ".join(line.strip(" /") for line in comment.splitlines())
        ((key, scope),) = re.findall(r"Needs (a collector key, or )?the scope `([a-z:]+)`", text)
        promised[name] = Need(Scope(scope), collector_key=bool(key))
    assert promised == NEEDS


@pytest.mark.parametrize("held", Scope)
@pytest.mark.parametrize("needed", [scope for scope in Scope if scope is not Scope.ADMIN])
def test_a_scope_lets_its_own_methods_be_called_and_admin_all(held: Scope, needed: Scope) -> None:
    application = Application("app", CredentialKind.MANAGEMENT, granted(frozenset({held})))
    if held in (needed, Scope.ADMIN):
        require(Need(needed), application)
    else:
        with pytest.raises(ScopeMissing) as missing:
            require(Need(needed), application)
        assert missing.value.scope is needed


def test_a_collector_key_sends_updates_and_nothing_else() -> None:
    application = Application("app", CredentialKind.COLLECTOR, COLLECTOR_SCOPES)
    allowed = set()
    for name, need in NEEDS.items():
        try:
            require(need, application)
            allowed.add(name)
        except ScopeMissing:
            pass
    assert allowed == {"UpdateUser", "BatchUpdateUsers", "StreamUpdateUsers", "StreamBatchUpdateUsers"}
