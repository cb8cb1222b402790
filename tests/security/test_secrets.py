"""Marked secrets and personal values are sent to every method and route and into every kind of error, and every output
of the programs is searched for them.

A secret appears nowhere, except as a digest. A personal value appears only in profiles, in MongoDB's own records of
writes, and in responses to clients that may read it.
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
from userfold.v1 import visitor_service_pb2 as visitor_pb
from userfold.v1.credential_service_pb2 import RevokeCredentialRequest, RotateCredentialRequest

from cli.main import main
from server.accounts.credentials import digest
from server.limits import MESSAGE_BYTES
from server.local.mongod import EmbeddedMongod
from server.model import CredentialKind, Scope
from server.mongo.client import connect, open_database, prepare
from server.mongo.replica_set import initiate
from server.rpc.error_status import ERROR_STATUSES
from server.settings import InvalidSetting
from server.users.ids import alias_digest
from tests.security import faulty_gateway, faulty_server
from tests.security.marked_values import MarkedIds, MarkedValues, ValueKind
from tests.security.recorded_traffic import RecordedTraffic, RecordingClient
from tests.support.applications import Application, grant, register
from tests.support.database_dump import OPLOG, dump
from tests.support.http1 import Connection
from tests.support.programs import free_port
from tests.support.stack import DATABASE, start_gateway, start_server
from tests.support.transports import BINDINGS, Credential, GrpcTransport, HttpTransport, http_request

pytestmark = pytest.mark.long

_PROFILES = f"{DATABASE}.profiles"
_BACKUP = "the backup"
_TO_READERS = "responses to readers"
_ERRORS = "errors"
_STORED = (ValueKind.PERSONAL, ValueKind.KEY)
_SLOW = "waitInFindBeforeMakingBatch"


def _wrong_credentials(
    client: RecordingClient, traffic: RecordedTraffic, database: Database[dict[str, Any]]
) -> list[Credential]:
    application, secret = traffic.application, traffic.values.make(ValueKind.SECRET, "unknown credential")
    without_scopes, expired = (
        traffic.values.make(ValueKind.SECRET, name) for name in ("token without scopes", "old token")
    )
    grant(database, application, CredentialKind.MANAGEMENT, without_scopes, [])
    grant(database, application, CredentialKind.MANAGEMENT, expired, [Scope.ADMIN], datetime.now(UTC))
    return [
        {},
        {"X-Moesif-Application-Id": secret},
        {"X-Moesif-Application-Id": application.management_token},
        {"Authorization": f"Bearer {application.collector_key}"},
        {"Authorization": f"Bearer {without_scopes}"},
        {"Authorization": f"Bearer {expired}"},
        {"Authorization": application.management_token},
        {"Authorization": f"Basic {application.management_token}", "Cookie": f"session={application.management_token}"},
        {"X-Token": application.management_token, "Referer": f"https://x/?token={application.management_token}"},
    ]


def _send_invalid_http(address: str, secret: str) -> bytes:
    """The responses to bytes that are no HTTP request, or an invalid one."""
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
    """The output of a command."""
    with (
        ThreadPoolExecutor(1) as thread,  # A thread without an event loop.
        patch.dict(os.environ, {"USERFOLD_MONGODB_URI": uri, "USERFOLD_DATABASE": DATABASE}),
        redirect_stdout(io.StringIO()) as stdout,
        redirect_stderr(io.StringIO()) as stderr,
    ):
        assert thread.submit(main, list(arguments)).result() == 0, stderr.getvalue()
    return (stdout.getvalue() + stderr.getvalue()).encode()


def _command_lines() -> bytes:
    """The command lines of all processes of this machine."""
    lines = []
    for path in Path("/proc").glob("[1-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return b"\n".join(lines)


def _manage_credentials(client: RecordingClient, traffic: RecordedTraffic, database: Database[dict[str, Any]]) -> None:
    """Create and rotate credentials, and have what is refused of them refused."""
    client.http(client.key, method="GET", url="/v1/application")
    tokens = {"display_name": "x", "kind": "management_token", "scopes": ["admin"]}
    (_, body, *_) = client.http(client.token, method="POST", url="/v1/credentials", json=tokens)
    credential_id = json.loads(body)["credential"]["credential_id"]  # type: ignore[arg-type]
    for _ in range(2):
        client.call("RotateCredential", RotateCredentialRequest(credential_id=credential_id, overlap_hours=1))
    own = database.credentials.find_one({"_id": digest(traffic.application.management_token)}) or {}
    others = {"_id": {"$ne": own["_id"]}, "application_id": traffic.application.application_id, "scopes": Scope.ADMIN}
    database.credentials.delete_many(others)
    client.call("RevokeCredential", RevokeCredentialRequest(credential_id=own["credential_id"], allow_self=True))


def _drive(client: RecordingClient, traffic: RecordedTraffic, database: Database[dict[str, Any]]) -> None:
    values, ids = traffic.values, traffic.ids
    client.call_every_method(MarkedIds(values, faulty_server.WORD))
    client.call_every_method(MarkedIds(values, faulty_gateway.WORD))
    for credential in _wrong_credentials(client, traffic, database):
        client.call_every_method(ids, credential)
    client.send_every_invalid_request(ids)

    _manage_credentials(client, traffic, database)

    update = ids.update()
    for number in range(3):
        update.user_id = f"{ids.user_id}-{number}"
        client.call("UpdateUser", pb.UpdateUserRequest(user=update))
    listed = client.call("ListUsers", pb.ListUsersRequest(page_size=1))
    token = pb.ListUsersResponse.FromString(listed[1]).next_page_token  # type: ignore[arg-type]
    # The characters before hold only the time.
    values.mark(ValueKind.PAGE_TOKEN, "page token", token[20:60])
    client.call("ListUsers", pb.ListUsersRequest(page_size=1, page_token=token))
    client.call("ListUsers", pb.ListUsersRequest(page_size=1, page_token=token[:-9]))
    client.call("CountUsers", pb.CountUsersRequest(filter=f"user_id = {token} AND ("))
    request = pb.LookupUsersRequest(company_id=ids.company_id, page_size=1)
    found = client.call("LookupUsers", request)
    request.page_token = pb.LookupUsersResponse.FromString(found[1]).next_page_token  # type: ignore[arg-type]
    values.mark(ValueKind.PAGE_TOKEN, "page token of a look-up", request.page_token[20:60])
    client.call("LookupUsers", request)
    request.email = ids.email
    client.call("LookupUsers", request)
    request.ClearField("company_id")
    client.call("LookupUsers", request)
    for place in ({"params": {"page_token": token, "order_by": "user_id"}}, {"url": f"/v1/users/{token}/x"}):
        client.http(client.token, **{"method": "GET", "url": "/v1/users", **place})

    # A slow query, which MongoDB may log.
    admin = database.client.admin
    before = admin.command({"configureFailPoint": _SLOW, "mode": "alwaysOn"})["count"]
    with ThreadPoolExecutor(1) as thread:
        thread.submit(client.call, "LookupUsers", pb.LookupUsersRequest(company_id=ids.company_id))
        admin.command({"waitForFailPoint": _SLOW, "timesEntered": before + 1, "maxTimeMS": 30_000})
        time.sleep(0.2)
        admin.command({"configureFailPoint": _SLOW, "mode": "off"})
    # MongoDB's errors contain values where a path meets a string.
    half = ids.email * 24_000
    changes: list[dict[str, Any]] = [{"a": ids.email}, {"a": {"b": {}}}, {"$set": {"a.b": ids.email}}]
    for metadata in (*changes, {"c": half}, {"d": half}):
        user = {"user_id": update.user_id, "metadata": metadata}
        client.http(client.key, method="POST", url="/v1/users", json=user)
    unset = ids.update()
    unset.metadata.fields[ids.key].Clear()
    client.call("UpdateUser", pb.UpdateUserRequest(user=unset))
    conditional = ids.update()
    conditional.user_id, conditional.etag = update.user_id, ids.email
    client.call("UpdateUser", pb.UpdateUserRequest(user=conditional))
    client.call("UpdateUser", pb.UpdateUserRequest(user=update, validate_only=True))
    client.http(client.key, method="POST", url="/v1/users", json={"user_id": update.user_id, "etag": ids.email})
    client.call("DeleteUser", pb.DeleteUserRequest(user_id=ids.user_id, validate_only=True))
    client.call("BatchDeleteUsers", pb.BatchDeleteUsersRequest(user_ids=[ids.user_id] * 1001))
    for code in (13, 50, 121, 11000):
        with client.failing(errorCode=code):
            client.call_every_method(ids)
    with client.failing(times=2, closeConnection=True):
        client.call("GetUser", pb.GetUserRequest(user_id=ids.user_id))
    with client.failing(blockConnection=True, blockTimeMS=100):
        client.abandon_every_call(ids)
    client.send("UpdateUser", ids.email.encode() + bytes(MESSAGE_BYTES))
    client.call_every_method(ids)
    # The user is erased by now, so store another one.
    ids.user_id = values.make(ValueKind.PERSONAL, "another user_id")
    client.call("UpdateUser", pb.UpdateUserRequest(user=ids.update()))
    client.call("UpdateUser", pb.UpdateUserRequest(user=ids.visit()))
    client.call("ExportVisitor", visitor_pb.ExportVisitorRequest(anonymous_id=ids.unknown_visitor))
    identified = ids.update()
    identified.anonymous_id = ids.unknown_visitor
    client.call("UpdateUser", pb.UpdateUserRequest(user=identified))
    client.call("GetVisitor", visitor_pb.GetVisitorRequest(anonymous_id=ids.unknown_visitor))
    client.http(client.key, method="POST", url="/v1/users", json={"user_id": f"{ids.user_id}-seen"})
    for user_id in (ids.user_id, f"{ids.user_id}-seen"):
        client.call("ExportUser", pb.ExportUserRequest(user_id=user_id))


@pytest.fixture(scope="module")
def traffic() -> Iterator[RecordedTraffic]:
    values = MarkedValues()
    password = values.make(ValueKind.SECRET, "password of MongoDB")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs = {name: stack.enter_context((directory / name).open("wb")) for name in ("server", "gateway")}
        mongod = stack.enter_context(EmbeddedMongod(directory, ["--setParameter", "enableTestCommands=1"]))
        initiate(mongod.uri)
        mongodb = stack.enter_context(MongoClient[dict[str, Any]](mongod.uri))
        mongodb.admin.command("createUser", "userfold", pwd=password, roles=["root"])
        uri = mongod.uri.replace("://", f"://userfold:{password}@") + "&authSource=admin"
        database = mongodb[DATABASE]
        registered = register(database, values.make(ValueKind.SECRET, "collector key"))
        token = values.make(ValueKind.SECRET, "management token")
        grant(database, registered, CredentialKind.MANAGEMENT, token, {Scope.ADMIN})
        application = Application(registered.application_id, registered.collector_key, token)
        traffic = RecordedTraffic(values, application, MarkedIds(values))
        metrics = {f"metrics of the {name}": f"127.0.0.1:{free_port()}" for name in logs}
        verbose = {"GRPC_VERBOSITY": "debug", "USERFOLD_LOG_LEVEL": "info"}
        server = start_server(
            uri,
            variables={"USERFOLD_SERVER_METRICS_ADDRESS": metrics["metrics of the server"], **verbose},
            module="tests.security.faulty_server",
            stderr=logs["server"],
            measured=True,
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
        seen = {"X-Forwarded-For": values.address("client address")}
        channel = stack.enter_context(grpc.insecure_channel(server.ready["grpc"]))
        http = stack.enter_context(httpx2.Client(base_url=gateway.ready["http"], timeout=30, headers=seen))
        client = RecordingClient((GrpcTransport(channel), HttpTransport(http)), traffic, database)
        _drive(client, traffic, database)
        outputs = traffic.outputs
        outputs["responses to invalid HTTP"] = _send_invalid_http(gateway.ready["http"], token)
        for name, address in metrics.items():
            outputs[name] = urllib.request.urlopen(f"http://{address}/metrics?token={token}").read()
        outputs["command lines"] = _command_lines()
        outputs["list of applications"] = _command(main, uri, "applications", "list")
        outputs["output of the backup command"] = _command(main, uri, "backup", "create", str(directory / "backup"))
        outputs[_BACKUP] = gzip.decompress((directory / "backup").read_bytes())
        outputs |= dump(mongodb)
        # The server has stopped.
        assert server.stop() == 0
        client.http(client.key, **http_request(BINDINGS["UpdateUser"], pb.UpdateUserRequest(user=traffic.ids.update())))
        client.http(client.token, method="GET", url=f"/v1/users/{traffic.ids.user_id}")
        assert gateway.stop() == 0
        for name, program in (("server", server), ("gateway", gateway)):
            outputs[f"log of the {name}"] = (directory / name).read_bytes()
            outputs[f"stdout of the {name}"] = program.printed
        logged = (directory / "mongodb.log").read_bytes().splitlines(keepends=True)
        # The fail point that makes MongoDB slow logs, too.
        outputs["log of MongoDB"] = b"".join(
            line for line in logged if b"Waiting in find before making batch" not in line
        )
        successful = [response for response in traffic.responses if response[0] in ("OK", 200, 201)]
        outputs[_TO_READERS] = repr(successful).encode()
        outputs[_ERRORS] = repr([response for response in traffic.responses if response not in successful]).encode()
        yield traffic


def test_every_kind_of_error_occurred(traffic: RecordedTraffic) -> None:
    codes = {response[0] for response in traffic.responses}
    never = {"UNKNOWN", "ALREADY_EXISTS", "OUT_OF_RANGE", "DATA_LOSS"}
    assert codes >= {code.name for code in grpc.StatusCode} - never
    assert codes >= {200, 201, 400, 401, 403, 404, 405, 413, 415, 500, 503}
    # These need many calls, very many users, a stopping server, minutes of waiting, a repeated header, or an older
    # gateway.
    elsewhere = {
        "INDEX_REQUIRED",
        "OVERLOADED",
        "RATE_LIMITED",
        "RESPONSE_TOO_LARGE",
        "SERVER_STOPPING",
        "STREAM_IDLE",
        "CREDENTIAL_AMBIGUOUS",
        "GATEWAY_TOO_OLD",
        "TOO_MANY_APPLICATIONS",
        "TOO_MANY_CREDENTIALS",
    }
    assert {answer.reason for answer in ERROR_STATUSES.values()} | {"INTERNAL"} <= traffic.reasons | elsewhere
    for name in ("server", "gateway"):
        lines = traffic.outputs[f"log of the {name}"].splitlines()
        events = [json.loads(line) for line in lines if line.startswith(b"{")]
        assert {each["event"] for each in events} >= {"refused", "defect"}
        assert b"refusals_total{" in traffic.outputs[f"metrics of the {name}"]


def test_marked_values_are_found_where_they_are_stored_and_returned(traffic: RecordedTraffic) -> None:
    values, ids = traffic.values, traffic.ids
    # The first user_id is erased.
    stored = {name for name in values.names(*_STORED) if not name.startswith("defect")} - {"user_id"}
    for output in (_PROFILES, _BACKUP, OPLOG):
        assert values.found(traffic.outputs[output], *_STORED) >= stored
    assert values.found(traffic.outputs[_TO_READERS], *_STORED) >= stored
    assert values.found(traffic.outputs[_TO_READERS], ValueKind.PAGE_TOKEN)
    assert len(values.found(traffic.outputs[_TO_READERS], ValueKind.ISSUED)) == 12
    assert alias_digest(traffic.application.application_id, ids.session_token) in traffic.outputs[_PROFILES]
    for secret in (traffic.application.collector_key, traffic.application.management_token):
        assert digest(secret) in traffic.outputs[f"{DATABASE}.credentials"]
    assert b"tests.security.faulty_server" in traffic.outputs["command lines"]
    assert traffic.outputs["log of MongoDB"].count(b"\n{") > 10


def test_no_marked_value_is_found_elsewhere(traffic: RecordedTraffic) -> None:
    found = set()
    for output, text in traffic.outputs.items():
        kinds = set(ValueKind)
        if output in (_PROFILES, _BACKUP, OPLOG, _TO_READERS):
            kinds -= {*_STORED}
        if output == _TO_READERS:
            kinds -= {ValueKind.PAGE_TOKEN, ValueKind.ISSUED}
        if output == _ERRORS:
            # The path of a field contains the client's own keys.
            kinds -= {ValueKind.KEY}
        found |= {(output, name) for name in traffic.values.found(text, *kinds)}
    assert found == set()


@pytest.mark.parametrize("shift", range(3))
def test_the_search_finds_a_value_in_every_encoding(shift: int) -> None:
    values = MarkedValues()
    text = b"x" * shift + values.make(ValueKind.SECRET, "it").encode() + b"y"
    for form in (text, text.hex().encode(), base64.b64encode(text), text.upper()):
        assert values.found(b"before" + form, ValueKind.SECRET) == {"it"}
        assert values.found(form, ValueKind.PERSONAL) == set()
        assert values.found(form[:-12] + form[-8:], ValueKind.SECRET) == set()


def test_a_failed_start_does_not_print_the_password_of_the_database() -> None:
    for uri in ("mongodb://user:c4n4ry@127.0.0.1:port/", "mongo://u:c4n4ry@x:y:z"):
        run = subprocess.run(
            [sys.executable, "-m", "cli.main", "applications", "create", "x"],
            env={"USERFOLD_MONGODB_URI": uri, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 1
        assert "USERFOLD_MONGODB_URI" in run.stderr
        assert "c4n4ry" not in run.stdout + run.stderr


async def test_an_unreachable_database_is_reported_without_its_password() -> None:
    client = connect("mongodb://user:c4n4ry@127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=50)
    with pytest.raises(InvalidSetting, match="USERFOLD_MONGODB_URI") as failure:
        await prepare(open_database(client, "x"))
    assert "c4n4ry" not in str(failure.value)
    client.close()
