"""`userfold companies`."""

import json

import pytest

from tests.cli.conftest import Userfold
from tests.support.stack import COMPANIES, Api, Profiles


@pytest.fixture
def companies(api: Api) -> None:
    """Three companies and a user."""
    updates = [{"company_id": each, "metadata": {"plan": f"plan of {each}"}} for each in ("a", "b", "c")]
    assert Profiles(api, COMPANIES).batch(updates).status_code == 201
    assert api.update({"user_id": "u", "company_id": "a"}).status_code == 201


@pytest.mark.usefixtures("companies")
def test_companies_are_listed_page_by_page(userfold: Userfold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.listings.PAGE", 1)
    heading, *lines = userfold("companies", "list", "--fields", "metadata.plan").stdout.splitlines()
    assert heading.split("  ")[0] == "COMPANY_ID"
    assert sorted(line.split(maxsplit=1)[1] for line in lines) == ["plan of a", "plan of b", "plan of c"]
    run = userfold("companies", "list", "--limit", "2", "--order-by", "company_id desc", "--json")
    assert [json.loads(line)["company_id"] for line in run.stdout.splitlines()] == ["c", "b"]
    assert "There are more companies" in run.stderr


@pytest.mark.usefixtures("companies")
def test_a_company_is_counted_read_exported_and_erased(userfold: Userfold) -> None:
    assert userfold("companies", "count").stdout == "3\n"
    assert json.loads(userfold("companies", "count", "--filter", 'company_id = "a"', "--json").stdout) == {"count": 1}
    company = json.loads(userfold("companies", "get", "a").stdout)
    assert company["metadata"] == {"plan": "plan of a"}
    assert json.loads(userfold("companies", "export", "a").stdout) == {"company": company}
    run = userfold("companies", "delete", "a")
    assert (run.returncode, "--yes" in run.stderr) == (2, True)
    assert userfold("companies", "delete", "a", "--yes").stdout == "erased  a\n"
    assert userfold("companies", "delete", "a", "--yes").stdout == "not found  a\n"
    assert json.loads(userfold("companies", "delete", "b", "--yes", "--json").stdout) == {"deleted": True}
    assert userfold("companies", "count").stdout == "1\n"
    run = userfold("companies", "get", "a")
    assert (run.returncode, "COMPANY_NOT_FOUND" in run.stderr) == (1, True)
