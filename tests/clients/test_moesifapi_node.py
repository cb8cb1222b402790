"""The package `moesifapi` of npm, as the API page uses it."""

import json
import shutil
from pathlib import Path

import pytest

from tests.clients import profiles
from tests.clients.conftest import NODE, Node
from tests.clients.programs import finished, run
from tests.support.stack import Api, Stack


def _metadata(email: str, first_name: str, last_name: str) -> dict[str, object]:
    return {
        "email": email,
        "firstName": first_name,
        "lastName": last_name,
        "title": "Software Engineer",
        "salesInfo": {"stage": "Customer", "lifetimeValue": 24000, "accountOwner": "mary@contoso.com"},
    }


@pytest.mark.parametrize("of_wheel", [False, True], ids=["the machine's node", "the wheel's node"])
def test_the_pages_examples_update_users(stack: Stack, api: Api, node: Node, of_wheel: bool) -> None:
    program = (Node.of_wheel() if of_wheel else node).node
    output = run([program, NODE / "update_users.cjs"], BASE_URL=stack.http, KEY=api.application.collector_key)
    assert output == "single 201\nbatch 201\n"
    assert profiles.returned_profile(api, "12345") == profiles.profile(
        "12345",
        company_id="67890",
        campaign=profiles.CAMPAIGN,
        metadata=_metadata("john@acmeinc.com", "John", "Doe"),
    )
    assert profiles.returned_profile(api, "67890") == profiles.profile(
        "67890",
        company_id="67890",
        campaign=profiles.CAMPAIGN,
        metadata=_metadata("mary@contoso.com", "Mary", "Jane"),
    )


def test_an_error_reaches_the_packages_callbacks(stack: Stack, node: Node) -> None:
    output = run([node.node, NODE / "update_users.cjs"], BASE_URL=stack.http, KEY="unknown")
    for line, name in zip(output.splitlines(), ["single", "batch"], strict=True):
        word, _, error = line.partition(" ")
        assert (word, json.loads(error)["errorMessage"]) == (name, "Request failed with status code 401")


def test_the_wheels_npm_installs_the_packages(tmp_path: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(NODE / name, tmp_path)
    npm = Node.of_wheel()
    npm.install(tmp_path / "package-lock.json")
    listed = finished([*npm.npm, "ls", "--json"], cwd=tmp_path)
    assert json.loads(listed.stdout)["dependencies"]["moesifapi"]["version"] == "3.1.3"
    packages = (tmp_path / "node_modules").stat()
    npm.install(tmp_path / "package-lock.json")
    assert (tmp_path / "node_modules").stat().st_ino == packages.st_ino, "npm ci makes the folder anew"


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    packages = [entry for path, entry in lock["packages"].items() if path]
    assert packages
    assert not [entry for entry in packages if "resolved" in entry or not entry.get("integrity")]
