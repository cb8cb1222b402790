"""Recorded requests of client libraries that are not about users: companies, events, subscriptions.

Companies are stored as they were sent. All others get a successful response, whatever their bodies, as an error would
end the process of some clients.
"""

import gzip
import json
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo.database import Database

from tests.recordings.test_recordings import ClientConnection
from tests.support.http1 import Connection
from tests.support.stack import Api, Stack

_RECORDINGS: Final = sorted((Path(__file__).parent / "other-calls").glob("*.json"))
_COMPANIES: Final = [recording for recording in _RECORDINGS if "companies" in recording.stem]
_UNSTORED: Final = [recording for recording in _RECORDINGS if recording not in _COMPANIES]


def _request(recording: Path, api: Api) -> bytes:
    """The bytes of a recorded request, with the key of the test's application."""
    recorded = json.loads(recording.read_text())
    body = recorded["body"].encode()
    sent = gzip.compress(body) if recorded["gzip"] else body
    headers = [f"{name}: {value}" for name, values in recorded["headers"].items() for value in values]
    key = f"X-Moesif-Application-Id: {api.application.collector_key}"
    lines = [f"{recorded['method']} {recorded['path']} HTTP/1.1", "Host: users.example", key, *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(sent)}", "", ""]).encode() + sent


def _accepted(connection: Connection, request: bytes) -> Any:
    answer = connection.exchange(request)
    assert answer.status == 201, answer.json
    return answer.json


def test_the_recordings_exist() -> None:
    assert len(_RECORDINGS) == 27
    paths = {json.loads(recording.read_text())["path"] for recording in _RECORDINGS}
    kinds = ("companies", "events", "subscriptions")
    assert paths == {f"/v1/{kind}{suffix}" for kind in kinds for suffix in ("", "/batch")} | {"/v1/actions"}


@pytest.mark.parametrize("recording", _COMPANIES, ids=lambda recording: recording.stem)
def test_a_recorded_company_is_stored_as_it_was_sent(recording: Path, stack: Stack, api: Api) -> None:
    sent = json.loads(json.loads(recording.read_text())["body"])
    (company,) = sent if isinstance(sent, list) else [sent]
    with ClientConnection(stack) as connection:
        for _ in range(2):
            answer = _accepted(connection, _request(recording, api))
            assert answer == ({"saved_count": 1} if isinstance(sent, list) else {})
    stored = api.client.get(f"/v1/companies/{company['company_id']}", headers=api.reader).json()
    assert stored["company_id"] == company["company_id"]
    assert stored.get("company_domain") == company.get("company_domain")
    assert stored["metadata"] == company.get("metadata", {})
    assert "campaign" not in stored


@pytest.mark.parametrize("recording", _UNSTORED, ids=lambda recording: recording.stem)
def test_a_recorded_call_is_accepted_with_the_warning_that_it_is_not_stored(
    recording: Path, stack: Stack, api: Api, database: Database[dict[str, Any]]
) -> None:
    with ClientConnection(stack) as connection:
        # Twice, as the first must leave nothing of its body on the connection.
        for _ in range(2):
            body = _accepted(connection, _request(recording, api))
            assert [warning["reason"] for warning in body["warnings"]] == ["NOT_STORED"]
    owned = {"application_id": api.application.application_id}
    assert database.profiles.count_documents(owned) == 0


def test_all_calls_and_user_updates_share_a_connection(stack: Stack, api: Api) -> None:
    body = b'{"user_id":"u","metadata":{"n":1}}'
    key = f"X-Moesif-Application-Id: {api.application.collector_key}"
    update = f"POST /v1/users HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with ClientConnection(stack) as connection:
        for recording in _RECORDINGS:
            _accepted(connection, _request(recording, api))
            assert _accepted(connection, update) == {}
    assert api.get("u").json()["metadata"] == {"n": 1}


@pytest.mark.parametrize("key", ["", "X-Moesif-Application-Id: unknown"], ids=["no key", "an unknown key"])
def test_without_a_credential_the_call_is_refused(key: str, stack: Stack) -> None:
    with ClientConnection(stack) as connection:
        answer = connection.exchange(
            "\r\n".join(
                ["POST /v1/events HTTP/1.1", "Host: x", *([key] if key else []), "Content-Length: 2", "", "{}"]
            ).encode()
        )
    assert (answer.status, answer.json["status"]) == (401, "UNAUTHENTICATED")
