"""What commands print."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from cli.commands.applications.presentation import HEADINGS, row_of
from cli.output import print_fields, print_table
from server.accounts.credentials import StoredCredential, digest
from server.model import CredentialKind, Scope

_CREATED = datetime(2026, 1, 1, 10, 30, tzinfo=UTC)
_NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_credentials_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    scopes = frozenset({Scope.READ_USERS, Scope.DELETE_USERS})
    token = StoredCredential(
        digest("t"),
        "c1",
        "a",
        CredentialKind.MANAGEMENT,
        "Support",
        scopes,
        _CREATED,
        _NOW,
        last_used_time=_CREATED + timedelta(days=31),
    )
    end = _NOW + timedelta(days=1)
    key = StoredCredential(digest("k"), "c2", "a", CredentialKind.COLLECTOR, "", frozenset(), _CREATED, end)
    print_table(HEADINGS, [row_of(each, _NOW) for each in (token, key)])
    assert capsys.readouterr().out.splitlines() == [
        "CREDENTIAL ID  KIND              NAME     SCOPES                   CREATED           "
        "EXPIRES                   LAST USED",
        "c1             management token  Support  delete:users,read:users  2026-01-01 10:30  "
        "expired 2026-03-01 00:00  2026-02-01 10:30",
        "c2             collector key     -        -                        2026-01-01 10:30  "
        "2026-03-02 00:00          -",
    ]


def test_a_terminal_obeys_nothing_in_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A",), [("x\x1b[2J\n",)])
    print_fields({"a": "\x9bH", "left out": None})
    assert capsys.readouterr().out == "A\nx\\x1b[2J\\x0a\na  \\x9bH\n"


def test_a_terminal_gets_a_table_of_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    print_table(("A", "B"), [("[bold]x", "word " * 10)])
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 30
    assert "[bold]x" in lines[3]
