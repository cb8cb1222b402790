"""`userfold export`, against a running server, and what `userfold import` makes of it."""

import csv
import gzip
import io
import json
import stat
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from tests.cli.conftest import Userfold, run_userfold
from tests.support.applications import Application, register
from tests.support.programs import environment, free_port
from tests.support.stack import Api, Stack, start_server
from tests.support.strategies import UPDATES

_USERS = [
    {"user_id": "1", "company_id": "67890", "metadata": {"plan": "pro", "age": 31, "tags": ["a", None]}},
    {"user_id": "2", "campaign": {"utm_source": "google"}, "metadata": {"plan": "=1,2\n", "empty": {}}},
    {"user_id": "3", "session_token": "secret", "ip_address": "1.2.3.4"},
]
_NOT_IMPORTED = {"created_time", "stored_time", "alias_count", "observed_ip_address"}
"""What an import does not bring back. An `ip_address` that was only observed is not brought back either."""


def _comparable(user: dict[str, Any]) -> dict[str, Any]:
    same = {name: value for name, value in user.items() if name not in _NOT_IMPORTED}
    if user.get("ip_address") == user.get("observed_ip_address"):
        same.pop("ip_address", None)
    return same


def _users(path: Path) -> dict[str, Any]:
    return {user["user_id"]: _comparable(user) for user in map(json.loads, path.read_bytes().splitlines())}


@pytest.fixture
def filled(api: Api) -> Api:
    """An application with users."""
    assert api.batch(_USERS).status_code == 201
    return api


