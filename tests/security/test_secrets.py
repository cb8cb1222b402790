"""Canaries go through every method and route, and into every kind of error, on a stack whose every output is kept.

No secret is anywhere, but as a digest; a personal value is in profiles, in what MongoDB keeps of its writes, and in
answers to who may read it, and nowhere else.
"""

import base64
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
import httpx2
import pytest
from pymongo import MongoClient
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb

from server import applications, backup
from server.accounts.credentials import digest
from server.limits import MESSAGE_BYTES
from server.local.mongod import EmbeddedMongod
from server.model import CredentialKind, Scope
from server.mongo.client import connect, open_database, prepare
from server.mongo.replica_set import initiate
from server.rpc.error_status import ERROR_STATUSES
from server.settings import InvalidSetting
from server.users.derive import alias_digest
from tests.security import faulty_gateway, faulty_server
from tests.security.marked_values import Canaries, Canary, CanaryIds
from tests.security.recorded_traffic import Caller, Evidence
from tests.support.applications import Application, grant, register
from tests.support.database_dump import OPLOG, dump
from tests.support.http1 import Connection
from tests.support.programs import free_port
from tests.support.stack import DATABASE, start_gateway, start_server
from tests.support.transports import BINDINGS, Credential, GrpcTransport, HttpTransport, http_request

_PROFILES = f"{DATABASE}.profiles"
_BACKUP = "the backup"
_TO_READERS = "what readers are told"
_ERRORS = "errors"
_STORED = (Canary.PERSONAL, Canary.KEY)
_SLOW = "waitInFindBeforeMakingBatch"


def _wrong_credentials(caller: Caller, evidence: Evidence, database: Database[dict[str, Any]]) -> list[Credential]:
    owner, secret = evidence.application, evidence.canaries.make(Canary.SECRET, "unknown credential")
    powerless, over = (evidence.canaries.make(Canary.SECRET, name) for name in ("token without scopes", "old token"))
    grant(database, owner, CredentialKind.MANAGEMENT, powerless, [])
    grant(database, owner, CredentialKind.MANAGEMENT, over, [Scope.ADMIN], datetime.now(UTC))
    return [
        {},
        {"X-Moesif-Application-Id": secret},
        {"X-Moesif-Application-Id": owner.management_token},
        {"Authorization": f"Bearer {owner.collector_key}"},
        {"Authorization": f"Bearer {powerless}"},
        {"Authorization": f"Bearer {over}"},
        {"Authorization": owner.management_token},
        {"Authorization": f"Basic {owner.management_token}", "Cookie": f"session={owner.management_token}"},
        {"X-Token": owner.management_token, "Referer": f"https://x/?token={owner.management_token}"},
    ]


def _send_no_http(address: str, secret: str) -> bytes:
    """What a listener says to bytes that are no request, or none that it takes."""
    received = b""
    for text in (
        f"{secret} {secret}\r\n\r\n",
        f"GET /{secret} HTTP/9.{secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{secret}\r\n\r\n",
        f"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: {secret}\r\n\r\n",
        f"POST /v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{secret}\r\n",
        f"GET /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret * 9000}\r\n\r\n",
    ):
        with Connection(address) as connection, suppress(ConnectionError):
            connection.send(text.encode())
            connection.finish_sending()
            received += connection.read_to_end()
    return received


def _command(main: Callable[[list[str]], int], uri: str, *arguments: str) -> bytes:
    """What a command prints."""
    with (
        ThreadPoolExecutor(1) as thread,  # It has no event loop yet.
        patch.dict(os.environ, {"USERFOLD_MONGODB_URI": uri, "USERFOLD_DATABASE": DATABASE}),
        redirect_stdout(io.StringIO()) as stdout,
        redirect_stderr(io.StringIO()) as stderr,
    ):
        assert thread.submit(main, list(arguments)).result() == 0
    return (stdout.getvalue() + stderr.getvalue()).encode()


