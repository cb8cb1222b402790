"""`userfold suppressions`."""

import json

import pytest

from tests.cli.conftest import Userfold
from tests.support.stack import Api


@pytest.fixture
def suppressed(api: Api) -> list[str]:
    """The digests of three suppressed users, in order."""
    for user_id in ("a", "b", "c"):
        api.client.delete(f"/v1/users/{user_id}", params={"suppress_days": 30}, headers=api.reader)
    listed = api.client.get("/v1/suppressions", headers=api.reader).json()["suppressions"]
    return [each["user_id_digest"] for each in listed]


def test_suppressions_are_listed_page_by_page(
    userfold: Userfold, suppressed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.commands.suppressions._PAGE", 1)
    run = userfold("suppressions", "list")
    assert run.returncode == 0, run.stderr
    heading, *lines = run.stdout.splitlines()
    assert heading.split("  ")[0] == "USER ID DIGEST"
    assert [line.split()[0] for line in lines] == suppressed
    listed = [json.loads(line) for line in userfold("suppressions", "list", "--json").stdout.splitlines()]
    assert [each["user_id_digest"] for each in listed] == suppressed
    (of_b,) = userfold("suppressions", "list", "--user-id", "b", "--json").stdout.splitlines()
    assert json.loads(of_b) in listed


@pytest.mark.usefixtures("suppressed")
def test_a_suppression_is_lifted(userfold: Userfold) -> None:
    assert userfold("suppressions", "lift", "b").stdout == "lifted  True\n"
    assert json.loads(userfold("suppressions", "lift", "b", "--json").stdout) == {"lifted": False}
    assert len(userfold("suppressions", "list", "--json").stdout.splitlines()) == 2
    run = userfold("suppressions", "lift", "")
    assert (run.returncode, "user_id" in run.stderr) == (1, True)
