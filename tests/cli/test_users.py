"""`userfold users` and `userfold campaigns` against the running stack."""

import json
import re
from typing import Any
from unittest.mock import patch

import pytest

from tests.cli.conftest import Run, Terminal, Userfold
from tests.support.stack import Api


def _lines(run: Run) -> list[Any]:
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def users(api: Api) -> Api:
    """Seven users of two companies, u1 to u7."""
    for number in range(1, 8):
        api.stored(
            {
                "company_id": f"c{number % 2}",
                "session_token": f"t{number}",
                "anonymous_id": f"v{number}",
                "campaign": {"utm_source": "google" if number < 4 else "newsletter"},
                "metadata": {"email": f"u{number}@acme.com", "value": number, 'a.b"': {"c": [number]}},
            },
            user_id=f"u{number}",
        )
    return api


def test_users_are_listed_as_json_lines(userfold: Userfold, users: Api) -> None:
    run = userfold("users", "list", "--json", "--filter", 'company_id = "c1"', "--order-by", "user_id desc")
    listed = _lines(run)
    assert [each["user_id"] for each in listed] == ["u7", "u5", "u3", "u1"]
    assert listed[0] == users.get("u7").json()
    assert run.stderr == ""
    few = _lines(userfold("users", "list", "--json", "--fields", "metadata.value", "--limit", "1"))
    assert few == [{"user_id": "u1", "metadata": {"value": 1}}]


def test_users_are_listed_as_a_table(userfold: Userfold, users: Api) -> None:
    run = userfold("users", "list", "--limit", "2")
    assert run.returncode == 0
    heading, *rows = (re.split("  +", line) for line in run.stdout.splitlines())
    assert heading == ["USER_ID", "COMPANY_ID", "METADATA.EMAIL", "CREATED_TIME", "MODIFIED_TIME"]
    assert [row[:3] for row in rows] == [["u1", "c1", "u1@acme.com"], ["u2", "c0", "u2@acme.com"]]
    assert "--limit 0 all" in run.stderr
    run = userfold("users", "list", "--fields", 'metadata.value, metadata."a.b\\""', "--filter", 'user_id = "u3"')
    assert run.stdout.splitlines() == [
        'USER_ID  METADATA.VALUE  METADATA."A.B\\""',
        'u3       3               {"c":[3]}',
    ]


def test_all_pages_are_read_up_to_the_limit(userfold: Userfold, users: Api) -> None:
    with patch("cli.listings.PAGE", 2):
        for limit, expected in ((0, 7), (3, 3), (7, 7), (8, 7)):
            run = userfold("users", "list", "--json", "--limit", limit)
            assert [each["user_id"] for each in _lines(run)] == [f"u{number}" for number in range(1, expected + 1)]
            assert bool(run.stderr) == (limit == 3)


def test_users_are_counted(userfold: Userfold, users: Api) -> None:
    assert userfold("users", "count").stdout == "7\n"
    assert json.loads(userfold("users", "count", "--filter", "metadata.value > 5", "--json").stdout) == {"count": 2}
    refused = userfold("users", "count", "--filter", "((")
    assert (refused.returncode, "filter: " in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--session-token", "t3"], ["u3"]),
        (["--session-token", "-"], ["u5"]),
        (["--email", "U2@acme.com"], ["u2"]),
        (["--company-id", "c0", "--limit", "2"], ["u6", "u4"]),
        (["--anonymous-id", "v4"], ["u4"]),
        (["--company-id", "none"], []),
    ],
)
def test_users_are_looked_up(userfold: Userfold, users: Api, words: list[str], found: list[str]) -> None:
    with patch("sys.stdin.readline", lambda: "t5\n"):
        run = userfold("users", "lookup", "--json", *words)
    assert [each["user_id"] for each in _lines(run)] == found


def test_a_look_up_needs_one_key(userfold: Userfold) -> None:
    for words in ([], ["--email", "a@b.c", "--company-id", "x"]):
        run = userfold("users", "lookup", *words)
        assert (run.returncode, "exactly one of" in run.stderr) == (2, True)


def test_users_are_searched_by_the_beginning_of_an_id_or_an_address(userfold: Userfold, users: Api) -> None:
    users.stored({"metadata": {"email": "U@acme.com", "name": "Una"}}, user_id="x")
    assert [
        (each["user"]["user_id"], each["matched_field"]) for each in _lines(userfold("users", "search", "u", "--json"))
    ] == [
        *((f"u{number}", "user_id") for number in range(1, 8)),
        ("x", "metadata.email"),
    ]
    run = userfold("users", "search", "U", "--limit", "2")
    assert [re.split("  +", line) for line in run.stdout.splitlines()] == [
        ["USER_ID", "COMPANY_ID", "METADATA.EMAIL", "METADATA.NAME", "MATCHED_FIELD"],
        ["u1", "c1", "u1@acme.com", "-", "metadata.email"],
        ["u2", "c0", "u2@acme.com", "-", "metadata.email"],
    ]
    assert userfold("users", "search", "u", "--limit", "51").returncode == 2


