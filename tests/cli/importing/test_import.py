"""`userfold import`, against a running server."""

import csv
import gzip
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Userfold
from tests.support.stack import Api, Stack

_USERS = [
    {"user_id": "1", "company_id": "67890", "metadata": {"plan": "pro", "age": 31}},
    {"user_id": "2", "campaign": {"utm_source": "google"}, "metadata": {"plan": "free"}},
    {"userId": "3", "email": "john@acmeinc.com", "modified_time": "2026-01-02T03:04:05.678901234Z"},
]


def _lines(*users: object) -> bytes:
    return b"".join(json.dumps(user).encode() + b"\n" for user in users)


def _csv(*records: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(records)
    return text.getvalue()


@pytest.mark.parametrize("encode", [_lines, lambda *users: json.dumps(users, indent=1).encode()])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_json_lines_and_arrays_are_imported(
    encode: Any, compress: Any, userfold: Userfold, api: Api, tmp_path: Path
) -> None:
    path = tmp_path / "users.json"
    path.write_bytes(compress(encode(*_USERS)))
    run = userfold("import", path)
    assert (run.returncode, run.stderr.count("\n")) == (0, 1)
    assert run.stdout.splitlines()[:2] == ["imported   3", "warning    *: MOVED_TO_METADATA in 1 rows"]
    assert api.get("1").json()["metadata"] == {"plan": "pro", "age": 31}
    assert api.get("2").json()["campaign"] == {"utm_source": "google"}
    third = api.get("3").json()
    assert third["modified_time"] == "2026-01-02T03:04:05.678901234Z"
    assert third["company_domain"] == "acmeinc.com"
    # The machine that imports is no user's device.
    assert "ip_address" not in third
    assert [each.name for each in tmp_path.iterdir()] == ["users.json"]


def test_csv_is_imported_with_a_mapping(userfold: Userfold, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text(_csv(["key", "Email", "Plan", "Age", "Notes"], ["1", "a@acmeinc.com", "pro, yearly", "31", "x"]))
    mapping = ("--map", "Plan=metadata.plan", "--map", "Age=metadata.age:number", "--map", "Notes=")
    run = userfold("import", path, "--id", "key", *mapping)
    assert (run.returncode, run.stderr.count("\n")) == (0, 1)
    assert api.get("1").json()["metadata"] == {"email": "a@acmeinc.com", "plan": "pro, yearly", "age": 31}


def test_updates_of_one_user_are_stored_in_the_order_of_their_rows(
    userfold: Userfold, api: Api, tmp_path: Path
) -> None:
    path = tmp_path / "users.jsonl"
    path.write_bytes(
        _lines(*({"user_id": "1", "metadata": {"n": number, str(number % 7): 1}} for number in range(2000)))
    )
    assert userfold("import", path).returncode == 0
    metadata = api.get("1").json()["metadata"]
    assert metadata == {"n": 1999, **{str(number): 1 for number in range(7)}}


_BAD_ROWS = [
    ({"user_id": "1", "metadata": {"email": []}}, "INVALID_REQUEST", "metadata.email"),
    ({"metadata": {}}, "INVALID_REQUEST", "user_id"),
    ({"user_id": {}}, "INVALID_REQUEST", "user_id"),
    ({"user_id": "x" * 513}, "INVALID_REQUEST", "user_id"),
    ({"user_id": "2", "etag": "x"}, "ETAG_MISMATCH", None),
    ([1], "WRONG_TYPE", None),
]


def test_refused_rows_are_kept_with_their_reasons_and_can_be_mended_and_imported(
    userfold: Userfold, api: Api, tmp_path: Path
) -> None:
    path, refused = tmp_path / "users.jsonl", tmp_path / "users.refused.jsonl"
    exact = b'{"user_id":"7","n":1.10,"metadata":{"email":{},"n":17870000000001001}}\n'
    path.write_bytes(_lines({"user_id": "ok"}, *(row for row, *_ in _BAD_ROWS)) + b"{'user_id': 1}\n" + exact)
    run = userfold("import", path)
    assert run.returncode == 4
    assert run.stdout.splitlines()[:2] == ["imported   1", f"refused    8, in {refused}"]
    assert stat.S_IMODE(refused.stat().st_mode) == 0o600
    *rows, invalid, last = refused.read_bytes().splitlines()
    for number, (line, (row, reason, field)) in enumerate(zip(rows, _BAD_ROWS, strict=True), 2):
        kept = json.loads(line)
        described = kept.pop("refused")
        assert (described["row"], described["reason"]) == (number, reason)
        assert [each["field"] for each in described.get("fields", [])] == ([] if field is None else [field])
        assert kept == row if isinstance(row, dict) else json.loads(described["text"]) == row
    assert json.loads(invalid)["refused"]["reason"] == "NOT_JSON"
    assert last.endswith(b',"user_id":"7","n":1.10,"metadata":{"email":{},"n":17870000000001001}}')
    # A second import of the file would overwrite them.
    assert "exists already" in userfold("import", path).stderr
    mended = (
        invalid.replace(b"'user_id': 1", b'\\"user_id\\": \\"mended\\"') + b"\n" + rows[0].replace(b"[]", b'"x@y.z"')
    )
    refused.write_bytes(mended)
    assert userfold("import", refused).returncode == 0
    assert api.get("mended").status_code == 200
    assert api.get("1").json()["metadata"] == {"email": "x@y.z"}


def test_refused_rows_that_are_refused_again_have_only_the_new_reason(userfold: Userfold, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_bytes(
        _lines({"refused": {"row": 9, "reason": "X", "text": "?"}, "metadata": {"n": 2**70}}, {"refused": 1})
    )
    assert userfold("import", path).returncode == 4
    (line, other) = (tmp_path / "users.refused.jsonl").read_text().splitlines()
    assert line.count('"refused"') == 1
    kept = json.loads(line)
    assert kept["metadata"] == {"n": 2**70}
    assert kept["refused"]["row"] == 1
    assert json.loads(other)["refused"]["row"] == 2


def test_refused_rows_of_csv_keep_their_columns_and_can_be_mended_and_imported(
    userfold: Userfold, api: Api, tmp_path: Path
) -> None:
    path, refused = tmp_path / "users.csv.gz", tmp_path / "users.refused.csv"
    records = [["user_id", "age"], ["1", "x;y"], ["2", "3", "4"], ["", "5"], ["6", "7"]]
    text = "\n".join(";".join(f'"{cell}"' for cell in record) for record in records).encode() + b'\n"\xff";1\n'
    path.write_bytes(gzip.compress(text))
    mapping = ("--map", "age=metadata.age:number")
    assert userfold("import", path, *mapping).returncode == 4
    assert refused.read_bytes().splitlines() == [
        b"refused_row;refused_reason;refused_field;refused_message;user_id;age",
        b'2;NOT_A_NUMBER;metadata.age;must be a number such as 24000 or -1.5;1;"x;y"',
        b"3;WRONG_COLUMNS;;The row has not as many cells as the header.;2;3;4",
        b"4;REQUIRED;user_id;a user_id is required: any string of 1 to 512 bytes;;5",
        b"6;NOT_UTF8;;The row is not UTF-8.;\xff;1",
    ]
    assert api.get("6").json()["metadata"] == {"age": 7}
    refused.write_bytes(refused.read_bytes().splitlines()[0] + b"\n2;NOT_A_NUMBER;metadata.age;x;1;8\n")
    assert userfold("import", refused, *mapping).returncode == 0
    assert api.get("1").json()["metadata"] == {"age": 8}


def test_a_dry_run_refuses_what_the_server_refuses_and_writes_nothing(
    userfold: Userfold, api: Api, tmp_path: Path
) -> None:
    path = tmp_path / "users.jsonl"
    # Only the stored profile decides about an etag.
    rows = [row for row, reason, _ in _BAD_ROWS if reason != "ETAG_MISMATCH"]
    path.write_bytes(_lines({"user_id": "1", "metadata": {"phone": 5}}, *rows))
    checked = userfold("import", path, "--dry-run", "--json", USERFOLD_TOKEN="", USERFOLD_GRPC_ADDRESS="")
    assert (checked.returncode, api.get("1").status_code) == (4, 404)
    assert [each.name for each in tmp_path.iterdir()] == ["users.jsonl"]
    printed = json.loads(checked.stdout)
    assert (printed["valid_count"], printed["refused_count"], printed["imported_count"]) == (1, 5, 0)
    assert printed["warnings"] == [{"field": "metadata", "reason": "KEPT_AS_TEXT", "count": 1}]
    assert userfold("import", path).returncode == 4
    lines = (tmp_path / "users.refused.jsonl").read_bytes().splitlines()
    found = [json.loads(line)["refused"] for line in lines]
    assert [{**each, "fields": each.get("fields", []), "text": ""} for each in found] == [
        {**each, "text": ""} for each in printed["refused"]
    ]
    shown = userfold("import", path, "--dry-run")
    assert shown.stdout.splitlines()[:2] == ["valid      1", "refused    5"]
    assert "row 3: user_id: a user_id is required: any string of 1 to 512 bytes (REQUIRED)" in shown.stderr.splitlines()


def test_suppressed_users_are_counted_and_not_stored(userfold: Userfold, api: Api, tmp_path: Path) -> None:
    api.client.delete("/v1/users/1?suppress_days=1", headers=api.reader)
    path = tmp_path / "users.jsonl"
    path.write_bytes(_lines({"user_id": "1"}, {"user_id": "2"}))
    run = userfold("import", path, "--json")
    assert run.returncode == 0
    printed = json.loads(run.stdout)
    assert (printed["imported_count"], printed["suppressed_count"], printed["refused_count"]) == (1, 1, 0)
    assert printed["complete"]
    assert not printed["continued"]


def test_stdin_is_imported_and_keeps_no_state(stack: Stack, api: Api, tmp_path: Path) -> None:
    settings = {"USERFOLD_GRPC_ADDRESS": stack.grpc, "USERFOLD_TOKEN": api.application.management_token}
    run = subprocess.run(
        [Path(sys.executable).with_name("userfold"), "import", "-", "--map", "x=metadata.x"],
        input=b"user_id,x\n1,2\n",
        env=os.environ | settings,
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert run.stdout.startswith(b"imported   1\n")
    assert api.get("1").json()["metadata"] == {"x": "2"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "content", "status", "error"),
    [
        (["missing.csv"], "", 2, "there is no file missing.csv"),
        (["f", "--map", "x"], "user_id\n", 2, "expected COLUMN=FIELD"),
        (["f", "--map", "x=metadata.x"], "{}\n", 2, "are for CSV"),
        (["f", "--delimiter", "ab"], "user_id\n", 2, "--delimiter must be one character"),
        (["f"], '{\n"user_id": "1"\n}', 1, "one JSON object over many lines"),
        (["f", "--format", "json"], "{}", 1, "no JSON array from byte 0"),
        (["f"], "name\n1\n", 2, "no column is the user_id"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    words: list[str],
    content: str,
    status: int,
    error: str,
    userfold: Userfold,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").write_text(content)
    run = userfold("import", *words)
    assert (run.returncode, run.stdout) == (status, "")
    assert error in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_token_that_is_unknown_or_may_not_write_is_refused_before_anything_is_sent(
    userfold: Userfold, tmp_path: Path
) -> None:
    path = tmp_path / "users.jsonl"
    path.write_bytes(_lines({"user_id": "1"}))
    run = userfold("import", path, USERFOLD_TOKEN="unknown")
    assert run.returncode == 1
    assert "CREDENTIAL_UNKNOWN" in run.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["users.jsonl"]
