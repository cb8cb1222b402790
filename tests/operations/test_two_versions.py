"""Programs of version 0.1 beside programs of this version, as during a rolling upgrade.

Servers are upgraded first, then gateways. An older gateway is served, except for calls that it would misread, which
are refused with a reason. A gateway that is newer than its server refuses every call with a reason.
"""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pymongo.database import Database

from server.local.mongod import EmbeddedMongod
from tests.support.applications import Application
from tests.support.programs import run_program
from tests.support.stack import DATABASE, Api, Stack, running_stack, start_gateway, start_server

pytestmark = pytest.mark.long

_WHEELS = Path(__file__).parents[1] / "versions"
_PROXY = {"X-Forwarded-For": "203.0.113.7"}


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The environment in which `python -m` runs the programs of version 0.1."""
    folder = tmp_path_factory.mktemp("version-0.1")
    for wheel in _WHEELS.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    # Without PYTHONSAFEPATH, the current directory would take precedence.
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


@pytest.fixture(scope="module")
def older_gateway(stack: Stack, older: dict[str, Any]) -> Iterator[str]:
    """The URL of a gateway of version 0.1, behind a proxy, with a server of this version."""
    gateway = start_gateway(stack.grpc, {"USERFOLD_TRUSTED_PROXIES": "127.0.0.1", **older})
    try:
        yield gateway.ready["http"]
    finally:
        assert gateway.stop() == 0


@pytest.fixture(scope="module")
def older_server(mongod: EmbeddedMongod, stack: Stack, older: dict[str, Any]) -> Iterator[str]:
    """The address of a server of version 0.1, on the same database as a server of this version."""
    server = start_server(mongod.uri, variables=older)
    try:
        yield server.ready["grpc"]
    finally:
        assert server.stop() == 0


@pytest.fixture
def through_older(older_gateway: str, application: Application) -> Iterator[Api]:
    """The API of the older gateway."""
    api = Api(older_gateway, application)
    with api.client:
        yield api


def _reason(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["details"][0]["reason"]


def test_the_older_programs_are_of_version_0_1(older: dict[str, Any]) -> None:
    program = "import gateway, server, userfold; print(gateway.__file__, server.__file__, userfold.__file__)"
    ran = subprocess.run([sys.executable, "-c", program], env=dict(os.environ) | older, capture_output=True, check=True)
    assert ran.stdout.decode().count(older["PYTHONPATH"]) == 3


def test_both_routes_of_the_client_libraries_work_through_an_older_gateway(through_older: Api, api: Api) -> None:
    for number in range(3):  # The first is sent as a unary call, later ones on a stream.
        answer = through_older.update({"user_id": f"single-{number}", "company_id": ""}, **_PROXY)
        assert answer.status_code == 201
        assert [each["field"] for each in answer.json().get("warnings", [])] == []
        assert api.get(f"single-{number}").json()["observed_ip_address"] == "203.0.113.7"
    answer = through_older.batch([{"user_id": "a"}, {"user_id": "x" * 513}, {"user_id": "b"}], **_PROXY)
    assert (_reason(answer), answer.json()["saved_count"]) == ((400, "BATCH_PARTLY_REFUSED"), 2)
    (refused,) = answer.json()["refused"]
    assert (refused["index"], refused["status"]["details"][1]["field_violations"][0]["field"]) == (
        1,
        "users[1].user_id",
    )
    assert through_older.batch([{"user_id": "a"}, {"user_id": "c"}]).json() == {"saved_count": 2}
    assert [api.get(user_id).status_code for user_id in "abc"] == [200] * 3
    assert _reason(through_older.update({"user_id": "x" * 513})) == (400, "INVALID_REQUEST")


def test_plain_reads_and_erasure_work_through_an_older_gateway(through_older: Api) -> None:
    sent = {"user_id": "u", "company_id": "c", "ip_address": "192.0.2.1", "metadata": {"a": [1, {"b": None}]}}
    read = through_older.stored(sent)
    assert {name: read[name] for name in sent} == sent
    client, reader = through_older.client, through_older.reader
    listed = client.get(
        "/v1/users", params={"filter": "company_id = c", "fields": "company_id,metadata.a"}, headers=reader
    )
    assert listed.json()["users"] == [{"user_id": "u", "company_id": "c", "metadata": {"a": [1, {"b": None}]}}]
    assert client.get("/v1/users:count", headers=reader).json() == {"count": 1}
    found = client.post("/v1/users:lookup", json={"company_id": "c", "max_users": 1}, headers=reader)
    assert [user["user_id"] for user in found.json()["users"]] == ["u"]
    assert client.delete("/v1/users/u?suppress_days=1", headers=reader).json() == {"deleted": True}
    assert through_older.update({"user_id": "u"}).status_code == 201
    assert through_older.get("u").status_code == 404


def test_calls_that_an_older_gateway_would_misread_are_refused_without_effect(through_older: Api) -> None:
    for user_id in ("u", "v"):
        through_older.stored({"company_id": "c", "session_token": "t"}, user_id=user_id)
    client, reader = through_older.client, through_older.reader

    def post(path: str, body: Any) -> tuple[int, str]:
        return _reason(client.post(f"/v1/users:{path}", json=body, headers=reader))

    too_old = 503, "GATEWAY_TOO_OLD"
    assert post("batchDelete", {"user_ids": ["u"]}) == too_old
    assert post("batchExport", {"user_ids": ["u"]}) == too_old
    assert post("batchRemoveAliases", {"requests": [{"user_id": "u", "session_token": "t"}]}) == too_old
    assert post("lookup", {"company_id": "c", "max_users": 1}) == too_old
    assert _reason(client.get("/v1/users/u:export", headers=reader)) == too_old
    assert _reason(client.get("/v1/campaigns:report", headers=reader)) == too_old
    assert through_older.get("u").json()["alias_count"] == 1


def test_a_gateway_refuses_every_call_while_its_server_is_older(
    older_server: str, database: Database[dict[str, Any]], application: Application
) -> None:
    gateway = start_gateway(older_server)
    try:
        api = Api(gateway.ready["http"], application)
        with api.client:
            answers = [
                api.update({"user_id": "u"}),
                api.batch([{"user_id": "u"}]),
                api.get("u"),
                api.client.delete("/v1/users/u", headers=api.reader),
                api.client.post("/v1/users:batchDelete", json={"user_ids": ["u"]}, headers=api.reader),
                api.client.get("/v1/campaigns:report", headers=api.reader),
            ]
        assert [_reason(answer) for answer in answers] == [(503, "SERVER_TOO_OLD")] * len(answers)
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        assert database.profiles.count_documents({"application_id": application.application_id}) == 0
    finally:
        assert gateway.stop() == 0


def test_no_update_is_acknowledged_wrongly_while_a_gateway_has_servers_of_both_versions(
    older_server: str, stack: Stack, application: Application, api: Api
) -> None:
    gateway = start_gateway(f"ipv4:{stack.grpc},{older_server}")
    try:
        mixed = Api(gateway.ready["http"], application)
        stored, reasons = set(), set()
        with mixed.client:
            for number in range(40):
                single, batched = f"single-{number}", f"batch-{number}"
                # Three, so that calls of each kind reach both servers, which take turns.
                for user_id, answer in (
                    (single, mixed.update({"user_id": single})),
                    (batched, mixed.batch([{"user_id": batched}])),
                    (batched, mixed.batch([{"user_id": batched}])),
                ):
                    if answer.status_code == 201:
                        stored.add(user_id)
                    else:
                        last = answer.json()["refused"][0]["status"] if "refused" in answer.json() else answer.json()
                        reasons.add(last["details"][0]["reason"])
        # The older server stores a batch, but the gateway cannot read its results.
        assert reasons <= {"SERVER_TOO_OLD", "WRITE_OUTCOME_UNKNOWN"}
        assert {"single-", "batch-"} == {each.rstrip("0123456789") for each in stored}
        assert [user_id for user_id in stored if api.get(user_id).status_code != 200] == []
    finally:
        assert gateway.stop() == 0


def test_profiles_are_the_same_through_servers_of_both_versions(
    older_server: str, older: dict[str, Any], application: Application, api: Api
) -> None:
    gateway = start_gateway(older_server, older)
    try:
        before = Api(gateway.ready["http"], application)
        with before.client:
            assert "stored_time" not in before.stored({"metadata": {"a": 1}, "campaign": {"utm_source": "s"}})
            read = api.get("u").json()
            assert (read["metadata"], "stored_time" in read, read["observed_ip_address"]) == (
                {"a": 1},
                False,
                "127.0.0.1",
            )
            read = api.stored({"metadata": {"b": 2}, "company_id": "c", "clear_fields": ["campaign"]})
            assert ("stored_time" in read, "campaign" in read) == (True, False)
            again = before.stored({"metadata": {"c": 3}})
            assert (again["metadata"], again["company_id"]) == ({"a": 1, "b": 2, "c": 3}, "c")
            assert api.get("u").json()["metadata"] == again["metadata"]
    finally:
        assert gateway.stop() == 0


def test_a_backup_of_an_older_server_is_restored_and_served(
    older_server: str, older: dict[str, Any], mongod: EmbeddedMongod, application: Application, tmp_path: Path
) -> None:
    def command(module: str, database: str, *arguments: object, **environment: str) -> None:
        ended = run_program(
            module,
            *arguments,
            variables={"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_DATABASE": database, **environment},
        )
        assert ended.returncode == 0, ended.stderr

    gateway = start_gateway(older_server, older)
    try:
        before = Api(gateway.ready["http"], application)
        with before.client:
            sent = {"metadata": {"a.b": [1, None]}, "campaign": {"utm_source": "s"}, "session_token": "t"}
            stored = before.stored(sent)
    finally:
        assert gateway.stop() == 0
    restored, file = f"{DATABASE}_restored", tmp_path / "backup"
    # The older one has no `userfold`.
    command("server.backup", DATABASE, "create", file, **older)
    command("cli.main", restored, "restore", file)
    with running_stack(mongod.uri, restored) as stack:
        after = Api(stack.http, application)
        with after.client:
            read = after.get("u").json()
            assert {name: read[name] for name in stored} == stored
            found = after.client.post("/v1/users:lookup", json={"session_token": "t"}, headers=after.reader)
            assert [user["user_id"] for user in found.json()["users"]] == ["u"]
