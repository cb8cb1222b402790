"""A user with the company, in one answer: which company it is, and when there is none."""

from typing import Any

import pytest
from pymongo.database import Database

from server.accounts.credentials import generate_management_token
from server.model import CredentialKind, Scope
from tests.support.applications import grant
from tests.support.stack import COMPANIES, Api, Profiles


@pytest.fixture
def companies(api: Api) -> Profiles:
    """The companies of a new application."""
    return Profiles(api, COMPANIES)


def _user(api: Api, user_id: str = "u") -> Any:
    response = api.client.get(f"/v1/users/{user_id}", params={"include_company": "true"}, headers=api.reader)
    assert response.status_code == 200, response.text
    return response.json()


def _company(api: Api, user_id: str = "u") -> tuple[Any, Any]:
    user = _user(api, user_id)
    return user.get("company", {}).get("company_id"), user.get("company_match")


def test_the_company_of_the_id_comes_before_that_of_the_domain(api: Api, companies: Profiles) -> None:
    companies.stored({"metadata": {"plan": "free"}}, key="by id")
    companies.stored({"company_domain": "acme.com"}, key="by domain")
    api.stored({"company_id": "by id", "metadata": {"email": "john@acme.com"}})
    user = _user(api)
    assert user["company"] == companies.get("by id").json()
    assert user["company_match"] == "COMPANY_ID"
    assert user.keys() - api.get("u").json().keys() == {"company", "company_match"}
    # A user that was read is sent back without the company.
    assert api.update(user).json() == {}


def test_a_company_id_of_no_company_leads_to_none(api: Api, companies: Profiles) -> None:
    companies.stored({"company_domain": "acme.com"}, key="by domain")
    api.stored({"company_id": "unknown", "metadata": {"email": "john@acme.com"}})
    assert _company(api) == (None, None)
    # Either may be stored first.
    companies.stored({}, key="unknown")
    assert _company(api) == ("unknown", "COMPANY_ID")


@pytest.mark.parametrize("domain", ["acme.com", "ACME.com", "bücher.de", "xn--bcher-kva.de"])
def test_the_only_company_with_the_domain_of_a_work_address(api: Api, companies: Profiles, domain: str) -> None:
    companies.stored({"company_domain": domain}, key="c")
    email = "john@mail.acme.com" if "acme" in domain.lower() else "john@bücher.de"
    api.stored({"metadata": {"email": email}})
    assert _company(api) == ("c", "COMPANY_DOMAIN")
    companies.stored({"company_domain": domain.upper()}, key="d")
    assert _company(api) == (None, None)
    companies.stored({"clear_fields": ["company_domain"]}, key="c")
    assert _company(api) == ("d", "COMPANY_DOMAIN")


@pytest.mark.parametrize("email", ["john@gmail.com", "no address", None])
def test_no_company_without_a_work_address(api: Api, companies: Profiles, email: str | None) -> None:
    companies.stored({"company_domain": "gmail.com"}, key="c")
    api.stored({"metadata": {"email": email}})
    assert _company(api) == (None, None)


def test_a_company_of_another_application_is_not_found(
    api: Api, companies: Profiles, database: Database[dict[str, Any]]
) -> None:
    companies.stored({"company_domain": "acme.com"}, key="c")
    database.companies.update_many(
        {"application_id": api.application.application_id}, {"$set": {"application_id": "another"}}
    )
    api.stored({"metadata": {"email": "john@acme.com"}})
    assert _company(api) == (None, None)
    database.companies.delete_many({"application_id": "another"})


def _batch(api: Api, *user_ids: str, **asked: Any) -> Any:
    body = {"user_ids": user_ids, "include_company": True} | asked
    response = api.client.post("/v1/users:batchGet", json=body, headers=api.reader)
    assert response.status_code == 200, response.text
    return response.json()["results"]


def test_a_batch_of_reads_returns_each_user_as_get_does(api: Api, companies: Profiles) -> None:
    companies.stored({"company_domain": "acme.com", "metadata": {"plan": "free"}}, key="a")
    api.stored({"company_id": "a", "metadata": {"k": 1}}, user_id="by id")
    api.stored({"metadata": {"email": "x@acme.com", "k": 2}}, user_id="by domain")
    api.stored({"company_id": "unknown"}, user_id="none")
    ids = ["by domain", "nobody", "by id", "", "none", "by domain"]
    results = _batch(api, *ids)
    assert [each.get("error", {}).get("status") for each in results] == [
        *(None, "NOT_FOUND", None, "INVALID_ARGUMENT", None, None)
    ]
    read = {user_id: each["response"] for user_id, each in zip(ids, results, strict=True) if "response" in each}
    for user_id, response in read.items():
        beside = {name: value for name, value in response.items() if name != "user"}
        assert response["user"] | beside == _user(api, user_id)
    assert [each.get("company_match") for each in read.values()] == ["COMPANY_DOMAIN", "COMPANY_ID", None]
    # The fields are those of the user: without those that lead to the company, it is found and is whole.
    masked = _batch(api, "by domain", "by id", fields=["metadata.k"])
    assert [each["response"] for each in masked] == [
        {**read["by domain"], "user": {"user_id": "by domain", "metadata": {"k": 2}}},
        {**read["by id"], "user": {"user_id": "by id", "metadata": {"k": 1}}},
    ]
    plain = _batch(api, "by id", include_company=False)
    assert [each["response"].keys() for each in plain] == [{"user"}]


