"""MongoDB with authentication and TLS: the role of docs/security.md allows what Userfold does, and no more."""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import grpc
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.campaign_service_pb2 import ReportCampaignsRequest
from userfold.v1.campaign_service_pb2_grpc import CampaignServiceStub
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.local.mongod import EmbeddedMongod
from server.mongo.migrations import MIGRATIONS, version_after
from tests.cli.conftest import Run, run_userfold
from tests.support.certificates import Authority
from tests.support.programs import Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

_HOME = Path(__file__).parents[2]
_COMMANDS = re.findall(r"^```json\n(.*?)^```$", (_HOME / "docs/security.md").read_text(), re.DOTALL | re.MULTILINE)
_PASSWORD = "p@ss/word:%41"


@dataclass(frozen=True)
class SecuredMongod:
    """A mongod that requires a password and TLS: its URI with the user of the documented role."""

    uri: str
    directory: Path


@pytest.fixture(scope="module")
def mongodb() -> Iterator[SecuredMongod]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        authority = Authority(directory)
        pair = authority.issue(directory, "mongod")
        both = directory / "mongod.both.pem"
        both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
        key_file = directory / "key"
        key_file.write_text("a" * 64)
        key_file.chmod(0o600)
        arguments = ["--keyFile", str(key_file), "--tlsMode", "requireTLS", "--tlsCAFile", str(authority.path)]
        arguments += ["--tlsCertificateKeyFile", str(both), "--tlsAllowConnectionsWithoutCertificates"]
        with EmbeddedMongod(directory / "data", arguments) as mongod:
            secured = f"{mongod.uri}&tls=true&tlsCAFile={authority.path}"
            # From the same machine, MongoDB lets anybody create the first user of all.
            with MongoClient[dict[str, Any]](secured) as anybody:
                host = "{}:{}".format(*anybody.address or ())
                members = [{"_id": 0, "host": host}]
                anybody.admin.command("replSetInitiate", {"_id": "userfold", "members": members})
                wait_until(lambda: anybody.admin.command("hello")["isWritablePrimary"])
                anybody.admin.command({"createUser": "owner", "pwd": _PASSWORD, "roles": ["root"]})
            with MongoClient[dict[str, Any]](_as("owner", f"{secured}&authSource=admin")) as owner:
                for text in _COMMANDS:
                    owner.userfold.command(json.loads(text.replace("PASSWORD", _PASSWORD)))
            yield SecuredMongod(_as("userfold", f"{secured}&authSource=userfold"), directory)


def _as(user: str, uri: str) -> str:
    return uri.replace("://", f"://{user}:{quote_plus(_PASSWORD)}@")


