"""`userfold refusals`."""

import json
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from tests.cli.conftest import Userfold
from tests.support.applications import Application

_TIME = datetime(2026, 11, 29, 10, 30, tzinfo=UTC)


def test_refusals_are_listed(userfold: Userfold, application: Application, database: Database[dict[str, Any]]) -> None:
    refused = {"reason": "INVALID_REQUEST", "is_warning": False, "method": "/v1/users", "client_library": "curl/7.88.1"}
    warned = {"reason": "NOT_STORED", "is_warning": True, "method": "/v1/subscriptions", "client_library": ""}
    times = {"first_time": _TIME, "last_time": datetime.now(UTC)}
    own = {"application_id": application.application_id}
    field = {"field": "user_id", "reason": "TOO_LONG"}
    database.refusals.insert_many(
        [
            {**own, **times, **refused, "fields": [field], "count": 7},
            {**own, **times, **warned, "fields": [], "count": 1},
        ]
    )
    run = userfold("refusals", "list")
    assert run.returncode == 0, run.stderr
    heading, *lines = run.stdout.splitlines()
    assert heading.split("  ")[0] == "LAST (UTC)"
    assert {tuple(line.split()[2:-2]) for line in lines} == {
        ("7", "INVALID_REQUEST", "/v1/users", "user_id", "TOO_LONG", "curl/7.88.1"),
        ("1", "NOT_STORED", "(warning)", "/v1/subscriptions", "-", "-"),
    }
    assert all(line.endswith("2026-11-29 10:30:00") for line in lines)
    listed = json.loads(userfold("refusals", "list", "--json").stdout)
    assert {each["count"]: each["fields"] for each in listed} == {7: [field], 1: []}


def test_without_refusals_the_table_is_empty(userfold: Userfold) -> None:
    assert json.loads(userfold("refusals", "list", "--json").stdout) == []
    assert len(userfold("refusals", "list").stdout.splitlines()) == 1