def test_what_is_stored_of_a_user_is_exported(userfold: Userfold, users: Api) -> None:
    exported = json.loads(userfold("users", "export", "u1").stdout)
    assert exported == users.client.get("/v1/users/u1:export", headers=users.reader).json()


def test_users_are_erased_only_when_that_is_confirmed(userfold: Userfold, users: Api) -> None:
    run = userfold("users", "delete", "u1")
    assert (run.returncode, "confirm it with --yes" in run.stderr) == (2, True)
    assert users.get("u1").status_code == 200
    run = userfold("users", "delete", "u1", "nobody", "--yes", "--suppress-days", "1")
    assert (run.returncode, run.stdout) == (0, "erased  u1\nnot found  nobody\n")
    assert users.get("u1").status_code == 404
    assert users.update({"user_id": "u1"}).json()["suppressed"] is True
    run = userfold("users", "delete", "u2", "x" * 513, "--yes", "--json")
    assert run.returncode == 1
    assert [list(each) for each in json.loads(run.stdout)] == [["user_id", "response"], ["user_id", "error"]]
    assert run.stderr.splitlines()[-1] == "userfold: 1 of 2 users are not erased"


def test_a_user_is_merged_into_another_one(userfold: Userfold, users: Api) -> None:
    run = userfold("users", "merge", "u1", "u2", "--yes")
    assert (run.returncode, run.stdout, run.stderr) == (0, "merged  u2\ninto    u1\n", "")
    merged = users.get("u2").json()
    assert (merged["user_id"], merged["followed_user_id"]) == ("u1", "u2")
    assert (merged["metadata"]["value"], merged["alias_count"]) == (1, 2)
    assert userfold("users", "merge", "u1", "u2", "--yes").stdout == "both ids lead to one user already\n"
    for ids, is_merged in ((("u2", "u3"), True), (("u3", "u1"), False)):
        assert json.loads(userfold("users", "merge", *ids, "--yes", "--json").stdout) == {"merged": is_merged}
    for source, reason in (("nobody", "USER_NOT_FOUND"), ("u1", "INVALID_REQUEST")):
        refused = userfold("users", "merge", "u1", source, "--yes")
        assert (refused.returncode, refused.stdout, reason in refused.stderr) == (1, "", True)


def test_users_are_merged_only_when_that_is_confirmed(userfold: Userfold, users: Api) -> None:
    run = userfold("users", "merge", "u1", "u2")
    assert (run.returncode, run.stdout) == (2, "")
    explained, refused = run.stderr.splitlines()
    assert explained.startswith("u1 keeps its values, and gets those of u2 that it lacks")
    assert refused == "userfold: a merge of users cannot be undone: confirm it with --yes"
    for typed, status, user_id in (("n\n", 1, "u2"), ("y\n", 0, "u1")):
        with patch("sys.stdin", Terminal(typed)):
            run = userfold("users", "merge", "u1", "u2")
        assert (run.returncode, "Merge the two for good?" in run.stderr) == (status, True)
        assert users.get("u2").json()["user_id"] == user_id


def test_a_token_is_removed_from_its_user(userfold: Userfold, users: Api) -> None:
    assert userfold("users", "remove-alias", "u1", "t1").stdout == "removed\n"
    with patch("sys.stdin.readline", lambda: "t1\n"):
        assert userfold("users", "remove-alias", "u1", "-").stdout == "the user does not have this token\n"
    assert json.loads(userfold("users", "remove-alias", "u2", "t2", "--json").stdout) == {"removed": True}


def test_campaigns_are_reported(userfold: Userfold, users: Api) -> None:
    run = userfold("campaigns", "report", "--value-path", "metadata.value", "--start-time", "2020-01-01")
    assert run.returncode == 0, run.stderr
    assert [re.split("  +", line) for line in run.stdout.splitlines()] == [
        ["INITIAL_CAMPAIGN.UTM_SOURCE", "USERS", "SUM", "AVERAGE"],
        ["newsletter", "4", "22", "5.5"],
        ["google", "3", "6", "2"],
        ["total", "7", "28", "4"],
    ]
    words = ["--group-by", "campaign.utm_source,campaign.utm_medium", "--max-groups", "1"]
    run = userfold("campaigns", "report", *words)
    assert run.stdout.splitlines()[1].split() == ["newsletter", "-", "4", "-", "-"]
    assert "--max-groups" in run.stderr
    parsed = json.loads(userfold("campaigns", "report", "--json", "--end-time", "2020-01-01T00:00:00Z").stdout)
    assert (parsed["groups"], parsed["total"]["user_count"]) == ([], 0)
    assert userfold("campaigns", "report", "--start-time", "soon").returncode == 2