@pytest.fixture(scope="module")
def client(mongodb: SecuredMongod) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of the user of the role."""
    with MongoClient[dict[str, Any]](mongodb.uri) as client:
        yield client


def run(mongodb: SecuredMongod, *arguments: object, uri: str = "") -> Run:
    """Run a command as the user of the role."""
    return run_userfold(*arguments, variables={"USERFOLD_MONGODB_URI": uri or mongodb.uri})


def printed_values(mongodb: SecuredMongod, *arguments: object) -> dict[str, str]:
    """The labelled values that a successful command prints."""
    done = run(mongodb, *arguments)
    assert done.returncode == 0, done.stderr
    return {words[0]: words[1] for line in done.stdout.splitlines() if len(words := line.split()) > 1}


def test_a_user_of_the_documented_role_runs_everything(
    mongodb: SecuredMongod, client: MongoClient[dict[str, Any]]
) -> None:
    created = printed_values(mongodb, "applications", "create", "Product")
    # The server builds this index when it starts.
    printed_values(mongodb, "applications", "declare-index", created["application_id"], "modified_time")
    with tempfile.TemporaryFile() as errors:
        environment = {"USERFOLD_MONGODB_URI": mongodb.uri, "USERFOLD_GRPC_ADDRESS": "127.0.0.1:0"}
        server = Program("server", environment, stderr=errors)
        try:
            with grpc.insecure_channel(server.ready["grpc"]) as channel:
                call_all(UserServiceStub(channel), CampaignServiceStub(channel), created["management_token"])
            wait_until(lambda: client.userfold.schema.find_one({"version": version_after(MIGRATIONS)}))
        finally:
            assert server.stop() == 0
        errors.seek(0)
        events = [json.loads(line) for line in errors]
    # No failure was logged, and nothing of the URI.
    assert {each["level"] for each in events} == {"info"}
    assert {"migrated", "migrating", "ready", "stopping"} < {each["event"] for each in events}
    assert quote_plus(_PASSWORD) not in str(events)

    options = ("--name", "x", "--scopes", "admin")
    token = printed_values(mongodb, "applications", "create-token", created["application_id"], *options)
    for command in ("declare-index", "withdraw-index"):
        printed_values(mongodb, "applications", command, created["application_id"], "metadata.a")
    rotated = printed_values(mongodb, "applications", "rotate", token["credential_id"])
    printed_values(mongodb, "applications", "revoke", rotated["credential_id"])
    backup = mongodb.directory / "backup"
    printed_values(mongodb, "backup", "create", backup)
    printed_values(mongodb, "restore", backup, "--replace")
    assert created["application_id"] in run(mongodb, "applications", "list").stdout


def call_all(users: Any, campaigns: Any, token: str) -> None:
    """Call every method, each with a response that needs the database."""
    metadata = (("authorization", f"Bearer {token}"),)
    given: Any = {"metadata": metadata, "timeout": 30}
    text = b'{"a":{"b":1}}'
    update = UserUpdate(user_id="u", company_id="c", session_token="t", anonymous_id="v", metadata_json=text)
    users.UpdateUser(pb.UpdateUserRequest(user=update), **given)
    visitor = UserUpdate(anonymous_id="v", metadata_json=b'{"a":1}')
    # This needs the exact form of a write, an aggregation pipeline.
    exact = UserUpdate(user_id="u", metadata_json=b'{"a":{"b":{"c":1}}}')
    batch = users.BatchUpdateUsers(pb.BatchUpdateUsersRequest(users=[visitor, exact]), **given)
    assert [each.WhichOneof("outcome") for each in batch.results] == ["response"] * 2
    streamed = users.StreamUpdateUsers(iter([pb.StreamUpdateUsersRequest(users=[update])]), **given)
    assert len([*streamed]) == 1
    assert users.GetUser(pb.GetUserRequest(user_id="u"), **given).user.company_id == "c"
    request = pb.LookupUsersRequest
    for lookup in (request(session_token="t"), request(company_id="c"), request(anonymous_id="v")):
        assert len(users.LookupUsers(lookup, **given).users) == 1
    assert len(users.SuggestUsers(pb.SuggestUsersRequest(text="u"), **given).suggestions) == 1
    assert len(users.ListUsers(pb.ListUsersRequest(page_size=1), **given).users) == 1
    assert users.CountUsers(pb.CountUsersRequest(filter="metadata.a:*"), **given).count == 1
    report = ReportCampaignsRequest(group_by=["campaign.utm_source"])
    assert campaigns.ReportCampaigns(report, **given).total.user_count == 1
    merge = pb.MergeUsersRequest(user_id="u", source_user_id="w")
    users.UpdateUser(pb.UpdateUserRequest(user=UserUpdate(user_id="w", anonymous_id="x")), **given)
    # This needs a transaction.
    users.MergeUsers(merge, **given)
    exported = users.ExportUser(pb.ExportUserRequest(user_id="u"), **given).user_export.user
    assert ({*exported.anonymous_ids}, [*exported.merged_user_ids]) == ({"v", "x"}, ["w"])
    assert users.RemoveAlias(pb.RemoveAliasRequest(user_id="u", session_token="t"), **given).removed
    assert users.DeleteUser(pb.DeleteUserRequest(user_id="u", suppress_days=1), **given).deleted
    suppressed = users.UpdateUser(pb.UpdateUserRequest(user=update), **given)
    assert [each.reason for each in suppressed.warnings] == ["SUPPRESSED"]


@pytest.mark.parametrize(
    ("database", "command"),
    [
        ("userfold", {"drop": "profiles"}),
        ("userfold", {"dropDatabase": 1}),
        ("userfold", {"createUser": "other", "pwd": "x", "roles": []}),
        ("userfold", {"grantRolesToUser": "userfold", "roles": [{"role": "root", "db": "admin"}]}),
        ("userfold", {"usersInfo": 1}),
        ("userfold", {"profile": 2}),
        ("other", {"find": "profiles"}),
        ("other", {"insert": "profiles", "documents": [{}]}),
        ("local", {"find": "oplog.rs"}),
        ("admin", {"find": "system.users"}),
        ("admin", {"listDatabases": 1, "filter": {"name": "other"}, "authorizedDatabases": False}),
        ("admin", {"replSetGetConfig": 1}),
        ("admin", {"shutdown": 1}),
        ("admin", {"setParameter": 1, "quiet": True}),
    ],
    ids=lambda each: each if isinstance(each, str) else next(iter(each)),
)
def test_the_role_allows_nothing_else(
    client: MongoClient[dict[str, Any]], database: str, command: dict[str, Any]
) -> None:
    with pytest.raises(OperationFailure) as caught:
        client[database].command(command)
    assert caught.value.code == 13


def test_without_tls_no_connection_is_accepted(mongodb: SecuredMongod) -> None:
    plain = re.sub("&tls=true&tlsCAFile=[^&]*", "&serverSelectionTimeoutMS=500", mongodb.uri)
    with MongoClient[dict[str, Any]](plain) as client, pytest.raises(ServerSelectionTimeoutError):
        client.userfold.profiles.find_one()


def test_a_wrong_password_is_reported_in_one_line_without_the_password(mongodb: SecuredMongod) -> None:
    done = run(mongodb, "applications", "list", uri=mongodb.uri.replace("word", "w0rd"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "the MongoDB of USERFOLD_MONGODB_URI cannot be used (OperationFailure, code 18)" in done.stderr
    assert "w0rd" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
