"""Every row of the catalogue, sent to the running service: the exact response, and what is stored then."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from pymongo.database import Database

from server.accounts.credentials import digest, generate_collector_key, generate_management_token
from server.model import CredentialKind, Scope
from tests.bad_input.rows import Row, filled, rows
from tests.bad_input.send import Sender
from tests.support.applications import grant, register
from tests.support.stack import Api, Stack

pytestmark = pytest.mark.long

_ROWS = rows()

# Fields that are ignored unless the row names them.
_BESIDE = (
    *("created_time", "modified_time", "stored_time", "ip_address", "observed_ip_address", "etag"),
    *("latest_campaign", "initial_campaign_time", "latest_campaign_time"),
)
_NOTHING = {"alias_count": 0, "metadata": {}}


# All rows share an application, as each deletes what it has stored: registering one takes longer than most rows.
@pytest.fixture(scope="module")
def application_api(stack: Stack, database: Database[dict[str, Any]]) -> Iterator[Api]:
    api = Api(stack.http, register(database, generate_collector_key()))
    with api.client:
        yield api


@pytest.fixture(scope="module")
def names(application_api: Api, database: Database[dict[str, Any]]) -> Mapping[str, str]:
    """The credentials that `«NAME»` in a row stands for."""
    application = application_api.application
    other = register(database, generate_collector_key())
    granted = {name: generate_management_token() for name in ("reader_token", "expired_token", "revoked_token")}
    past = datetime.now(UTC) - timedelta(minutes=1)
    grant(database, application, CredentialKind.MANAGEMENT, granted["reader_token"], {Scope.READ_USERS})
    grant(database, application, CredentialKind.MANAGEMENT, granted["expired_token"], {Scope.ADMIN}, past)
    grant(database, application, CredentialKind.MANAGEMENT, granted["revoked_token"], {Scope.ADMIN})
    database.credentials.delete_one({"_id": digest(granted["revoked_token"])})
    return granted | {
        "key": application.collector_key,
        "token": application.management_token,
        "other_key": other.collector_key,
        "other_token": other.management_token,
    }


@pytest.fixture(scope="module")
def sender(stack: Stack, names: Mapping[str, str]) -> Iterator[Sender]:
    with grpc.insecure_channel(stack.grpc) as channel:
        yield Sender(stack.http.removeprefix("http://"), stack.grpc, channel, names)


@pytest.mark.parametrize("row", _ROWS, ids=[f"{row.file}: {row.name}" for row in _ROWS])
def test_bad_input(row: Row, sender: Sender, application_api: Api, database: Database[dict[str, Any]]) -> None:
    api = application_api
    users: Any = json.loads(row.before)
    if users:
        assert api.batch(users).status_code == 201
    try:
        responses = sender.send(row)
        assert (responses.grpc, responses.value) == (row.grpc, row.answer())
        assert responses.http == row.statuses()
        assert responses.headers.items() >= row.expected_headers().items()
        expected = {user["user_id"]: user for user in json.loads(filled(row.stored))}
        application_id = api.application.application_id
        stored = database.profiles.count_documents({"application_id": application_id})
        assert stored == len(expected) + row.visitors
        if stored:
            assert _users(api, expected) == expected
    finally:
        # A tombstone has no application_id, only an `_id`.
        database.profiles.delete_many({"_id": {"$regex": f"^{api.application.application_id}/"}})


def _users(api: Api, expected: Mapping[str, Any]) -> dict[str, Any]:
    """The users of the application, without the ignored fields that `expected` does not name."""
    users = api.client.get("/v1/users?page_size=1000", headers=api.reader).json()["users"]
    for user in users:
        named = expected.get(user["user_id"], {})
        for name in [*user]:
            if name not in named and (name in _BESIDE or user[name] == _NOTHING.get(name)):
                del user[name]
    return {user["user_id"]: user for user in users}
