"""`userfold applications rename` and `delete`."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from pymongo.database import Database

from cli.commands.applications import changes
from server.mongo.removal.deletion import Step
from tests.cli.conftest import Run, Terminal, Userfold
from tests.support.applications import Application
from tests.support.stack import Api

_COUNTS = {"users": 2, "visitors": 0, "companies": 0, "suppressions": 0, "refusals": 0, "credentials": 2, "indexes": 0}


@pytest.fixture
def application_id(api: Api, application: Application, monkeypatch: pytest.MonkeyPatch) -> str:
    """An application with two users. Its data is deleted without waiting for the servers of the stack."""
    monkeypatch.setattr("server.mongo.removal.deletion.SETTLE_SECONDS", 0.0)
    api.batch([{"user_id": "a"}, {"user_id": "b"}])
    return application.application_id


def is_there(database: Database[dict[str, Any]], application_id: str) -> bool:
    return database.applications.count_documents({"_id": application_id}) == 1


def test_an_application_is_renamed(
    userfold: Userfold, application: Application, database: Database[dict[str, Any]]
) -> None:
    run = userfold("applications", "rename", application.application_id, "New name")
    assert (run.returncode, "New name" in run.stdout) == (0, True)
    stored = database.applications.find_one({"_id": application.application_id})
    assert stored is not None
    assert stored.keys() == {"_id", "name", "created_time"}
    assert stored["name"] == "New name"
    run = userfold("applications", "rename", "0000", "New name")
    assert (run.returncode, run.stderr) == (1, "userfold: no application has this id\n")


def test_a_dry_run_counts_and_deletes_nothing(
    userfold: Userfold, application_id: str, database: Database[dict[str, Any]]
) -> None:
    run = userfold("applications", "delete", application_id, "--dry-run", "--json")
    assert json.loads(run.stdout) == {"application_id": application_id, "deleted": False, **_COUNTS}
    assert is_there(database, application_id)


def test_an_application_is_deleted(userfold: Userfold, application_id: str, database: Database[dict[str, Any]]) -> None:
    run = userfold("applications", "delete", application_id, "--yes", "--json")
    assert json.loads(run.stdout) == {"application_id": application_id, "deleted": True, **_COUNTS}
    assert not is_there(database, application_id)
    again = userfold("applications", "delete", application_id, "--yes")
    assert (again.returncode, again.stderr) == (1, "userfold: no application has this id\n")


def test_without_a_confirmation_nothing_is_deleted(
    userfold: Userfold, application_id: str, database: Database[dict[str, Any]]
) -> None:
    run = userfold("applications", "delete", application_id)
    assert (run.returncode, "--yes" in run.stderr) == (2, True)
    assert is_there(database, application_id)


@pytest.mark.parametrize(("typed", "status"), [("other", 1), (None, 0)])
def test_the_id_is_typed_to_confirm(
    userfold: Userfold, application_id: str, database: Database[dict[str, Any]], typed: str | None, status: int
) -> None:
    with patch("sys.stdin", Terminal(f"{typed or application_id}\n")):
        run: Run = userfold("applications", "delete", application_id)
    assert (run.returncode, "2 users" in run.stderr) == (status, True), run.stderr
    assert is_there(database, application_id) == bool(typed)


def test_progress_is_reported_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    report = changes._reporter()
    for seconds in range(31, 0, -1):
        report(Step.WAITING, seconds)
    for deleted in range(0, 35_000, 700):
        report(Step.DELETING, deleted)
    assert len(capsys.readouterr().err.splitlines()) == 3 + 3
