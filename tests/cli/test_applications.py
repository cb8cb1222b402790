"""`userfold applications`, and what it stores."""

import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from server.accounts.credentials import (
    credential_from_metadata,
    digest,
    generate_collector_key,
    generate_management_token,
)
from server.errors import CredentialUnknown
from server.local.mongod import EmbeddedMongod
from server.mongo.accounts.credentials import MongoCredentialStore
from server.mongo.client import connect, open_database
from server.rpc.authentication import Authenticator
from tests.cli.conftest import Run, run_userfold
from tests.support.applications import Application
from tests.support.stack import DATABASE, Api, Stack


def _run(mongod: EmbeddedMongod | None, *arguments: str) -> Run:
    settings = {"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_DATABASE": DATABASE} if mongod else {}
    return run_userfold("applications", *arguments, variables={"USERFOLD_DATA_DIR": "/nothing"} | settings)


def _json(mongod: EmbeddedMongod, *arguments: str) -> Any:
    run = _run(mongod, *arguments, "--json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def _printed(run: Run) -> Application:
    assert run.returncode == 0, run.stderr
    values = dict(line.split("  ", 1) for line in run.stdout.splitlines())
    assert list(values) == ["application_id", "name", "collector_key", "management_token"]
    return Application(*(values[name].strip() for name in ("application_id", "collector_key", "management_token")))


def test_a_created_application_can_write_and_read(
    mongod: EmbeddedMongod, stack: Stack, database: Database[dict[str, Any]]
) -> None:
    application = _printed(_run(mongod, "create", "My product"))
    assert len(application.collector_key) >= 50
    api = Api(stack.http, application)
    with api.client:
        assert api.stored({"company_id": "c"})["company_id"] == "c"
    document = database.applications.find_one({"_id": application.application_id})
    assert document is not None
    assert document["name"] == "My product"
    credentials = database.credentials.find({"application_id": application.application_id})
    assert {stored["_id"]: (stored["kind"], stored["scopes"]) for stored in credentials} == {
        digest(application.collector_key): ("collector", ["write:companies", "write:users"]),
        digest(application.management_token): ("management", ["admin"]),
    }


def test_deployed_clients_keep_the_key_that_they_send(mongod: EmbeddedMongod, stack: Stack) -> None:
    key = f"My Moesif Application Id {generate_collector_key()}"
    run = _run(mongod, "create", "Moved here", "--collector-key", key)
    assert run.returncode == 0, run.stderr
    assert f"collector_key     {key}\n" in run.stdout
    token = run.stdout.split()[-1]
    api = Api(stack.http, Application("", key, token))
    with api.client:
        assert api.stored({})["user_id"] == "u"
    again = _run(mongod, "create", "Twice", "--collector-key", key)
    assert (again.returncode, again.stderr) == (1, "userfold: an application already has this collector key\n")


@pytest.mark.parametrize("key", ["", " x", "x" * 1025, "é"])
def test_a_key_that_no_header_can_carry_is_refused(mongod: EmbeddedMongod, key: str) -> None:
    run = _run(mongod, "create", "x", "--collector-key", key)
    assert run.returncode == 2
    assert "printable ASCII" in " ".join(run.stderr.split())


def test_without_a_database_the_error_names_the_variable() -> None:
    run = _run(None, "create", "x")
    assert run.returncode == 2
    assert run.stderr.startswith("userfold: set USERFOLD_MONGODB_URI")


def test_an_application_whose_key_is_taken_is_not_registered(
    mongod: EmbeddedMongod, application: Application, database: Database[dict[str, Any]]
) -> None:
    run = _run(mongod, "create", "Not registered", "--collector-key", application.collector_key)
    assert run.returncode == 1
    assert database.applications.find_one({"name": "Not registered"}) is None


@dataclass
class Printed:
    """A credential as it is printed when it is created."""

    credential_id: str
    label: str
    secret: str = field(repr=False)


def _credential_in(run: Run) -> Printed:
    assert run.returncode == 0, run.stderr
    (_, credential_id), *_, (label, secret) = (line.split(maxsplit=1) for line in run.stdout.splitlines())
    assert secret not in run.stderr
    return Printed(credential_id, label, secret)


def _statuses(stack: Stack, application: Application, secret: str) -> list[int]:
    """The HTTP statuses of a read, a write and the removal of an alias with this token."""
    headers = {"Authorization": f"Bearer {secret}"}
    with Api(stack.http, application).client as client:
        return [
            client.get("/v1/users/u", headers=headers).status_code,
            client.post("/v1/users", json={"user_id": "u"}, headers=headers).status_code,
            client.post("/v1/users/u:removeAlias", json={"session_token": "t"}, headers=headers).status_code,
        ]


def test_a_token_allows_what_its_scopes_allow(mongod: EmbeddedMongod, stack: Stack, api: Api) -> None:
    api.stored({})
    registered = api.application
    for scopes, expected in (
        ("read:users", [200, 403, 403]),
        ("write:users", [403, 201, 200]),
        ("write:users, read:users", [200, 201, 200]),
        ("delete:users,read:campaigns", [403, 403, 403]),
        ("admin", [200, 201, 200]),
    ):
        run = _run(mongod, "create-token", registered.application_id, "--name", "Support", "--scopes", scopes)
        printed = _credential_in(run)
        assert (printed.label, run.stdout.split()[3]) == ("management_token", "Support")
        assert _statuses(stack, registered, printed.secret) == expected, scopes


def test_a_token_expires_after_its_lifetime(
    mongod: EmbeddedMongod, application: Application, database: Database[dict[str, Any]]
) -> None:
    words = ["create-token", application.application_id, "--name", "x", "--scopes", "read:users", "--expires-in", "1.5"]
    document = database.credentials.find_one({"credential_id": _credential_in(_run(mongod, *words)).credential_id})
    assert document is not None
    assert document["expire_time"] - document["created_time"] == timedelta(days=1.5)


def test_an_application_may_have_several_collector_keys(mongod: EmbeddedMongod, stack: Stack, api: Api) -> None:
    printed = _credential_in(_run(mongod, "create-key", api.application.application_id))
    chosen = f"chosen {generate_collector_key()}"
    run = _run(mongod, "create-key", api.application.application_id, "--collector-key", chosen)
    assert run.stdout.splitlines()[1] == f"collector_key  {chosen}"
    for number, key in enumerate((printed.secret, chosen)):
        response = api.update({"user_id": "u", "metadata": {f"k{number}": 1}}, **{"X-Moesif-Application-Id": key})
        assert response.status_code == 201
    assert api.get("u").json()["metadata"] == {"k0": 1, "k1": 1}
    again = _run(mongod, "create-key", api.application.application_id, "--collector-key", chosen)
    assert (again.returncode, again.stderr) == (1, "userfold: an application already has this collector key\n")


@pytest.mark.parametrize("kind", ["token", "key"])
async def test_a_rotated_credential_and_its_successor_both_work_until_the_overlap_ends(
    mongod: EmbeddedMongod, application: Application, kind: str
) -> None:
    more = ["--name", "x", "--scopes", "read:users", "--expires-in", "90"] if kind == "token" else []
    old = _credential_in(_run(mongod, f"create-{kind}", application.application_id, *more))
    rotated = _run(mongod, "rotate", old.credential_id, "--overlap", "1")
    new = _credential_in(rotated)
    assert re.search(
        rf"^{old.credential_id} works until \d{{4}}-\d\d-\d\d \d\d:\d\d UTC\.", rotated.stderr, re.MULTILINE
    )
    assert new.label == old.label
    for hours, known in ((0, True), (0.9, True), (1.1, False)):
        async with _authenticating(mongod, hours) as authenticator:
            found = await authenticator.authenticate(credential_from_metadata(_metadata(kind, new.secret)))
            assert found.application_id == application.application_id
            with nullcontext() if known else pytest.raises(CredentialUnknown):
                same = await authenticator.authenticate(credential_from_metadata(_metadata(kind, old.secret)))
                assert same == replace(found, credential_id=old.credential_id)
    again = _run(mongod, "rotate", old.credential_id)
    assert (again.returncode, again.stderr) == (
        1,
        f"userfold: this credential was already rotated, into {new.credential_id}\n",
    )


async def test_a_revoked_credential_works_for_at_most_thirty_more_seconds(
    mongod: EmbeddedMongod, application: Application
) -> None:
    for kind, more in (("token", ["--name", "x", "--scopes", "admin"]), ("key", [])):
        printed = _credential_in(_run(mongod, f"create-{kind}", application.application_id, *more))
        async with _authenticating(mongod) as authenticator:
            assert await authenticator.authenticate(credential_from_metadata(_metadata(kind, printed.secret)))
            revoked = _run(mongod, "revoke", printed.credential_id)
            assert (revoked.returncode, revoked.stdout.split()) == (0, ["revoked", printed.credential_id])
            _Clock.seconds += 30
            with pytest.raises(CredentialUnknown):
                await authenticator.authenticate(credential_from_metadata(_metadata(kind, printed.secret)))
        assert _run(mongod, "revoke", printed.credential_id).stderr == "userfold: no credential has this id\n"


class _Clock:
    seconds = 0.0


@asynccontextmanager
async def _authenticating(mongod: EmbeddedMongod, hours: float = 0) -> AsyncIterator[Authenticator]:
    """The authenticator of a server whose clock is so many hours ahead."""
    client = connect(mongod.uri)
    store = MongoCredentialStore(open_database(client, DATABASE))
    yield Authenticator(store, lambda: _Clock.seconds, lambda: time.time() + hours * 3600)
    client.close()


def _metadata(kind: str, secret: str) -> list[tuple[str, str | bytes]]:
    return [("authorization", f"Bearer {secret}") if kind == "token" else ("x-moesif-application-id", secret)]


def test_the_list_shows_every_credential_and_no_secret(
    mongod: EmbeddedMongod, application: Application, database: Database[dict[str, Any]]
) -> None:
    application_id = application.application_id
    token = _credential_in(
        _run(mongod, "create-token", application_id, "--name", "Support desk", "--scopes", "read:users,delete:users")
    )
    run = _run(mongod, "list")
    assert (run.returncode, run.stderr) == (0, "")
    shown = [re.split(r"  +", line) for line in run.stdout.splitlines() if application_id in line]
    assert [cells[3:6] for cells in shown] == [
        ["collector key", "-", "write:companies,write:users"],
        ["management token", "first", "admin"],
        ["management token", "Support desk", "delete:users,read:users"],
    ]
    assert shown[2][2] == token.credential_id
    for secret in (application.collector_key, application.management_token, token.secret):
        assert secret not in run.stdout
    for document in database.credentials.find({"application_id": application_id}):
        assert document["_id"].hex() not in run.stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["create-token", "nobody", "--name", "x", "--scopes", "admin"], "no application has this id"),
        (["create-key", "nobody"], "no application has this id"),
        (["rotate", "nothing"], "no credential has this id"),
        (["revoke", "nothing"], "no credential has this id"),
    ],
)
def test_an_unknown_id_is_reported_on_one_line(mongod: EmbeddedMongod, words: list[str], error: str) -> None:
    run = _run(mongod, *words)
    assert (run.returncode, run.stdout, run.stderr) == (1, "", f"userfold: {error}\n")


