"""Companies over HTTP: what differs from users. All else is in the tests of merging, with both."""

from typing import Any

import pytest
from pymongo.database import Database

from server.accounts.credentials import generate_collector_key
from server.model import CredentialKind, Scope
from tests.support.applications import grant
from tests.support.stack import COMPANIES, Api, Profiles, percent_encoded

_ALWAYS = {"company_id", "created_time", "modified_time", "stored_time", "etag", "metadata"}


@pytest.fixture
def companies(api: Api) -> Profiles:
    """The companies of a new application."""
    return Profiles(api, COMPANIES)


def _read(api: Api, path: str, **params: Any) -> Any:
    response = api.client.get(path, params=params, headers=api.reader)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_company_has_its_own_fields(companies: Profiles) -> None:
    company = companies.stored(
        {
            "company_domain": "Acme.com",
            "campaign": {"gclid": "g"},
            "ip_address": "::1",
            "metadata": {"email": "i@acme.com"},
        }
    )
    assert company.keys() == _ALWAYS | {
        *("company_domain", "campaign", "initial_campaign", "initial_campaign_time", "ip_address"),
        *("latest_campaign", "latest_campaign_time"),
    }
    assert (company["company_id"], company["company_domain"]) == ("p", "Acme.com")
    empty = companies.stored({"clear_fields": ["observed_ip_address"]}, key="another")
    assert empty.keys() == _ALWAYS


def test_a_session_token_is_ignored_with_a_warning(companies: Profiles, database: Database[dict[str, Any]]) -> None:
    response = companies.update({"company_id": 67890, "session_token": "never stored", "plan": 1})
    assert response.status_code == 201
    warnings = [(each["field"], each["reason"]) for each in response.json()["warnings"]]
    assert warnings == [("plan", "UNKNOWN_FIELD"), ("session_token", "IGNORED")]
    assert companies.get("67890").status_code == 200
    assert "never stored" not in str([*database.companies.find()])


def test_a_collector_key_of_an_earlier_version_sends_companies(api: Api, database: Database[dict[str, Any]]) -> None:
    key = generate_collector_key()
    grant(database, api.application, CredentialKind.COLLECTOR, key, [Scope.WRITE_USERS])
    sent = api.client.post("/v1/companies", json={"company_id": "c"}, headers={"X-Moesif-Application-Id": key})
    assert sent.status_code == 201, sent.text


@pytest.mark.parametrize("exact", [{}, {"metadata": {"empty": {}}}], ids=["dotted", "exact"])
def test_fields_of_a_company_are_cleared(companies: Profiles, exact: dict[str, Any]) -> None:
    names = ["campaign", "company_domain", "initial_campaign", "latest_campaign", "ip_address", "user_agent_string"]
    names.append("observed_ip_address")
    full = {
        "company_domain": "acme.com",
        "campaign": {"gclid": "g"},
        "ip_address": "::1",
        "user_agent_string": "curl/8",
    }
    company = companies.stored(full, {"clear_fields": names} | exact)
    assert company.keys() == _ALWAYS
    response = companies.update({"company_id": "p", "clear_fields": ["anonymous_id"]})
    assert response.status_code == 400


def test_a_company_that_was_read_can_be_sent_back(companies: Profiles) -> None:
    before = companies.stored({"company_domain": "acme.com", "campaign": {"gclid": "g"}, "metadata": {"a": 1}})
    response = companies.update(before)
    assert (response.status_code, response.json()) == (201, {})
    assert companies.update(before | {"metadata": {"a": 2}}).json() == {}
    assert companies.update(before).status_code == 409
    assert companies.get("p").json()["metadata"] == {"a": 2}


def test_a_dry_run_stores_nothing(api: Api, companies: Profiles) -> None:
    update = {"company_id": "p", "company_domain": "acme.com"}
    headers = api.writer | api.reader
    response = api.client.post("/v1/companies?validate_only=true", json=update, headers=headers).json()
    assert response["company"]["company_domain"] == "acme.com"
    assert "company_domain" in response["changed_paths"]
    batch = api.client.post("/v1/companies/batch?validate_only=true", json=[update], headers=headers).json()
    assert [each["company"]["company_id"] for each in batch["previews"]] == ["p"]
    assert companies.get("p").status_code == 404


