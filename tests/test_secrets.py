"""A canary in every field that is secret or personal: it is in no log, no error and no metric."""

import gzip
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from server.credentials import generate_collector_key
from server.mongod import EmbeddedMongod
from server.settings import InvalidSetting
from server.store.database import connect, open_database, prepare
from tests.conftest import DATABASE, Api, Application, Program, register

_CANARY = "CANARY7c1f"


@dataclass
class Watched:
    """A stack whose every output is kept."""

    api: Api
    logs: Path
    metrics: list[str]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def watched(mongod: EmbeddedMongod, database: Database[dict[str, Any]], tmp_path: Path) -> Iterator[Watched]:
    logs = tmp_path / "logs"
    ports = [_free_port(), _free_port()]
    application = register(database, f"{_CANARY}-{generate_collector_key()}")
    with logs.open("wb") as sink:
        server = Program(
            "server",
            stderr=sink,
            USERFOLD_MONGODB_URI=mongod.uri,
            USERFOLD_DATABASE=DATABASE,
            USERFOLD_GRPC_ADDRESS="127.0.0.1:0",
            USERFOLD_SERVER_METRICS_ADDRESS=f"127.0.0.1:{ports[0]}",
        )
        gateway = Program(
            "gateway",
            stderr=sink,
            USERFOLD_GRPC_ADDRESS=server.ready["grpc"],
            USERFOLD_HTTP_ADDRESS="127.0.0.1:0",
            USERFOLD_GATEWAY_METRICS_ADDRESS=f"127.0.0.1:{ports[1]}",
        )
        api = Api(gateway.ready["http"], application)
        with api.client:
            yield Watched(api, logs, [f"http://127.0.0.1:{port}/metrics" for port in ports])
        assert gateway.stop() == 0
        assert server.stop() == 0


def _secret_user(**changes: Any) -> dict[str, Any]:
    return {
        "user_id": f"{_CANARY}@acme.com",
        "company_id": _CANARY,
        "session_token": f"token-{_CANARY}",
        "ip_address": _CANARY,
        "user_agent_string": f"Mozilla/5.0 {_CANARY}",
        "anonymous_id": _CANARY,
        "campaign": {"referrer": f"https://x/?token={_CANARY}"},
        "metadata": {"email": f"{_CANARY}", "phone": 1, _CANARY: {_CANARY: _CANARY}},
    } | changes