_TOKEN = ["create-token", "x", "--name", "x", "--scopes", "admin"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["create", " x"], "must be 1 to 100 printable characters"),
        (["create", "x\ny"], "must be 1 to 100 printable characters"),
        ([*_TOKEN[:-1], "read:users,read:everything"], "must be some of read:users, write:users"),
        ([*_TOKEN[:-1], ""], "must be some of read:users, write:users"),
        ([*_TOKEN, "--expires-in", "0"], "must be a number from 0.001 to 36,500"),
        ([*_TOKEN, "--expires-in", "nan"], "must be a number from 0.001 to 36,500"),
        (["rotate", "x", "--overlap", "-1"], "must be a number from 0 to 8,760"),
        (["rotate", "x", "--overlap", "soon"], "must be a number from 0 to 8,760"),
        (["create-token", "x", "--scopes", "admin"], "--name"),
        ([], "COMMAND"),
        (["create", "x", "--collector-key", f"ufm_{'x' * 64}"], "a management token in place of a collector key"),
        (["revoke", f"ufm_{'x' * 64}"], "a management token in place of an id"),
        (["create-key", f"ufc_{'x' * 64}"], "a collector key in place of an id"),
    ],
)
def test_invalid_arguments_are_refused(words: list[str], error: str) -> None:
    run = _run(None, *words)
    assert run.returncode == 2
    assert error in " ".join(run.stderr.split())
    assert "xxx" not in run.stderr