@given(st.lists(st.lists(UPDATES, min_size=1, max_size=4), min_size=40, max_size=40))
@settings(max_examples=4, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_an_import_of_an_export_gives_the_same_profiles(
    stack: Stack, database: Database[dict[str, Any]], updates: list[list[dict[str, Any]]]
) -> None:
    source, copy = (register(database, generate_collector_key()) for _ in range(2))
    sent = [{**update, "user_id": f"ü/{number}"} for number, each in enumerate(updates) for update in each]
    key = {"X-Moesif-Application-Id": source.collector_key}
    httpx2.post(f"{stack.http}/v1/users/batch", json=sent, headers=key, timeout=60)

    def run(application: Application, *words: object) -> int:
        variables = {"USERFOLD_GRPC_ADDRESS": stack.grpc, "USERFOLD_TOKEN": application.management_token}
        return run_userfold(*words, variables=variables).returncode

    with TemporaryDirectory() as folder:
        for name in ("users.jsonl.gz", "users.csv"):
            copy = register(database, generate_collector_key())
            first, file, second = (Path(folder, each) for each in ("first.jsonl", name, "second.jsonl"))
            assert run(source, "export", first, "--force") == 0
            assert run(source, "export", file) == 0
            assert run(copy, "import", file) == 0
            assert run(copy, "export", second, "--force") == 0
            exported, imported = _users(first), _users(second)
            assert exported.keys() == imported.keys()
            for user_id, user in exported.items():
                if "anonymous_id" not in user:
                    # It was cleared, which leaves what an import does not have.
                    user.pop("anonymous_ids", None)
                if {"campaign", "initial_campaign", "latest_campaign"} & user.keys():
                    # A campaign of an import is the first, and the latest one of a new profile, even if it was cleared.
                    for touch in {"initial_campaign", "latest_campaign"} - user.keys():
                        imported[user_id].pop(touch, None)
                        imported[user_id].pop(f"{touch}_time", None)
                assert imported[user_id] == user


def test_a_filter_and_fields_choose_what_is_exported(userfold: Userfold, filled: Api, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    words = ("--filter", 'metadata.plan = "pro"', "--fields", "company_id, metadata.plan")
    assert userfold("export", path, *words).returncode == 0
    assert json.loads(path.read_bytes()) == {"user_id": "1", "company_id": "67890", "metadata": {"plan": "pro"}}


def test_csv_has_the_columns_that_are_named_with_their_types(
    userfold: Userfold, filled: Api, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "users.csv.gz"
    columns = ["user_id", "metadata.plan", "metadata.age:number", 'metadata."tags":json', "campaign.utm_source"]
    assert userfold("export", path, "--fields", ",".join(columns)).returncode == 0
    records = list(csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline="")))
    assert records[0] == columns
    assert sorted(records[1:]) == [
        ["1", "pro", "31", '["a",null]', ""],
        ["2", "=1,2\n", "", "", "google"],
        ["3", "", "", "", ""],
    ]
    other = register(database, generate_collector_key())
    assert userfold("import", path, USERFOLD_TOKEN=other.management_token).returncode == 0
    read = userfold("users", "get", "1", USERFOLD_TOKEN=other.management_token)
    assert json.loads(read.stdout)["metadata"] == {"plan": "pro", "age": 31, "tags": ["a", None]}


def test_an_export_is_a_new_file_that_only_its_owner_can_read(userfold: Userfold, filled: Api, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    run = userfold("export", path, "--json")
    assert json.loads(run.stdout)["exported_count"] == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("mine")
    refused = userfold("export", path)
    assert (refused.returncode, path.read_text()) == (2, "mine")
    assert "--force" in refused.stderr
    assert userfold("export", path, "--force").stdout == "exported   3\n"
    assert len(path.read_bytes().splitlines()) == 3


def test_an_export_that_fails_leaves_no_file(userfold: Userfold, filled: Api, tmp_path: Path) -> None:
    run = userfold("export", tmp_path / "users.jsonl", "--filter", "nothing = 1")
    assert run.returncode == 1
    assert "INVALID_FILTER" in run.stderr or "filter" in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["metadata.a:integer", "metadata.", "metadata.a b"])
def test_a_column_that_cannot_be_is_a_usage_error(field: str, userfold: Userfold, tmp_path: Path) -> None:
    run = userfold("export", tmp_path / "users.csv", "--fields", field)
    assert (run.returncode, run.stdout) == (2, "")
    assert f"--fields {field}" in run.stderr


def test_users_are_read_a_page_at_a_time(userfold: Userfold, filled: Api, tmp_path: Path) -> None:
    with patch("cli.exporting.pages.PAGE_USERS", 2):
        assert userfold("export", tmp_path / "users.jsonl").returncode == 0
    assert _users(tmp_path / "users.jsonl").keys() == {"1", "2", "3"}


def test_a_page_is_requested_again_when_the_server_is_there_again(
    filled: Api, mongod: EmbeddedMongod, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    server = start_server(mongod.uri, variables={"USERFOLD_GRPC_ADDRESS": address})
    variables = {"USERFOLD_GRPC_ADDRESS": address, "USERFOLD_TOKEN": filled.application.management_token}
    pauses = 0

    def restart(seconds: float) -> None:
        nonlocal server, pauses
        pauses += 1
        if pauses == 1:
            server = start_server(mongod.uri, variables={"USERFOLD_GRPC_ADDRESS": address})
        time.sleep(seconds)

    def stop_after_a_page(writer: Any, users: Any) -> bytes:
        if server.process.poll() is None and not pauses:
            server.process.kill()
            server.process.wait()
            server.stop()
        return b"".join(b'{"user_id":"%s"}\n' % user.user_id.encode() for user in users)

    try:
        with (
            patch("cli.exporting.pages.PAGE_USERS", 1),
            # Not `time.sleep` itself, which threads of the database driver call as well.
            patch("cli.exporting.pages.time", SimpleNamespace(sleep=restart, monotonic=time.monotonic)),
            patch("cli.exporting.writers.JsonLines.lines", stop_after_a_page),
        ):
            run = run_userfold("export", tmp_path / "users.jsonl", variables=variables)
    finally:
        server.stop()
    assert run.returncode == 0
    assert "waiting for the server: no server answers" in run.stderr
    assert len((tmp_path / "users.jsonl").read_bytes().splitlines()) == 3


def test_stdout_has_the_users_and_nothing_else(stack: Stack, filled: Api) -> None:
    token = filled.application.management_token
    script = [str(Path(sys.executable).with_name("userfold")), "export"]
    variables = environment({"USERFOLD_GRPC_ADDRESS": stack.grpc, "USERFOLD_TOKEN": token})
    run = subprocess.run(script, env=variables, capture_output=True, check=True)
    assert {json.loads(line)["user_id"] for line in run.stdout.splitlines()} == {"1", "2", "3"}
    assert run.stderr == b"exported 3 users\n"
    cut = subprocess.run(["bash", "-c", f"{script[0]} export | true"], env=variables, capture_output=True, check=True)
    assert b"Traceback" not in cut.stderr


def test_everything_about_one_user_is_exported(userfold: Userfold, filled: Api) -> None:
    run = userfold("users", "export", "3")
    exported = json.loads(run.stdout)
    assert exported["user"]["ip_address"] == "1.2.3.4"
    assert [len(digest) for digest in exported["alias_digests"]] == [64]
    assert exported["visitors"] == []
    assert "USER_NOT_FOUND" in userfold("users", "export", "4").stderr