def test_lists_and_counts_are_of_companies_alone(api: Api, companies: Profiles) -> None:
    assert api.update({"user_id": "u", "company_id": "b"}).status_code == 201
    updates = [{"company_id": key, "metadata": {"n": place}} for place, key in enumerate("cab")]
    assert companies.batch(updates).json() == {"saved_count": 3}
    first = _read(api, "/v1/companies", order_by="company_id", page_size=2, fields="metadata.n")
    assert first["companies"] == [
        {"company_id": "a", "metadata": {"n": 1}},
        {"company_id": "b", "metadata": {"n": 2}},
    ]
    token = first["next_page_token"]
    last = _read(api, "/v1/companies", order_by="company_id", page_size=2, page_token=token)
    assert ([each["company_id"] for each in last["companies"]], last["next_page_token"]) == (["c"], "")
    assert _read(api, "/v1/companies:count") == {"count": 3}
    assert _read(api, "/v1/companies:count", filter='company_id = "b" OR metadata.n = 0') == {"count": 2}
    for path, params in (
        ("/v1/companies", {"filter": "user_id = u"}),
        ("/v1/companies", {"fields": "alias_count"}),
        ("/v1/companies", {"order_by": "user_id"}),
        ("/v1/users", {"page_token": token, "order_by": "company_id"}),
        ("/v1/users", {"page_token": _read(api, "/v1/companies", page_size=1)["next_page_token"]}),
    ):
        assert api.client.get(path, params=params, headers=api.reader).status_code == 400, (path, params)


@pytest.mark.parametrize("company_id", ["a/b", "a:b", "%2F", "é", "x" * 512])
def test_any_id_is_read_exported_and_erased_and_its_users_stay(api: Api, companies: Profiles, company_id: str) -> None:
    assert api.update({"user_id": "u", "company_id": company_id}).status_code == 201
    companies.stored({"metadata": {"a": 1}}, key=company_id)
    path = f"/v1/companies/{percent_encoded(company_id)}"
    exported = _read(api, f"{path}:export")
    assert exported == {"company": companies.get(company_id).json()}
    would = api.client.delete(path, params={"validate_only": "true"}, headers=api.reader)
    assert would.json() == {"deleted": True}
    assert companies.get(company_id).status_code == 200
    deleted = [api.client.delete(path, headers=api.reader).json() for _ in range(2)]
    assert deleted == [{"deleted": True}, {"deleted": False}]
    missing = companies.get(company_id)
    assert (missing.status_code, missing.json()["details"][0]["reason"]) == (404, "COMPANY_NOT_FOUND")
    assert api.client.get(f"{path}:export", headers=api.reader).status_code == 404
    assert api.get("u").json()["company_id"] == company_id
    assert companies.stored({}, key=company_id)["metadata"] == {}


@pytest.mark.parametrize(
    ("update", "violation"),
    [
        ({}, ("company_id", "REQUIRED")),
        ({"company_id": ""}, ("company_id", "REQUIRED")),
        ({"company_id": "x" * 513}, ("company_id", "TOO_LONG")),
        ({"company_id": "c", "company_domain": []}, ("company_domain", "WRONG_TYPE")),
        ({"company_id": "c", "metadata": {"email": []}}, ("metadata.email", "WRONG_TYPE")),
    ],
)
def test_an_update_that_breaks_a_rule_is_refused(
    companies: Profiles, update: dict[str, Any], violation: tuple[str, str]
) -> None:
    response = companies.update(update)
    assert response.status_code == 400
    (refused,) = response.json()["details"][1]["field_violations"]
    assert (refused["field"], refused["reason"]) == violation
    batch = companies.batch([{"company_id": "ok"}, update]).json()
    assert (batch["saved_count"], batch["refused"][0]["index"]) == (1, 1)
