"""What differs in the plan of a company. All else is as for users, in test_update."""

from typing import Any

import pytest

from server.errors import InvalidRequest
from server.model import COMPANIES, REMOVE, USERS, CompanyUpdate, UserUpdate
from server.users.derive import domain_key
from server.users.ids import id_of
from server.users.update import plan_update

_NOW = 1_767_323_045_678_901_234


def test_a_plan_of_a_company_differs_in_its_own_fields_alone() -> None:
    fields: dict[str, Any] = {
        "campaign": {"utm_source": "google"},
        "metadata": {"a": 1, "email": "info@acme.com"},
        "ip_address": "1.2.3.4",
        "user_agent_string": "UA",
        "modified_time": 5,
    }
    user = plan_update("app", UserUpdate("k", **fields), _NOW).write
    company = plan_update("app", CompanyUpdate("k", company_domain=" Bücher.DE. ", **fields), _NOW).write
    assert (user.kind, company.kind) == (USERS, COMPANIES)
    assert company.profile_id == id_of(COMPANIES, "app", "k") != user.profile_id
    assert company.on_insert == {
        **{name: value for name, value in user.on_insert.items() if name != "user_id"},
        "company_id": "k",
    }
    of_email = {"avatar_url", "email_domain", "company_domain", "email_key"}
    assert company.patch == {
        **{name: value for name, value in user.patch.items() if name not in of_email},
        "company_domain": " Bücher.DE. ",
        "domain_key": "xn--bcher-kva.de",
    }


def test_a_company_has_no_session_tokens() -> None:
    planned = plan_update("app", CompanyUpdate("c", session_token="x" * 10_000), _NOW)
    assert planned.write.aliases == ()
    assert [(each.field, each.reason) for each in planned.warnings] == [("session_token", "IGNORED")]
    assert "x" * 10 not in repr(planned)


@pytest.mark.parametrize(
    ("fields", "violation"),
    [
        ({}, ("company_id", "REQUIRED")),
        ({"company_id": "x" * 513}, ("company_id", "TOO_LONG")),
        ({"company_id": "c", "company_domain": "x" * 513}, ("company_domain", "TOO_LONG")),
        ({"company_id": "c", "clear_fields": ["company_id"]}, ("clear_fields[0]", "NOT_CLEARABLE")),
        ({"company_id": "c", "clear_fields": ["anonymous_id"]}, ("clear_fields[0]", "NOT_CLEARABLE")),
    ],
)
def test_what_is_refused_of_a_company(fields: dict[str, Any], violation: tuple[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        plan_update("app", CompanyUpdate(**fields), _NOW)
    assert [(each.field, each.reason) for each in refusal.value.violations] == [violation]


def test_the_domain_of_a_company_is_cleared_with_its_key() -> None:
    write = plan_update("app", CompanyUpdate("c", clear_fields=["company_domain"]), _NOW).write
    assert write.patch.keys() >= {"company_domain", "domain_key"}
    assert {write.patch["company_domain"], write.patch["domain_key"]} == {REMOVE}
    planned = plan_update("app", CompanyUpdate("c", company_domain=""), _NOW)
    assert [(each.field, each.reason) for each in planned.warnings] == [("company_domain", "IGNORED")]
    assert "company_domain" not in planned.write.patch


@pytest.mark.parametrize(
    ("domain", "key"),
    [
        ("acme.com", "acme.com"),
        ("ACME.com", "acme.com"),
        ("müller.de", "xn--mller-kva.de"),
        ("https://Acme.com/", "https://acme.com/"),
        ("x" * 500, "x" * 500),
    ],
)
def test_a_domain_is_compared_in_lower_case_and_ascii(domain: str, key: str) -> None:
    assert domain_key(domain) == key
