"""`userfold visitors`."""

import json

import pytest

from tests.cli.conftest import Userfold
from tests.support.stack import Api


@pytest.fixture
def visitors(api: Api) -> None:
    """Three visitors and a user."""
    updates = [{"anonymous_id": each, "metadata": {"plan": f"plan of {each}"}} for each in ("a", "b", "c")]
    assert api.batch([*updates, {"user_id": "u", "anonymous_id": "d"}]).status_code == 201


@pytest.mark.usefixtures("visitors")
def test_visitors_are_listed_page_by_page(userfold: Userfold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.listings.PAGE", 1)
    heading, *lines = userfold("visitors", "list", "--fields", "metadata.plan").stdout.splitlines()
    assert heading.split("  ")[0] == "ANONYMOUS_ID"
    assert sorted(line.split(maxsplit=1)[1] for line in lines) == ["plan of a", "plan of b", "plan of c"]
    listed = [json.loads(line) for line in userfold("visitors", "list", "--json").stdout.splitlines()]
    assert sorted(each["anonymous_id"] for each in listed) == ["a", "b", "c"]
    run = userfold("visitors", "list", "--limit", "2", "--order-by", "anonymous_id desc", "--json")
    assert [json.loads(line)["anonymous_id"] for line in run.stdout.splitlines()] == ["c", "b"]
    assert "There are more visitors" in run.stderr


@pytest.mark.usefixtures("visitors")
def test_a_visitor_is_counted_read_exported_and_erased(userfold: Userfold) -> None:
    assert userfold("visitors", "count").stdout == "3\n"
    assert json.loads(userfold("visitors", "count", "--filter", 'anonymous_id = "a"', "--json").stdout) == {"count": 1}
    visitor = json.loads(userfold("visitors", "get", "a").stdout)
    assert visitor["metadata"] == {"plan": "plan of a"}
    assert json.loads(userfold("visitors", "export", "a").stdout) == {"visitor": visitor, "alias_digests": []}
    run = userfold("visitors", "delete", "a")
    assert (run.returncode, "--yes" in run.stderr) == (2, True)
    assert userfold("visitors", "delete", "a", "--yes").stdout == "erased  a\n"
    assert userfold("visitors", "delete", "a", "--yes").stdout == "not found  a\n"
    assert json.loads(userfold("visitors", "delete", "b", "--yes", "--json").stdout) == {"deleted": True}
    assert userfold("visitors", "count").stdout == "1\n"
    run = userfold("visitors", "get", "a")
    assert (run.returncode, "VISITOR_NOT_FOUND" in run.stderr) == (1, True)
