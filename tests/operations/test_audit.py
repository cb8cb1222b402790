"""The lines that say who did what, in the real log of a server whose level hides all else."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from pymongo.database import Database
from userfold.v1 import application_service_pb2 as applications_pb
from userfold.v1 import credential_service_pb2 as credentials_pb
from userfold.v1 import user_service_pb2 as pb
from userfold.v1 import visitor_service_pb2 as visitor_pb
from userfold.v1.user_pb2 import UserUpdate

from server.local.mongod import EmbeddedMongod
from tests.support.applications import Application, make_room
from tests.support.stack import start_server
from tests.support.transports import GrpcTransport


class Server:
    """A server, and the lines of its log since the test began."""

    def __init__(self, transport: GrpcTransport, log: Path, application: Application) -> None:
        self._transport = transport
        self._log, self._before = log, log.stat().st_size
        self._bearer = {"Authorization": f"Bearer {application.management_token}", "X-Request-Id": "request-1"}

    def call(self, request: Message) -> bytes:
        method = request.DESCRIPTOR.name.removesuffix("Request")
        code, payload, *_ = self._transport.call(method, request, self._bearer)
        assert code == "OK", payload
        assert isinstance(payload, bytes)
        return payload

    def lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in self._log.read_bytes()[self._before :].splitlines() if line.startswith(b"{")
        ]


@pytest.fixture(scope="module")
def log_and_address(mongod: EmbeddedMongod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    log = tmp_path_factory.mktemp("audit") / "log"
    with log.open("wb") as stderr:
        program = start_server(mongod.uri, variables={"USERFOLD_LOG_LEVEL": "error"}, stderr=stderr)
        yield log, program.ready["grpc"]
        assert program.stop() == 0


@pytest.fixture
def server(log_and_address: tuple[Path, str], application: Application) -> Iterator[Server]:
    log, address = log_and_address
    with grpc.insecure_channel(address) as channel:
        yield Server(GrpcTransport(channel), log, application)


_REMOVAL = pb.RemoveAliasRequest(user_id="secret-user", session_token="secret-session")
_CALLS: Mapping[str, tuple[Message, str, dict[str, int]]] = {
    "one export": (pb.ExportUserRequest(user_id="secret-user"), "users exported", {"items": 1, "exported": 1}),
    "many exports": (
        pb.BatchExportUsersRequest(user_ids=["secret-user", "secret-nobody"]),
        "users exported",
        {"items": 2, "exported": 1, "refused": 1},
    ),
    "one alias": (_REMOVAL, "aliases removed", {"items": 1, "removed": 1, "refused": 0}),
    "many aliases": (
        pb.BatchRemoveAliasesRequest(requests=[_REMOVAL, _REMOVAL]),
        "aliases removed",
        {"items": 2, "removed": 1, "refused": 0},
    ),
    "a merge": (
        pb.MergeUsersRequest(user_id="secret-user", source_user_id="secret-other"),
        "users merged",
        {"merged": 1},
    ),
    "one erasure": (
        pb.DeleteUserRequest(user_id="secret-user", suppress_days=1),
        "users erased",
        {"items": 1, "deleted": 1, "refused": 0},
    ),
    "many erasures": (
        pb.BatchDeleteUsersRequest(user_ids=["secret-user", "secret-nobody", ""]),
        "users erased",
        {"items": 3, "deleted": 1, "refused": 1},
    ),
    "an export of a visitor": (
        visitor_pb.ExportVisitorRequest(anonymous_id="secret-visitor"),
        "visitors exported",
        {"items": 1, "exported": 1, "refused": 0},
    ),
    "an erasure of a visitor": (
        visitor_pb.DeleteVisitorRequest(anonymous_id="secret-visitor"),
        "visitors erased",
        {"items": 1, "deleted": 1, "refused": 0},
    ),
    "a suppression": (pb.LiftSuppressionRequest(user_id="secret-user"), "suppression lifted", {"lifted": 0}),
}


@pytest.mark.parametrize("name", _CALLS)
def test_each_call_has_one_line_with_who_did_it_and_how_many(
    server: Server, application: Application, name: str
) -> None:
    request, event, numbers = _CALLS[name]
    server.call(pb.UpdateUserRequest(user=UserUpdate(user_id="secret-user", session_token="secret-session")))
    server.call(pb.UpdateUserRequest(user=UserUpdate(anonymous_id="secret-visitor")))
    server.call(pb.UpdateUserRequest(user=UserUpdate(user_id="secret-other")))
    server.call(request)
    (line,) = server.lines()
    assert {**numbers, "event": event}.items() <= line.items()
    assert (line["application"], line["request_id"], line["level"]) == (application.application_id, "request-1", "info")
    assert line["method"] == request.DESCRIPTOR.name.removesuffix("Request")
    assert line["credential"]
    assert "secret" not in json.dumps(line)


def test_credentials_are_named_by_their_ids(server: Server) -> None:
    body = credentials_pb.CreateCredentialRequest(display_name="a", kind="management_token", scopes=["read:users"])
    created = credentials_pb.CreateCredentialResponse.FromString(server.call(body))
    credential_id = created.credential.credential_id
    rotation = credentials_pb.RotateCredentialRequest(credential_id=credential_id)
    rotated = credentials_pb.RotateCredentialResponse.FromString(server.call(rotation))
    for _ in range(2):
        server.call(credentials_pb.RevokeCredentialRequest(credential_id=credential_id))
    # A secret in place of an id.
    server.call(credentials_pb.RevokeCredentialRequest(credential_id=created.secret))
    new, rotation_line, revocation = server.lines()
    assert (new["event"], new["created"]) == ("credential created", credential_id)
    assert (rotation_line["event"], rotation_line["replaced"], rotation_line["created"]) == (
        *("credential rotated", credential_id, rotated.credential.credential_id),
    )
    assert (revocation["event"], revocation["revoked"]) == ("credential revoked", credential_id)
    text = json.dumps(server.lines())
    assert created.secret not in text
    assert rotated.secret not in text


def test_reads_and_updates_have_no_line(server: Server) -> None:
    server.call(pb.UpdateUserRequest(user=UserUpdate(user_id="secret-user")))
    server.call(pb.GetUserRequest(user_id="secret-user"))
    server.call(credentials_pb.ListCredentialsRequest())
    assert server.lines() == []


def test_changes_of_applications_have_a_line_and_dry_runs_have_none(
    server: Server, application: Application, database: Database[dict[str, Any]]
) -> None:
    make_room(database, application)
    created = applications_pb.CreateApplicationResponse.FromString(
        server.call(applications_pb.CreateApplicationRequest(display_name="secret name"))
    )
    server.call(applications_pb.RenameApplicationRequest(display_name="secret name"))
    deletion = applications_pb.DeleteApplicationRequest(application_id=application.application_id, validate_only=True)
    server.call(deletion)
    deletion.validate_only = False
    server.call(deletion)
    lines = [line for line in server.lines() if line.get("application") == application.application_id]
    assert [line["event"] for line in lines] == ["application created", "application renamed", "deletion begun"]
    assert lines[0]["created"] == created.application.application_id
    text = json.dumps(lines)
    for secret in (created.collector_key.secret, created.management_token.secret, "secret name"):
        assert secret not in text
