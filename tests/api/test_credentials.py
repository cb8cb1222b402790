"""Credentials over HTTP: listed, created, rotated and revoked."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from pymongo.database import Database

from server.accounts.credentials import digest, generate_management_token
from server.model import CredentialKind, Scope
from tests.support.applications import Application, grant
from tests.support.stack import Api
from tests.support.waiting import wait_until

_DAY = timedelta(days=1)


@pytest.fixture
def credentials(api: Api, application: Application, database: Database[dict[str, Any]]) -> "Credentials":
    return Credentials(api, application, database)


class Credentials:
    """The credentials of one application, as an administrator manages them."""

    def __init__(self, api: Api, application: Application, database: Database[dict[str, Any]]) -> None:
        self.api = api
        self.application = application
        self.database = database

    def list(self) -> list[dict[str, Any]]:
        response = self.api.client.get("/v1/credentials", headers=self.api.reader)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["credentials"]
        return found

    def post(self, path: str, token: str | None = None, **body: Any) -> httpx2.Response:
        headers = _bearer(token) if token else self.api.reader
        return self.api.client.post(f"/v1/credentials{path}", json=body, headers=headers)

    def create(self, *scopes: str, **body: Any) -> dict[str, Any]:
        fields = {"display_name": "Support desk", "kind": "management_token", "scopes": scopes, **body}
        response = self.post("", **fields)
        assert response.status_code == 201, response.text
        created: dict[str, Any] = response.json()
        return created

    def id_of(self, secret: str) -> str:
        found = self.database.credentials.find_one({"_id": digest(secret)})
        assert found is not None
        return str(found["credential_id"])

    def works(self, secret: str) -> bool:
        response = self.api.client.get("/v1/credentials:current", headers=_bearer(secret))
        return response.status_code == 200


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _reason(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["details"][0]["reason"]


def _violations(response: httpx2.Response) -> list[tuple[str, str]]:
    assert _reason(response) == (400, "INVALID_REQUEST")
    return [(each["field"], each["reason"]) for each in response.json()["details"][1]["field_violations"]]


def test_the_list_has_every_credential_and_no_secret(credentials: Credentials) -> None:
    ended = generate_management_token()
    long_ago = datetime.now(UTC) - _DAY
    grant(credentials.database, credentials.application, CredentialKind.MANAGEMENT, ended, [Scope.ADMIN], long_ago)
    created = credentials.create("read:users")
    key, first, old, latest = credentials.list()
    assert latest == created["credential"]
    assert [each["kind"] for each in (key, first, old)] == ["collector_key", "management_token", "management_token"]
    assert (key["scopes"], first["scopes"]) == (["write:companies", "write:users"], ["admin"])
    assert datetime.fromisoformat(old["expire_time"]) < datetime.now(UTC)
    secrets = (created["secret"], ended, credentials.application.management_token, credentials.api.writer)
    text = json.dumps(credentials.list())
    for secret in map(str, secrets):
        assert secret not in text
        assert digest(secret).hex() not in text


def test_a_created_token_has_its_scopes_and_ends_when_it_was_said_to(credentials: Credentials) -> None:
    end = "2126-01-02T03:04:05.678Z"
    created = credentials.create("read:users", "write:users", expire_time=end.replace("2126", "2099"))
    shown = created["credential"]
    assert (shown["display_name"], shown["kind"], shown["scopes"], shown["expire_time"], shown["replaced_by"]) == (
        *("Support desk", "management_token", ["read:users", "write:users"]),
        *("2099-01-02T03:04:05.678Z", ""),
    )
    current = credentials.api.client.get("/v1/credentials:current", headers=_bearer(created["secret"])).json()
    current["credential"].pop("last_used_time", None)
    assert current["credential"] == shown
    assert _reason(credentials.post("", created["secret"], display_name="x")) == (403, "SCOPE_MISSING")


def test_a_created_collector_key_sends_updates(credentials: Credentials) -> None:
    created = credentials.create(kind="collector_key")
    key = {"X-Moesif-Application-Id": created["secret"]}
    assert credentials.api.client.post("/v1/users", json={"user_id": "u"}, headers=key).status_code == 201
    assert created["credential"]["scopes"] == ["write:companies", "write:users"]


def test_a_response_with_a_secret_is_not_to_be_stored(credentials: Credentials) -> None:
    body = {"display_name": "x", "kind": "collector_key"}
    assert credentials.post("", **body).headers["cache-control"] == "no-store"
    assert "cache-control" not in credentials.api.update({"user_id": "u"}).headers


def test_what_breaks_a_rule_is_named_and_creates_nothing(credentials: Credentials) -> None:
    before = credentials.list()
    response = credentials.post(
        "", display_name=" x", kind="token", scopes=["admin", "all"], expire_time="2001-01-01T00:00:00Z"
    )
    assert _violations(response) == [
        ("display_name", "INVALID_NAME"),
        ("kind", "NOT_ONE_OF"),
        ("scopes[1]", "NOT_ONE_OF"),
        ("expire_time", "OUT_OF_RANGE"),
    ]
    assert _violations(credentials.post("/c:rotate", overlap_hours=721)) == [("overlap_hours", "OUT_OF_RANGE")]
    assert credentials.list() == before


def test_a_rotated_credential_works_until_the_overlap_ends(credentials: Credentials) -> None:
    created = credentials.create("read:users")
    old = created["credential"]
    response = credentials.post(f"/{old['credential_id']}:rotate")
    assert response.status_code == 200, response.text
    rotated = response.json()
    new, replaced = rotated["credential"], rotated["replaced"]
    assert [new[name] for name in ("display_name", "kind", "scopes")] == [
        old[name] for name in ("display_name", "kind", "scopes")
    ]
    assert "expire_time" not in new
    assert replaced["replaced_by"] == new["credential_id"]
    left = datetime.fromisoformat(replaced["expire_time"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= _DAY
    assert credentials.works(created["secret"])
    assert credentials.works(rotated["secret"])
    again = credentials.post(f"/{old['credential_id']}:rotate")
    assert _reason(again) == (400, "CREDENTIAL_ALREADY_ROTATED")
    assert again.json()["details"][0]["metadata"] == {"replaced_by": new["credential_id"]}
    # No overlap: it ends now.
    ended = credentials.post(f"/{new['credential_id']}:rotate", overlap_hours=0).json()["replaced"]
    assert datetime.fromisoformat(ended["expire_time"]) <= datetime.now(UTC)
    assert _reason(credentials.post("/never:rotate")) == (404, "CREDENTIAL_NOT_FOUND")


def test_a_revoked_credential_is_gone_and_may_be_revoked_again(credentials: Credentials) -> None:
    created = credentials.create("read:users")
    path = f"/{created['credential']['credential_id']}:revoke"
    assert [credentials.post(path).json() for _ in range(2)] == [{"revoked": True}, {"revoked": False}]
    assert not credentials.works(created["secret"])
    assert [each["display_name"] for each in credentials.list()] == ["", "first"]


def test_a_caller_revokes_itself_only_where_it_says_so(credentials: Credentials) -> None:
    admin = credentials.create("admin")
    path = f"/{admin['credential']['credential_id']}:revoke"
    assert _violations(credentials.post(path, admin["secret"])) == [("allow_self", "REQUIRED")]
    assert credentials.post(path, admin["secret"], allow_self=True).json() == {"revoked": True}


def test_the_last_admin_token_is_not_revoked(credentials: Credentials) -> None:
    own = credentials.id_of(credentials.application.management_token)
    # None of these can take its place.
    reader = credentials.create("read:users", "write:users")
    ended, soon = generate_management_token(), generate_management_token()
    long_ago = datetime.now(UTC) - _DAY
    grant(credentials.database, credentials.application, CredentialKind.MANAGEMENT, ended, [Scope.ADMIN], long_ago)
    grant(credentials.database, credentials.application, CredentialKind.MANAGEMENT, soon, [Scope.ADMIN])
    rotated = credentials.post(f"/{credentials.id_of(soon)}:rotate").json()
    assert credentials.post(f"/{rotated['credential']['credential_id']}:revoke").json() == {"revoked": True}
    assert credentials.works(soon)
    assert _reason(credentials.post(f"/{own}:revoke", allow_self=True)) == (400, "LAST_ADMIN_TOKEN")
    # What is not the last one of an administrator can be revoked, also one that works no longer.
    for secret in (reader["secret"], ended, soon, credentials.application.collector_key):
        assert credentials.post(f"/{credentials.id_of(secret)}:revoke").json() == {"revoked": True}
    credentials.create("admin")
    assert credentials.post(f"/{own}:revoke", allow_self=True).json() == {"revoked": True}


def test_two_administrators_who_revoke_each_other_do_not_both_succeed(credentials: Credentials) -> None:
    other = credentials.create("admin")
    own = credentials.id_of(credentials.application.management_token)
    # The server remembers both, so neither is unknown when it is revoked.
    assert credentials.works(other["secret"])
    revocations = [
        (f"/{other['credential']['credential_id']}:revoke", credentials.application.management_token),
        (f"/{own}:revoke", other["secret"]),
    ]
    with ThreadPoolExecutor(2) as threads:
        responses = [*threads.map(lambda each: credentials.post(*each), revocations)]
    assert sorted(response.status_code for response in responses) == [200, 400]


def test_expired_credentials_make_room_and_then_no_more_are_created(credentials: Credentials) -> None:
    application_id, now = credentials.application.application_id, datetime.now(UTC)
    filling = {"application_id": application_id, "kind": "collector", "name": "", "scopes": [], "created_time": now}
    documents = [
        {**filling, "_id": digest(f"{application_id}{n}"), "credential_id": f"{application_id}-{n}"} for n in range(998)
    ]
    for document in documents[:2]:
        document["expire_time"] = now - _DAY
    credentials.database.credentials.insert_many(documents)
    assert len(credentials.list()) == 1000
    for _ in range(2):
        credentials.create("read:users")
    refused = credentials.post("", display_name="x", kind="collector_key")
    assert _reason(refused) == (400, "TOO_MANY_CREDENTIALS")
    first = credentials.id_of(credentials.application.management_token)
    assert _reason(credentials.post(f"/{first}:rotate")) == (400, "TOO_MANY_CREDENTIALS")
    assert len(credentials.list()) == 1000
    assert "replaced_by" not in (credentials.database.credentials.find_one({"credential_id": first}) or {})


def test_when_a_credential_was_used_last_is_shown_some_seconds_later(credentials: Credentials) -> None:
    created = credentials.create("read:users")["credential"]

    def last_used() -> dict[str, Any]:
        return {each["credential_id"]: each.get("last_used_time") for each in credentials.list()}

    own = credentials.id_of(credentials.application.management_token)
    wait_until(lambda: last_used()[own])
    assert datetime.now(UTC) - timedelta(minutes=1) < datetime.fromisoformat(last_used()[own]) <= datetime.now(UTC)
    assert last_used()[created["credential_id"]] is None
