"""`python -m server.applications`, and what it leaves in the database."""

import os
import subprocess
import sys
from typing import Any

import pytest
from pymongo.database import Database

from server import applications
from server.credentials import digest, generate_application_id, generate_collector_key, generate_management_token
from server.mongod import EmbeddedMongod
from tests.conftest import DATABASE, Api, Application, Stack


def _run(mongod: EmbeddedMongod | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("USERFOLD_")}
    if mongod:
        environment |= {"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_DATABASE": DATABASE}
    return subprocess.run(
        [sys.executable, "-m", "server.applications", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _printed(run: subprocess.CompletedProcess[str]) -> Application:
    words = [line.split() for line in run.stdout.splitlines()]
    assert [line[0] for line in words] == ["application", "application_id", "management_token"]
    return Application(words[0][1], words[1][1], words[2][1])


def test_a_created_application_can_write_and_read(
    mongod: EmbeddedMongod, stack: Stack, database: Database[dict[str, Any]]
) -> None:
    run = _run(mongod, "create", "My product")
    assert run.returncode == 0, run.stderr
    application = _printed(run)
    assert len(application.collector_key) >= 50
    api = Api(stack.http, application)
    with api.client:
        assert api.stored({"company_id": "c"})["company_id"] == "c"
    document = database.applications.find_one({"_id": application.application_id})
    assert document is not None
    assert document["name"] == "My product"
    assert document["collector_digest"] == digest(application.collector_key)


def test_clients_that_are_out_there_keep_their_application_id(mongod: EmbeddedMongod, stack: Stack) -> None:
    key = f"My Moesif Application Id {generate_collector_key()}"
    run = _run(mongod, "create", "Moved here", "--collector-key", key)
    assert run.returncode == 0, run.stderr
    assert f"application_id    {key}\n" in run.stdout
    token = run.stdout.split()[-1]
    api = Api(stack.http, Application("", key, token))
    with api.client:
        assert api.stored({})["user_id"] == "u"
    again = _run(mongod, "create", "Twice", "--collector-key", key)
    assert (again.returncode, again.stderr) == (1, "userfold: another application has this collector key\n")


@pytest.mark.parametrize("key", ["", " x", "x" * 1025, "é"])
def test_a_key_that_no_header_can_carry_is_refused(mongod: EmbeddedMongod, key: str) -> None:
    run = _run(mongod, "create", "x", "--collector-key", key)
    assert run.returncode == 2
    assert "printable ASCII" in run.stderr


def test_without_a_database_it_says_what_to_set() -> None:
    run = _run(None, "create", "x")
    assert run.returncode == 1
    assert run.stderr.startswith("userfold: set USERFOLD_MONGODB_URI")


def test_ensuring_again_replaces_the_credentials(mongod: EmbeddedMongod, database: Database[dict[str, Any]]) -> None:
    application_id = generate_application_id()
    for _ in range(2):
        key, token = generate_collector_key(), generate_management_token()
        applications.ensure(mongod.uri, DATABASE, application_id, "Demo", key, token)
    document = database.applications.find_one({"_id": application_id})
    assert document is not None
    assert (document["collector_digest"], document["token_digest"]) == (digest(key), digest(token))