def test_no_secret_reaches_a_log_an_error_or_a_metric(watched: Watched, database: Database[dict[str, Any]]) -> None:
    api = watched.api
    answers = [
        api.update(_secret_user()),
        api.update(_secret_user(metadata={_CANARY: "x", "a": _CANARY})),
        # A path that meets a stored text: MongoDB's message holds that text.
        api.update(_secret_user(metadata={"a": {"b": {}}, _CANARY: {"y": _CANARY}})),
        api.batch([_secret_user(), _secret_user(session_token=_CANARY * 1000)]),
        api.update(_secret_user(session_token={"x": _CANARY})),
        api.update(_secret_user(session_token=_CANARY * 1000, user_id=_CANARY * 1000, ip_address=_CANARY * 1000)),
        api.update(_secret_user(modified_time=_CANARY, company_id=[_CANARY])),
        api.update(_secret_user(metadata={"email": [_CANARY]})),
        api.update(_secret_user(metadata={"big": _CANARY * 60_000})),
        api.update(_secret_user(metadata={"bigger": _CANARY * 60_000})),
        api.raw(json.dumps(_secret_user()).encode()[:-1]),
        api.raw(json.dumps(_secret_user()).encode() + _CANARY.encode()),
        api.raw(gzip.compress(json.dumps(_secret_user()).encode())[:-9], **{"Content-Encoding": "gzip"}),
        api.client.post("/v1/users", json=_secret_user(), headers={"X-Moesif-Application-Id": f"unknown-{_CANARY}"}),
        api.client.post("/v1/users", json=_secret_user(), headers={"Authorization": f"Bearer {_CANARY}"}),
        api.client.get(f"/v1/users/{_CANARY}", headers=api.writer),
        api.client.get(f"/v1/users/{_CANARY}", headers=api.reader),
        api.client.get(f"/v1/users/{_CANARY}%FF", headers=api.reader),
        api.client.get(f"/nothing/{_CANARY}?token={_CANARY}", headers=api.reader),
        api.client.put(f"/v1/users/{_CANARY}", headers=api.writer),
        api.client.post("/v1/users:lookup", json={"email": _CANARY}, headers=api.reader),
        api.client.post("/v1/users:lookup", json={"session_token": [_CANARY]}, headers=api.reader),
        api.client.post("/v1/users:lookup", json={_CANARY: _CANARY}, headers=api.writer),
        api.client.post(f"/v1/users/{_CANARY}:removeAlias", json={"session_token": _CANARY}, headers=api.reader),
    ]
    admin = database.client.admin
    for failure in ({"errorCode": 13}, {"errorCode": 50}):
        data = failure | {"failCommands": ["update"], "appName": "userfold"}
        admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
        answers.append(api.update(_secret_user(user_id="other")))
    assert [answer.status_code for answer in answers] == [
        *[201, 201, 201, 400, 400, 400, 400, 400, 201, 400],
        *[400, 400, 400, 401, 401, 403, 404, 400, 404, 405, 400, 400, 403, 404, 500, 503],
    ]
    for answer in answers:
        # A path names the caller's own keys, and only to that caller; here the key itself is the canary.
        told = re.sub(rf'"field":"(users\[\d+\]\.)?metadata\.{_CANARY}[^"]*"', "", answer.text)
        assert _CANARY not in told
        assert not any(_CANARY in value for value in answer.headers.values())
    for url in watched.metrics:
        text = urllib.request.urlopen(url).read().decode()  # noqa: S310 - a URL of the test's own
        assert "userfold_" in text
        assert "refusals_total" in text
        assert _CANARY not in text
    logs = watched.logs.read_text()
    assert logs.count('"refused"') >= 15
    assert _CANARY not in logs
    assert api.application.management_token not in logs


def test_no_secret_is_stored_but_as_a_digest(api: Api, database: Database[dict[str, Any]]) -> None:
    assert api.update({"user_id": "u", "session_token": f"token-{_CANARY}"}).status_code == 201
    application: Application = api.application
    for collection in ("profiles", "applications", "credentials"):
        stored = repr(list(database[collection].find()))
        for secret in (f"token-{_CANARY}", application.collector_key, application.management_token):
            assert secret not in stored
            assert secret.encode().hex() not in stored


def test_a_refusal_names_the_field_of_the_contract_in_the_log_but_no_key_of_a_caller(watched: Watched) -> None:
    watched.api.update({"user_id": "u", "metadata": {"email": [], "deep": {"k": {}}}, "company_id": "x" * 513})
    deadline = time.monotonic() + 10
    while True:
        lines = [json.loads(line) for line in watched.logs.read_text().splitlines()]
        found = [line for line in lines if "method" in line and line.get("event") == "refused"]
        if found:
            break
        assert time.monotonic() < deadline
    assert (found[0]["reason"], found[0]["fields"]) == ("INVALID_REQUEST", ["company_id", "metadata"])


def test_a_start_that_fails_does_not_print_the_password_of_the_database() -> None:
    for uri in (f"mongodb://user:{_CANARY}@127.0.0.1:port/", f"mongo://u:{_CANARY}@x:y:z"):
        run = subprocess.run(
            [sys.executable, "-m", "server.applications", "create", "x"],
            env={"USERFOLD_MONGODB_URI": uri, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 1
        assert "USERFOLD_MONGODB_URI" in run.stderr
        assert _CANARY not in run.stdout + run.stderr


async def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    client = connect(f"mongodb://user:{_CANARY}@127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=50)
    with pytest.raises(InvalidSetting, match="USERFOLD_MONGODB_URI") as failure:
        await prepare(open_database(client, "x"))
    assert _CANARY not in str(failure.value)
    client.close()