def test_a_database_that_fails_is_reported(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> None:
    failing = {"failCommands": ["delete"], "errorCode": 13, "appName": "userfold"}
    database.client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": failing})
    run = _run(mongod, "revoke", "x")
    assert (run.returncode, run.stderr) == (3, "userfold: the MongoDB of USERFOLD_MONGODB_URI does not answer\n")


def test_paths_are_declared_listed_and_withdrawn(
    mongod: EmbeddedMongod, application: Application, database: Database[dict[str, Any]]
) -> None:
    application_id = application.application_id
    declared = _run(mongod, "declare-index", application_id, 'metadata."sales"["a.b"]')
    assert (declared.returncode, declared.stdout) == (0, 'declared  metadata.sales["a.b"]\n')
    assert _run(mongod, "list-indexes", application_id).stdout == declared.stdout
    document = database.applications.find_one({"_id": application_id})
    assert document is not None
    assert [each["path"] for each in document["indexes"]] == ['metadata.sales["a.b"]']
    withdrawn = _run(mongod, "withdraw-index", application_id, 'metadata.sales["a.b"]')
    assert (withdrawn.returncode, withdrawn.stdout) == (0, 'withdrawn  metadata.sales["a.b"]\n')
    assert _run(mongod, "list-indexes", application_id).stdout == ""


@pytest.mark.parametrize("command", ["declare-index", "withdraw-index"])
def test_what_cannot_be_declared_is_refused(mongod: EmbeddedMongod, application: Application, command: str) -> None:
    refused = _run(mongod, command, application.application_id, "company_id")
    assert refused.returncode == 2
    assert "expected a field of filters that has no index yet" in refused.stderr
    unknown = _run(mongod, command, "nobody", "metadata.a")
    assert (unknown.returncode, unknown.stderr) == (1, "userfold: no application has this id\n")


def test_an_application_is_ensured_once(
    mongod: EmbeddedMongod, stack: Stack, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    key, token, other = generate_collector_key(), generate_management_token(), generate_management_token()
    key_file, token_file = tmp_path / "key", tmp_path / "token"
    key_file.write_text(f"{key}\n")
    token_file.write_text(token)
    application_id = f"ensured-{key[4:12]}"
    words = ("ensure", application_id, "Ensured", "--collector-key-file", str(key_file))
    for secret in (token, other):
        token_file.write_text(secret)
        run = _run(mongod, *words, "--management-token-file", str(token_file))
        assert (run.returncode, run.stdout, run.stderr) == (0, f"registered  {application_id}\n", "")
    api = Api(stack.http, Application(application_id, key, token))
    with api.client:
        assert api.stored({})["user_id"] == "u"
    assert database.credentials.find_one({"_id": digest(other)}) is None
    token_file.write_text(key)
    run = _run(mongod, *words, "--management-token-file", str(token_file))
    assert (run.returncode, "must hold a management token" in run.stderr, key in run.stderr) == (1, True, False)


def test_an_application_is_shown_with_its_credentials_and_indexes(
    mongod: EmbeddedMongod, application: Application
) -> None:
    application_id = application.application_id
    _run(mongod, "declare-index", application_id, "metadata.plan")
    shown = _run(mongod, "show", application_id)
    assert shown.returncode == 0, shown.stderr
    assert f"application_id  {application_id}\n" in shown.stdout
    assert "indexes         metadata.plan\n" in shown.stdout
    assert shown.stdout.count("write:users") == 1
    parsed = _json(mongod, "show", application_id)
    assert parsed["indexes"] == ["metadata.plan"]
    assert [each["kind"] for each in parsed["credentials"]] == ["collector_key", "management_token"]
    listed = _json(mongod, "list")
    (own,) = (each for each in listed if each["application_id"] == application_id)
    assert own | {"indexes": ["metadata.plan"]} == parsed
    assert _run(mongod, "show", "nobody").stderr == "userfold: no application has this id\n"


def test_new_credentials_are_printed_as_json(mongod: EmbeddedMongod) -> None:
    created = _json(mongod, "create", "x")
    assert created.keys() == {"application_id", "name", "collector_key", "management_token"}
    key = _json(mongod, "create-key", created["application_id"])
    assert key.keys() == {"credential_id", "collector_key"}
    rotated = _json(mongod, "rotate", key["credential_id"])
    assert rotated.keys() == key.keys()
    revoked = _json(mongod, "revoke", rotated["credential_id"])
    assert revoked == {"revoked": rotated["credential_id"]}
    assert _json(mongod, "list-indexes", created["application_id"]) == []