def test_a_batch_of_reads_ends_before_the_first_user_whose_company_does_not_fit(api: Api, companies: Profiles) -> None:
    links = dict[str, str]()
    for number in range(10):
        # Companies of their own are too large to be read together, and one of all is too large to be repeated.
        for company_id in (f"c{number}", "shared")[: 1 if number else 2]:
            companies.stored({"metadata": {"text": "x" * 1_000_000}}, key=company_id)
        links |= {f"own{number}": f"c{number}", f"same{number}": "shared"}
    assert api.batch([{"user_id": key, "company_id": each} for key, each in links.items()]).status_code == 201
    for name in ("own", "same"):
        left, seen = [f"{name}{number}" for number in range(10)], list[int]()
        while left:
            results = _batch(api, *left)
            read = [each["response"] for each in results if "response" in each]
            assert [each["company"]["company_id"] for each in read] == [links[each["user"]["user_id"]] for each in read]
            assert all("error" in each for each in results[len(read) :])
            assert {each["error"]["details"][0]["reason"] for each in results[len(read) :]} <= {"RESPONSE_TOO_LARGE"}
            left, seen = left[len(read) :], [*seen, len(read)]
        assert seen == [8, 2]


def test_a_look_up_has_each_company_once_with_its_users(api: Api, companies: Profiles) -> None:
    companies.batch([{"company_id": "a", "company_domain": "acme.com"}, {"company_id": "b", "company_domain": "b.de"}])
    users: list[dict[str, Any]] = [
        {"user_id": "1", "company_id": "a"},
        {"user_id": "2", "metadata": {"email": "x@acme.com"}},
        {"user_id": "3", "metadata": {"email": "x@b.de"}},
        {"user_id": "4", "company_id": "unknown"},
        {"user_id": "5"},
    ]
    assert api.batch([user | {"session_token": "shared"} for user in users]).status_code == 201
    request = {"session_token": "shared", "include_company": True}
    seen: dict[str, Any] = {}
    token = ""
    while not seen or token:
        page = api.client.post(
            "/v1/users:lookup", json=request | {"page_size": 3, "page_token": token}, headers=api.reader
        ).json()
        ids = [user["user_id"] for user in page["users"]]
        for entry in page["companies"]:
            assert entry["company"] == companies.get(entry["company"]["company_id"]).json()
            assert [user["user_id"] for user in entry["users"] if user["user_id"] in ids]
            seen |= {user["user_id"]: (entry["company"]["company_id"], user["match"]) for user in entry["users"]}
        assert len({entry["company"]["company_id"] for entry in page["companies"]}) == len(page["companies"])
        token = page["next_page_token"]
    assert seen == {"1": ("a", "COMPANY_ID"), "2": ("a", "COMPANY_DOMAIN"), "3": ("b", "COMPANY_DOMAIN")}
    plain = api.client.post("/v1/users:lookup", json={"session_token": "shared"}, headers=api.reader).json()
    assert plain["companies"] == []


@pytest.mark.parametrize(("company_bytes", "user_bytes"), [(1_000_000, 1), (600_000, 600_000)])
def test_a_page_ends_before_the_first_user_whose_company_does_not_fit(
    api: Api, companies: Profiles, company_bytes: int, user_bytes: int
) -> None:
    for number in range(10):
        companies.stored({"metadata": {"text": "x" * company_bytes}}, key=f"c{number}")
        links = {"company_id": f"c{number}", "session_token": "s"}
        api.stored(links | {"metadata": {"text": "x" * user_bytes}}, user_id=f"u{number}")
    pages, token, seen = 0, "", []
    while not pages or token:
        request = {"session_token": "s", "include_company": True, "page_token": token}
        page = api.client.post("/v1/users:lookup", json=request, headers=api.reader).json()
        assert len(page["users"]) == len(page["companies"]) < 9
        seen += [user["user_id"] for user in page["users"]]
        pages, token = pages + 1, page["next_page_token"]
    assert sorted(seen) == [f"u{number}" for number in range(10)]
    assert pages == 2


@pytest.mark.parametrize("scopes", [(Scope.READ_USERS,), (Scope.READ_USERS, Scope.READ_COMPANIES)])
def test_it_takes_the_scope_of_companies_too(
    api: Api, companies: Profiles, database: Database[dict[str, Any]], scopes: tuple[Scope, ...]
) -> None:
    companies.stored({}, key="c")
    api.stored({"company_id": "c", "session_token": "t"})
    secret = generate_management_token()
    grant(database, api.application, CredentialKind.MANAGEMENT, secret, scopes)
    headers = {"Authorization": f"Bearer {secret}"}
    get = api.client.get("/v1/users/u", params={"include_company": "true"}, headers=headers)
    look_up = api.client.post("/v1/users:lookup", json={"session_token": "t", "include_company": True}, headers=headers)
    batch = api.client.post("/v1/users:batchGet", json={"user_ids": ["u"], "include_company": True}, headers=headers)
    for response in (get, batch, look_up):
        if len(scopes) == 1:
            assert response.status_code == 403
            assert response.json()["details"][0]["metadata"] == {"scope": "read:companies"}
        else:
            assert response.status_code == 200
