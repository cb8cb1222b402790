"""Applications over HTTP: renamed, deleted, and created."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from pymongo.database import Database

from server.accounts.credentials import digest
from tests.support.applications import Application, make_room
from tests.support.stack import Api


def _post(api: Api, path: str, token: str | None = None, **body: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else api.reader
    return api.client.post(path, json=body, headers=headers)


def _violations(response: httpx2.Response) -> list[tuple[str, str]]:
    assert response.status_code == 400
    return [(each["field"], each["reason"]) for each in response.json()["details"][1]["field_violations"]]


def test_a_renamed_application_has_its_new_name_at_once(api: Api, application: Application) -> None:
    renamed = _post(api, "/v1/application:rename", display_name="My product").json()["application"]
    assert (renamed["application_id"], renamed["display_name"]) == (application.application_id, "My product")
    assert api.client.get("/v1/application", headers=api.reader).json() == renamed
    assert _violations(_post(api, "/v1/application:rename", display_name=" x")) == [("display_name", "INVALID_NAME")]
    assert _violations(_post(api, "/v1/application:rename")) == [("display_name", "REQUIRED")]


def test_a_dry_run_counts_what_would_be_deleted_and_deletes_nothing(api: Api, application: Application) -> None:
    api.batch([{"user_id": "a"}, {"user_id": "b"}, {"anonymous_id": "v"}])
    api.client.post("/v1/companies", json={"company_id": "c"}, headers=api.writer)
    for _ in range(2):
        application_id = application.application_id
        dry_run = _post(api, "/v1/application:delete", application_id=application_id, validate_only=True)
        contents = dry_run.json()
        assert contents == {
            "user_count": 2,
            "visitor_count": 1,
            "company_count": 1,
            "suppression_count": 0,
            "refusal_count": 0,
            "credential_count": 2,
            "index_count": 0,
        }
    assert api.get("a").status_code == 200


@pytest.mark.parametrize(("sent", "reason"), [("", "REQUIRED"), ("0000000000000000", "CONFLICT")])
def test_the_id_has_to_be_that_of_the_application(
    api: Api, application: Application, database: Database[dict[str, Any]], sent: str, reason: str
) -> None:
    assert _violations(_post(api, "/v1/application:delete", application_id=sent)) == [("application_id", reason)]
    assert "deleting_time" not in (database.applications.find_one({"_id": application.application_id}) or {})


def test_a_deletion_ends_all_credentials_and_goes_on_in_the_servers(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    response = _post(api, "/v1/application:delete", application_id=application.application_id)
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"deleting_time"}
    began = datetime.fromisoformat(response.json()["deleting_time"])
    assert datetime.now(UTC) - timedelta(minutes=1) < began <= datetime.now(UTC)
    assert database.credentials.count_documents({"application_id": application.application_id}) == 0
    stored = database.applications.find_one({"_id": application.application_id})
    assert stored is not None
    assert "deletion_until" in stored
    # The server remembers the token, and neither it nor anybody else gets a new one.
    new = {"display_name": "x", "kind": "collector_key"}
    assert _post(api, "/v1/credentials", **new).status_code == 401
    assert database.credentials.count_documents({"application_id": application.application_id}) == 0


def test_a_new_application_is_one_of_its_own(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    make_room(database, application)
    response = _post(api, "/v1/applications", display_name="Another product")
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    created = response.json()
    token = {"Authorization": f"Bearer {created['management_token']['secret']}"}
    key = {"X-Moesif-Application-Id": created["collector_key"]["secret"]}
    assert api.client.get("/v1/application", headers=token).json() == created["application"]
    assert api.client.post("/v1/users", json={"user_id": "u"}, headers=key).status_code == 201
    assert api.client.get("/v1/users/u", headers=token).status_code == 200
    assert api.get("u").status_code == 404
    current = api.client.get("/v1/credentials:current", headers=token).json()
    current["credential"].pop("last_used_time", None)
    assert current["credential"] == created["management_token"]["credential"]
    assert current["credential"]["scopes"] == ["admin"]
    assert database.credentials.count_documents({"_id": digest(created["management_token"]["secret"])}) == 1


def test_an_application_and_those_that_it_created_create_no_more_than_twenty(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    make_room(database, application)
    first = _post(api, "/v1/applications", display_name="first").json()
    others = [{"_id": f"{application.application_id}-{n}", "name": "x"} for n in range(19)]
    database.applications.insert_many([{**each, "created_by": application.application_id} for each in others])
    for token in (None, first["management_token"]["secret"]):
        refused = _post(api, "/v1/applications", token, display_name="one more")
        assert (refused.status_code, refused.json()["details"][0]["reason"]) == (400, "TOO_MANY_APPLICATIONS")


def test_no_application_is_created_where_there_are_a_thousand(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    make_room(database, application)
    database.applications.insert_many([{"_id": f"filling-{n}", "name": "x"} for n in range(999)])
    refused = _post(api, "/v1/applications", display_name="one more")
    assert (refused.status_code, refused.json()["details"][0]["reason"]) == (400, "TOO_MANY_APPLICATIONS")
    database.applications.delete_many({"_id": "filling-0"})
    assert _post(api, "/v1/applications", display_name="the last").status_code == 201
    make_room(database, application)
