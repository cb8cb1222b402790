"""What a management token learns about itself and its application, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from server.accounts.credentials import generate_management_token
from server.model import CredentialKind, Scope
from tests.support.applications import Application, grant
from tests.support.stack import Api


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def granted(database: Database[dict[str, Any]], application: Application) -> Any:
    """Gives the application a token with these scopes, which expires in an hour, and returns its header."""

    def grant_token(*scopes: Scope) -> dict[str, str]:
        token = generate_management_token()
        end = datetime.now(UTC) + timedelta(hours=1)
        grant(database, application, CredentialKind.MANAGEMENT, token, scopes, end, name="Support desk")
        return _bearer(token)

    return grant_token


def test_an_admin_token_has_every_scope(api: Api, database: Database[dict[str, Any]], application: Application) -> None:
    shown = api.client.get("/v1/credentials:current", headers=api.reader).json()
    stored = database.credentials.find_one({"application_id": application.application_id, "name": "first"})
    assert stored is not None
    created = shown["credential"].pop("created_time")
    shown["credential"].pop("last_used_time", None)
    assert shown == {
        "credential": {
            "credential_id": stored["credential_id"],
            "display_name": "first",
            "kind": "management_token",
            "scopes": ["admin"],
            "replaced_by": "",
        },
        "application": api.client.get("/v1/application", headers=api.reader).json(),
        "granted_scopes": sorted(Scope),
    }
    assert datetime.fromisoformat(created) == stored["created_time"]


@pytest.mark.parametrize("scopes", [(), (Scope.READ_USERS,), (Scope.WRITE_USERS, Scope.DELETE_USERS)])
def test_a_token_of_any_scopes_sees_itself(api: Api, granted: Any, scopes: tuple[Scope, ...]) -> None:
    shown = api.client.get("/v1/credentials:current", headers=granted(*scopes)).json()
    assert shown["granted_scopes"] == shown["credential"]["scopes"] == sorted(scopes)
    assert shown["credential"]["display_name"] == "Support desk"
    assert datetime.fromisoformat(shown["credential"]["expire_time"]) > datetime.now(UTC)


def test_the_application_is_shown_with_its_name_and_the_time_of_its_creation(
    api: Api, granted: Any, application: Application, database: Database[dict[str, Any]]
) -> None:
    shown = api.client.get("/v1/application", headers=granted()).json()
    created = datetime.fromisoformat(shown.pop("created_time"))
    assert shown == {"application_id": application.application_id, "display_name": "Demo"}
    assert datetime.now(UTC) - timedelta(minutes=10) < created <= datetime.now(UTC)
    # One that an older version registered.
    database.applications.update_one({"_id": application.application_id}, {"$unset": {"created_time": ""}})
    assert api.client.get("/v1/application", headers=api.reader).json() == shown


@pytest.mark.parametrize("path", ["/v1/application", "/v1/credentials:current"])
def test_a_collector_key_sees_neither(api: Api, path: str) -> None:
    response = api.client.get(path, headers=api.writer)
    assert (response.status_code, response.json()["details"][0]["reason"]) == (403, "MANAGEMENT_TOKEN_REQUIRED")


@pytest.mark.parametrize("path", ["/v1/application", "/v1/credentials:current"])
def test_a_token_that_is_revoked_is_unknown_although_the_server_remembers_it(
    api: Api, application: Application, database: Database[dict[str, Any]], path: str
) -> None:
    assert api.client.get(path, headers=api.reader).status_code == 200
    database.credentials.delete_many({"application_id": application.application_id})
    database.applications.delete_one({"_id": application.application_id})
    response = api.client.get(path, headers=api.reader)
    assert (response.status_code, response.json()["details"][0]["reason"]) == (401, "CREDENTIAL_UNKNOWN")