def _command_lines() -> bytes:
    """Those of all processes of this machine."""
    lines = []
    for path in Path("/proc").glob("[1-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return b"\n".join(lines)


def _drive(caller: Caller, evidence: Evidence, database: Database[dict[str, Any]]) -> None:
    canaries, ids = evidence.canaries, evidence.ids
    caller.ask_everything(CanaryIds(canaries, faulty_server.WORD))
    caller.ask_everything(CanaryIds(canaries, faulty_gateway.WORD))
    for credential in _wrong_credentials(caller, evidence, database):
        caller.ask_everything(ids, credential)
    caller.break_everything(ids)

    update = ids.update()
    for number in range(3):
        update.user_id = f"{ids.user_id}-{number}"
        caller.ask("UpdateUser", pb.UpdateUserRequest(user=update))
    listed = caller.ask("ListUsers", pb.ListUsersRequest(page_size=1))
    token = pb.ListUsersResponse.FromString(listed[1]).next_page_token  # type: ignore[arg-type]
    # What is before tells the time alone.
    canaries.take(Canary.PAGE_TOKEN, "page token", token[20:60])
    caller.ask("ListUsers", pb.ListUsersRequest(page_size=1, page_token=token))
    caller.ask("ListUsers", pb.ListUsersRequest(page_size=1, page_token=token[:-9]))
    caller.ask("CountUsers", pb.CountUsersRequest(filter=f"user_id = {token} AND ("))
    request = pb.LookupUsersRequest(company_id=ids.company_id, page_size=1)
    found = caller.ask("LookupUsers", request)
    request.page_token = pb.LookupUsersResponse.FromString(found[1]).next_page_token  # type: ignore[arg-type]
    canaries.take(Canary.PAGE_TOKEN, "page token of a look-up", request.page_token[20:60])
    caller.ask("LookupUsers", request)
    request.email = ids.email
    caller.ask("LookupUsers", request)
    request.ClearField("company_id")
    caller.ask("LookupUsers", request)
    for place in ({"params": {"page_token": token, "order_by": "user_id"}}, {"url": f"/v1/users/{token}/x"}):
        caller.http(caller.token, **{"method": "GET", "url": "/v1/users", **place})

    # A query that takes long, so that MongoDB may log it.
    admin = database.client.admin
    before = admin.command({"configureFailPoint": _SLOW, "mode": "alwaysOn"})["count"]
    with ThreadPoolExecutor(1) as thread:
        thread.submit(caller.ask, "LookupUsers", pb.LookupUsersRequest(company_id=ids.company_id))
        admin.command({"waitForFailPoint": _SLOW, "timesEntered": before + 1, "maxTimeMS": 30_000})
        time.sleep(0.2)
        admin.command({"configureFailPoint": _SLOW, "mode": "off"})
    # MongoDB names values where a path meets a text.
    half = ids.email * 24_000
    changes: list[dict[str, Any]] = [{"a": ids.email}, {"a": {"b": {}}}, {"$set": {"a.b": ids.email}}]
    for metadata in (*changes, {"c": half}, {"d": half}):
        user = {"user_id": update.user_id, "metadata": metadata}
        caller.http(caller.key, method="POST", url="/v1/users", json=user)
    unset = ids.update()
    unset.metadata.fields[ids.key].Clear()
    caller.ask("UpdateUser", pb.UpdateUserRequest(user=unset))
    conditional = ids.update()
    conditional.etag = ids.email
    caller.ask("UpdateUser", pb.UpdateUserRequest(user=conditional))
    caller.http(caller.key, method="POST", url="/v1/users", json={"user_id": ids.user_id, "etag": ids.email})
    caller.ask("DeleteUser", pb.DeleteUserRequest(user_id=ids.user_id, validate_only=True))
    caller.ask("BatchDeleteUsers", pb.BatchDeleteUsersRequest(user_ids=[ids.user_id] * 1001))
    for code in (13, 50, 121, 11000):
        with caller.failing(errorCode=code):
            caller.ask_everything(ids)
    with caller.failing(times=2, closeConnection=True):
        caller.ask("GetUser", pb.GetUserRequest(user_id=ids.user_id))
    with caller.failing(blockConnection=True, blockTimeMS=100):
        caller.give_up_everything(ids)
    caller.send("UpdateUser", ids.email.encode() + bytes(MESSAGE_BYTES))
    caller.ask_everything(ids)
    # By now the user is erased: the same again, under another name.
    ids.user_id = canaries.make(Canary.PERSONAL, "another user_id")
    caller.ask("UpdateUser", pb.UpdateUserRequest(user=ids.update()))
    caller.http(caller.key, method="POST", url="/v1/users", json={"user_id": f"{ids.user_id}-seen"})
    for user_id in (ids.user_id, f"{ids.user_id}-seen"):
        caller.ask("ExportUser", pb.ExportUserRequest(user_id=user_id))


@pytest.fixture(scope="module")
def evidence() -> Iterator[Evidence]:
    canaries = Canaries()
    password = canaries.make(Canary.SECRET, "password of MongoDB")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs = {name: stack.enter_context((directory / name).open("wb")) for name in ("server", "gateway")}
        mongod = stack.enter_context(EmbeddedMongod(directory, ["--setParameter", "enableTestCommands=1"]))
        initiate(mongod.uri)
        client = stack.enter_context(MongoClient[dict[str, Any]](mongod.uri))
        client.admin.command("createUser", "userfold", pwd=password, roles=["root"])
        uri = mongod.uri.replace("://", f"://userfold:{password}@") + "&authSource=admin"
        database = client[DATABASE]
        registered = register(database, canaries.make(Canary.SECRET, "collector key"))
        token = canaries.make(Canary.SECRET, "management token")
        grant(database, registered, CredentialKind.MANAGEMENT, token, {Scope.ADMIN})
        application = Application(registered.application_id, registered.collector_key, token)
        evidence = Evidence(canaries, application, CanaryIds(canaries))
        metrics = {f"metrics of the {name}": f"127.0.0.1:{free_port()}" for name in logs}
        verbose = {"GRPC_VERBOSITY": "debug", "USERFOLD_LOG_LEVEL": "info"}
        server = start_server(
            uri,
            variables={"USERFOLD_SERVER_METRICS_ADDRESS": metrics["metrics of the server"], **verbose},
            module="tests.security.faulty_server",
            stderr=logs["server"],
        )
        stack.callback(server.stop)
        gateway = start_gateway(
            server.ready["grpc"],
            {
                "USERFOLD_TRUSTED_PROXIES": "127.0.0.1",
                "USERFOLD_GATEWAY_METRICS_ADDRESS": metrics["metrics of the gateway"],
                **verbose,
            },
            module="tests.security.faulty_gateway",
            stderr=logs["gateway"],
        )
        stack.callback(gateway.stop)
        seen = {"X-Forwarded-For": canaries.address("client address")}
        channel = stack.enter_context(grpc.insecure_channel(server.ready["grpc"]))
        http = stack.enter_context(httpx2.Client(base_url=gateway.ready["http"], timeout=30, headers=seen))
        caller = Caller((GrpcTransport(channel), HttpTransport(http)), evidence, database)
        _drive(caller, evidence, database)
        sinks = evidence.sinks
        sinks["what is no request is told"] = _send_no_http(gateway.ready["http"], token)
        for name, address in metrics.items():
            sinks[name] = urllib.request.urlopen(f"http://{address}/metrics?token={token}").read()
        sinks["command lines"] = _command_lines()
        sinks["list of applications"] = _command(applications.main, uri, "list")
        sinks["what a backup tells"] = _command(backup.main, uri, "create", str(directory / "backup"))
        sinks[_BACKUP] = gzip.decompress((directory / "backup").read_bytes())
        sinks |= dump(client)
        # Without a server.
        assert server.stop() == 0
        caller.http(
            caller.key, **http_request(BINDINGS["UpdateUser"], pb.UpdateUserRequest(user=evidence.ids.update()))
        )
        caller.http(caller.token, method="GET", url=f"/v1/users/{evidence.ids.user_id}")
        assert gateway.stop() == 0
        for name, program in (("server", server), ("gateway", gateway)):
            sinks[f"log of the {name}"] = (directory / name).read_bytes()
            sinks[f"stdout of the {name}"] = program.printed
        said = (directory / "mongodb.log").read_bytes().splitlines(keepends=True)
        # What makes MongoDB slow tells of it too.
        sinks["log of MongoDB"] = b"".join(line for line in said if b"Waiting in find before making batch" not in line)
        good = [answer for answer in evidence.answers if answer[0] in ("OK", 200, 201)]
        sinks[_TO_READERS] = repr(good).encode()
        sinks[_ERRORS] = repr([answer for answer in evidence.answers if answer not in good]).encode()
        yield evidence


def test_every_kind_of_error_was_met(evidence: Evidence) -> None:
    codes = {answer[0] for answer in evidence.answers}
    never = {"UNKNOWN", "ALREADY_EXISTS", "ABORTED", "OUT_OF_RANGE", "DATA_LOSS"}
    assert codes >= {code.name for code in grpc.StatusCode} - never
    assert codes >= {200, 201, 400, 401, 403, 404, 405, 413, 415, 500, 503}
    # These take many calls, a server that stops, minutes, a header that is sent twice, or an older gateway.
    elsewhere = {
        "OVERLOADED",
        "RATE_LIMITED",
        "RESPONSE_TOO_LARGE",
        "SERVER_STOPPING",
        "STREAM_IDLE",
        "CREDENTIAL_AMBIGUOUS",
        "GATEWAY_TOO_OLD",
    }
    assert {answer.reason for answer in ERROR_STATUSES.values()} | {"INTERNAL"} <= evidence.reasons | elsewhere
    for name in ("server", "gateway"):
        lines = evidence.sinks[f"log of the {name}"].splitlines()
        told = [json.loads(line) for line in lines if line.startswith(b"{")]
        assert {each["event"] for each in told} >= {"refused", "defect"}
        assert b"refusals_total{" in evidence.sinks[f"metrics of the {name}"]


def test_canaries_are_found_where_they_must_be(evidence: Evidence) -> None:
    canaries, ids = evidence.canaries, evidence.ids
    # Of the first user_id, by now, an erasure alone is kept.
    stored = {name for name in canaries.names(*_STORED) if not name.startswith("defect")} - {"user_id"}
    for sink in (_PROFILES, _BACKUP, OPLOG):
        assert canaries.found(evidence.sinks[sink], *_STORED) >= stored
    assert canaries.found(evidence.sinks[_TO_READERS], *_STORED) >= stored
    assert canaries.found(evidence.sinks[_TO_READERS], Canary.PAGE_TOKEN)
    assert alias_digest(evidence.application.application_id, ids.session_token) in evidence.sinks[_PROFILES]
    for secret in (evidence.application.collector_key, evidence.application.management_token):
        assert digest(secret) in evidence.sinks[f"{DATABASE}.credentials"]
    assert b"tests.security.faulty_server" in evidence.sinks["command lines"]
    assert evidence.sinks["log of MongoDB"].count(b"\n{") > 10


def test_no_canary_is_found_elsewhere(evidence: Evidence) -> None:
    found = set()
    for sink, text in evidence.sinks.items():
        kinds = set(Canary)
        if sink in (_PROFILES, _BACKUP, OPLOG, _TO_READERS):
            kinds -= {*_STORED}
        if sink == _TO_READERS:
            kinds -= {Canary.PAGE_TOKEN}
        if sink == _ERRORS:
            # A path names the caller's own keys, to that caller.
            kinds -= {Canary.KEY}
        found |= {(sink, name) for name in evidence.canaries.found(text, *kinds)}
    assert found == set()


@pytest.mark.parametrize("shift", range(3))
def test_what_is_hidden_in_another_form_is_found(shift: int) -> None:
    canaries = Canaries()
    text = b"x" * shift + canaries.make(Canary.SECRET, "it").encode() + b"y"
    for form in (text, text.hex().encode(), base64.b64encode(text), text.upper()):
        assert canaries.found(b"before" + form, Canary.SECRET) == {"it"}
        assert canaries.found(form, Canary.PERSONAL) == set()
        assert canaries.found(form[:-12] + form[-8:], Canary.SECRET) == set()


def test_a_start_that_fails_does_not_print_the_password_of_the_database() -> None:
    for uri in ("mongodb://user:c4n4ry@127.0.0.1:port/", "mongo://u:c4n4ry@x:y:z"):
        run = subprocess.run(
            [sys.executable, "-m", "server.applications", "create", "x"],
            env={"USERFOLD_MONGODB_URI": uri, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 1
        assert "USERFOLD_MONGODB_URI" in run.stderr
        assert "c4n4ry" not in run.stdout + run.stderr


async def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    client = connect("mongodb://user:c4n4ry@127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=50)
    with pytest.raises(InvalidSetting, match="USERFOLD_MONGODB_URI") as failure:
        await prepare(open_database(client, "x"))
    assert "c4n4ry" not in str(failure.value)
    client.close()
