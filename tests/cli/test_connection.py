"""The connection to the server, and how its refusals are printed."""

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from server.accounts.credentials import generate_collector_key, generate_management_token
from server.local.mongod import EmbeddedMongod
from server.model import CredentialKind, Scope
from tests.cli.conftest import Userfold, run_userfold
from tests.support.applications import Application, grant
from tests.support.certificates import Authority
from tests.support.stack import Api, start_server


def test_a_profile_is_printed_as_http_returns_it(userfold: Userfold, api: Api) -> None:
    stored = api.stored({"metadata": {"n": 1, "inner": {"list": [None, "x\x9b"]}}})
    run = userfold("users", "get", "u")
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout) == stored
    # A terminal would obey it.
    assert "\x9b" not in run.stdout


def test_a_refusal_is_one_line_with_its_reason(userfold: Userfold) -> None:
    run = userfold("users", "get", "nobody")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.endswith(" (USER_NOT_FOUND)\n")
    assert run.stderr.count("\n") == 1


def test_a_refusal_names_the_fields(userfold: Userfold) -> None:
    run = userfold("users", "get", "x" * 513)
    assert (run.returncode, "user_id: " in run.stderr, "(INVALID_REQUEST)" in run.stderr) == (1, True, True)
    assert "xxx" not in run.stderr


def test_a_refusal_says_what_to_do(
    userfold: Userfold, application: Application, database: Database[dict[str, Any]]
) -> None:
    token = generate_management_token()
    grant(database, application, CredentialKind.MANAGEMENT, token, {Scope.WRITE_USERS})
    run = userfold("users", "get", "x", USERFOLD_TOKEN=token)
    assert run.returncode == 1
    assert run.stderr.endswith("create-token` makes a token with the scope read:users\n")
    unknown = generate_management_token()
    run = userfold("users", "get", "x", USERFOLD_TOKEN=unknown)
    assert (run.returncode, "check USERFOLD_TOKEN" in run.stderr, unknown in run.stderr) == (1, True, False)


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"USERFOLD_TOKEN": ""}, "set USERFOLD_TOKEN to a management token"),
        ({"USERFOLD_TOKEN": "x\ny"}, "USERFOLD_TOKEN must be one line"),
        ({"USERFOLD_GRPC_ADDRESS": "nothing"}, "USERFOLD_GRPC_ADDRESS must be HOST:PORT"),
        ({"USERFOLD_GRPC_TLS_CA": "/nothing"}, "USERFOLD_GRPC_TLS_CA: /nothing cannot be read"),
    ],
)
def test_settings_that_cannot_be_used_are_a_usage_error(variables: dict[str, str], error: str) -> None:
    run = run_userfold("users", "get", "x", variables={"USERFOLD_TOKEN": "x"} | variables)
    assert (run.returncode, run.stdout) == (2, "")
    assert error in run.stderr


def test_a_collector_key_in_place_of_a_token_is_recognised() -> None:
    key = generate_collector_key()
    run = run_userfold("users", "get", "x", variables={"USERFOLD_TOKEN": key})
    assert (run.returncode, key in run.stderr) == (2, False)
    assert run.stderr.startswith("userfold: USERFOLD_TOKEN holds a collector key (ufc_...)")


def test_the_server_is_called_over_tls_and_over_a_unix_socket(
    userfold: Userfold, mongod: EmbeddedMongod, tmp_path: Path, api: Api
) -> None:
    api.stored({})
    authority = Authority(tmp_path, "ca")
    authority.issue(tmp_path, "server")
    authority.issue(tmp_path, "client")
    server = start_server(
        mongod.uri,
        variables={
            "USERFOLD_GRPC_TLS_CERTIFICATE": str(tmp_path / "server.pem"),
            "USERFOLD_GRPC_TLS_KEY": str(tmp_path / "server.key"),
            "USERFOLD_GRPC_TLS_CLIENT_CA": str(authority.path),
            "USERFOLD_GRPC_SOCKET": str(tmp_path / "s"),
        },
    )
    try:
        tls = {
            "USERFOLD_GRPC_TLS_CA": str(authority.path),
            "USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE": str(tmp_path / "client.pem"),
            "USERFOLD_GRPC_TLS_CLIENT_KEY": str(tmp_path / "client.key"),
        }
        tcp = {"USERFOLD_GRPC_ADDRESS": server.ready["grpc"]}
        unix = {"USERFOLD_GRPC_ADDRESS": f"unix:{tmp_path / 's'}", "USERFOLD_GRPC_TLS_SERVER_NAME": "localhost"}
        for address in (tcp, unix):
            run = userfold("users", "get", "u", **tls, **address)
            assert run.returncode == 0, run.stderr
        run = userfold("users", "get", "u", **tcp)
        assert (run.returncode, "USERFOLD_GRPC_TLS_CA where the server speaks TLS" in run.stderr) == (3, True)
        other = Authority(tmp_path, "other")
        run = userfold("users", "get", "u", **tcp, **tls | {"USERFOLD_GRPC_TLS_CA": str(other.path)})
        assert (run.returncode, "check USERFOLD_GRPC_TLS_CA" in run.stderr) == (3, True)
    finally:
        assert server.stop() == 0
