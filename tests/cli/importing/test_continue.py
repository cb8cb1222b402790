"""Imports that are stopped, killed, or lose their server, and that continue."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from server.local.mongod import EmbeddedMongod
from tests.cli.conftest import Userfold, run_userfold
from tests.support.applications import Application, register
from tests.support.programs import environment, free_port
from tests.support.stack import Api, Stack, start_server
from tests.support.waiting import wait_until

_BATCH = 250
"""Rows of one message: what is written to stdin is sent in such parts."""


_USERS = 700
"""So many users have the rows in turn."""


def _rows(first: int, count: int) -> bytes:
    return b"".join(b'{"user_id":"%d","metadata":{"n":%d}}\n' % (n % _USERS, n) for n in range(first, first + count))


class _Process:
    """`userfold import -`, whose stdin is a pipe."""

    def __init__(self, grpc: str, application: Application, *words: object) -> None:
        variables = {"USERFOLD_GRPC_ADDRESS": grpc, "USERFOLD_TOKEN": application.management_token}
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("userfold"), "import", "-", "--json", *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(variables),
        )

    def write(self, rows: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(rows)
        self.process.stdin.flush()

    def end(self) -> tuple[int, Any, str]:
        """The exit status, what is printed as JSON, and stderr."""
        stdout, stderr = self.process.communicate(timeout=120)
        return self.process.returncode, json.loads(stdout or "null"), stderr.decode()


@contextmanager
def _ended(process: _Process) -> Iterator[_Process]:
    with process.process:
        try:
            yield process
        finally:
            process.process.kill()


def _is_stored(database: Database[dict[str, Any]], application: Application, row: int) -> bool:
    user = {"application_id": application.application_id, "user_id": str(row % _USERS), "metadata.n": row}
    return database.profiles.count_documents(user) == 1


def _stored(database: Database[dict[str, Any]], application: Application) -> dict[str, int]:
    users = database.profiles.find({"application_id": application.application_id})
    return {user["user_id"]: user["metadata"]["n"] for user in users}


def _expected(count: int) -> dict[str, int]:
    """Of each user the last of its rows."""
    return {str(number % _USERS): number for number in range(count)}


def test_an_import_goes_on_when_its_killed_server_is_there_again(
    mongod: EmbeddedMongod,
    database: Database[dict[str, Any]],
    application: Application,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cli.importing.sender.QUIET_SECONDS", 0.0)
    address = {"USERFOLD_GRPC_ADDRESS": f"127.0.0.1:{free_port()}"}
    server = start_server(mongod.uri, variables=address)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    variables = address | {"USERFOLD_TOKEN": application.management_token}
    try:
        with ThreadPoolExecutor(1) as thread:
            importing = thread.submit(run_userfold, "import", pipe, "--json", variables=variables)
            with pipe.open("wb", buffering=0) as rows:
                rows.write(_rows(0, 1000))
                wait_until(partial(_is_stored, database, application, 999))
                server.process.kill()
                server.stop()
                rows.write(_rows(1000, 1000))
                server = start_server(mongod.uri, variables=address)
            run = importing.result()
    finally:
        server.stop()
    assert "waiting for the server: " in run.stderr
    assert (run.returncode, json.loads(run.stdout)["imported_count"]) == (0, 2000)
    assert _stored(database, application) == _expected(2000)


def test_an_import_that_is_killed_is_continued_by_the_same_command(
    stack: Stack, database: Database[dict[str, Any]], application: Application, tmp_path: Path
) -> None:
    state, sent = tmp_path / "state", 0
    with _ended(_Process(stack.grpc, application, "--state", state)) as importing:
        while not state.exists():
            importing.write(_rows(sent, _BATCH))
            sent += _BATCH
            wait_until(partial(_is_stored, database, application, sent - 1))
    assert state.stat().st_mode & 0o77 == 0
    position = json.loads(state.read_bytes())["position"]["row"]
    assert 0 < position <= sent
    # What is deleted shows that rows up to the position are not sent again.
    database.profiles.delete_many({"application_id": application.application_id})
    with _ended(_Process(stack.grpc, application, "--state", state)) as importing:
        importing.write(_rows(0, sent + 10))
        status, printed, _ = importing.end()
    assert (status, printed["imported_count"], printed["continued"]) == (0, sent + 10, True)
    expected = {str(number % _USERS): number for number in range(position, sent + 10)}
    assert _stored(database, application) == expected
    assert not state.exists()


def test_ctrl_c_ends_an_import_after_what_was_sent_is_stored(
    stack: Stack, database: Database[dict[str, Any]], application: Application, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with _ended(_Process(stack.grpc, application, "--state", state)) as importing:
        importing.write(_rows(0, 2 * _BATCH + 1))
        wait_until(partial(_is_stored, database, application, 2 * _BATCH - 1))
        importing.process.send_signal(signal.SIGINT)
        importing.process.wait(timeout=60)
        assert importing.process.stdin
        importing.process.stdin.close()
        assert importing.process.stdout
        assert importing.process.stderr
        printed = json.loads(importing.process.stdout.read())
        assert (importing.process.returncode, printed["imported_count"]) == (130, 2 * _BATCH)
        assert not printed["complete"]
    with _ended(_Process(stack.grpc, application, "--state", state)) as importing:
        importing.write(_rows(0, 3 * _BATCH))
        assert importing.end()[1]["imported_count"] == 3 * _BATCH
    assert _stored(database, application) == _expected(3 * _BATCH)


@pytest.fixture
def failed(userfold: Userfold, api: Api, tmp_path: Path) -> Path:
    """A file whose import failed at its fifth row, behind a refused row."""
    path = tmp_path / "users.csv"
    path.write_text('user_id,metadata.n:number\n1,1\n2,x\n3,3\n"4"4,4\n5,y\n')
    run = userfold("import", path)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("userfold: row 5: a quotation mark")
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "users.csv",
        "users.csv.import-state",
        "users.refused.csv",
    ]
    assert api.get("3").status_code == 200
    return path


def test_an_import_that_failed_is_continued_when_the_file_is_mended(
    failed: Path, userfold: Userfold, api: Api, tmp_path: Path
) -> None:
    refused = tmp_path / "users.refused.csv"
    # Rows that were written behind the saved state are written again.
    refused.write_text(refused.read_text() + "9,LATER,,,9,9\n")
    failed.write_text(failed.read_text().replace('"4"4', "4"))
    run = userfold("import", failed, "--json")
    printed = json.loads(run.stdout)
    assert (run.returncode, printed["continued"]) == (4, True)
    assert (printed["imported_count"], printed["refused_count"]) == (3, 2)
    assert [line.split(",")[0] for line in refused.read_text().splitlines()] == ["refused_row", "3", "6"]
    assert [each.name for each in tmp_path.glob("*state*")] == []
    assert api.get("4").json()["metadata"] == {"n": 4}


def test_an_import_is_not_continued_where_rows_before_have_changed(failed: Path, userfold: Userfold) -> None:
    text = failed.read_text()
    for changed in (text.replace("1,1", "1,2"), "user_id,metadata.n:number\n1,1\n"):
        failed.write_text(changed)
        run = userfold("import", failed)
        assert run.returncode == 1
        assert f"have changed since: delete {failed}.import-state" in run.stderr


def test_an_import_is_not_continued_with_other_columns_or_into_another_application(
    failed: Path, userfold: Userfold, database: Database[dict[str, Any]]
) -> None:
    for words, variables in (
        (["--map", "metadata.n:number=metadata.m:number"], {}),
        ([], {"USERFOLD_TOKEN": register(database, "another key").management_token}),
    ):
        run = userfold("import", failed, *words, **variables)
        assert run.returncode == 1
        assert "state of an import into another application, or with other columns" in run.stderr


def test_what_is_not_a_state_or_misses_its_refused_rows_is_refused(failed: Path, userfold: Userfold) -> None:
    refused = failed.with_name("users.refused.csv")
    refused.unlink()
    assert "is not there any more" in userfold("import", failed).stderr
    failed.with_name("users.csv.import-state").write_text("{}")
    assert "is not the state of an import" in userfold("import", failed).stderr


def test_an_update_whose_write_is_not_confirmed_is_sent_again_before_later_ones_of_its_user(
    userfold: Userfold, api: Api, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "users.jsonl"
    path.write_bytes(b"".join(b'{"user_id":"1","metadata":{"n":%d}}\n' % number for number in range(1000)))
    failing = {"failCommands": ["update"], "errorCode": 50, "appName": "userfold"}
    database.client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": failing})
    try:
        run = userfold("import", path)
    finally:
        database.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert run.returncode == 0
    assert run.stdout.startswith("imported   1,000\n")
    assert "waiting for the server: The database did not confirm the write" in run.stderr
    assert api.get("1").json()["metadata"] == {"n": 999}


def test_progress_is_a_line_where_there_is_no_terminal(
    userfold: Userfold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.progress.LINE_SECONDS", 0.0)
    path = tmp_path / "users.jsonl"
    path.write_bytes(_rows(0, 3000))
    run = userfold("import", path)
    assert re.match(r"imported 250, [\d,]+/s\n", run.stderr)
