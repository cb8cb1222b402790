"""The README's calls, copied out of it and run, against `python -m server.local.run`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app import SERVICES
from gateway.routing.http_rules import bindings_of
from runtime.child import start_child, stop_child
from tests.support.needs import NEEDS

_README = Path(__file__).parent.parent.joinpath("README.md").read_text()
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def _blocks(after: str, kind: str = "") -> list[str]:
    """The code blocks of one kind under a heading."""
    section = _README.split(f"\n## {after}\n")[1].split("\n## ")[0]
    return [
        text for found, text in re.findall(r"^```(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE) if found == kind
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of a new user in which the stack runs, and the URL of the gateway."""
    folder = tmp_path_factory.mktemp("user")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("USERFOLD_")}
    addresses = {"USERFOLD_GRPC_ADDRESS": "127.0.0.1:0", "USERFOLD_HTTP_ADDRESS": "127.0.0.1:0"}
    data = {"USERFOLD_DATA_DIR": str(folder / ".userfold")}
    stack = start_child(
        [sys.executable, "-m", "server.local.run"], environment=environment | addresses | data, stdout=subprocess.PIPE
    )
    assert stack.stdout
    line = stack.stdout.readline().decode()
    shown = re.search(r"^userfold ready .*$", _README, re.MULTILINE)
    assert shown
    assert re.findall(r"(\w+)=", line) == re.findall(r"(\w+)=", shown[0])
    folder.joinpath("mongodb").write_text(re.findall(r"mongodb=(\S+)", line)[0])
    yield folder, re.findall(r"http=(\S+)", line)[0]
    stop_child(stack)
    stack.stdout.close()
    assert stack.returncode == 0


def _run(folder: Path, url: str, script: str) -> str:
    script = script.replace("http://127.0.0.1:8080", url)
    return subprocess.run(["bash", "-euc", script], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_the_first_calls_answer_what_the_readme_says(folder: tuple[Path, str]) -> None:
    first, second = _blocks("A first call")
    keys = ". .userfold/demo.env\n"
    assert first.startswith(keys)
    answer = _run(*folder, first)
    assert answer.startswith("HTTP/1.1 201 Created\n")
    assert answer.endswith("\n\n{}")
    update, read = second.split("\n\n")
    warned = _run(*folder, keys + update)
    assert warned in _README
    (shown,) = _blocks("A first call", "json")
    profile: Any = json.loads(_run(*folder, keys + read))
    for name in ("created_time", "modified_time", "stored_time"):
        assert _TIME.fullmatch(profile.pop(name))
    expected: Any = json.loads(shown)
    assert profile == {name: value for name, value in expected.items() if not name.endswith("_time")}


def test_an_erasure_answers_what_the_readme_says(folder: tuple[Path, str]) -> None:
    def run(script: str) -> str:
        # Another user: the erasure is kept up, and other tests have users of their own to store.
        script = ". .userfold/demo.env\n" + script.replace("12345", "12345-gone")
        return _run(*folder, script).replace("12345-gone", "12345")

    stored = """curl -s http://127.0.0.1:8080/v1/users -H "X-Moesif-Application-Id: $application_id" \\
        -d '{"user_id":"12345","company_id":"67890","session_token":"XXXXXXXXXX"}'
    """
    assert run(stored) == "{}"
    first, update, batch = _blocks("Erasing and exporting")
    export, delete = first.split("\n\n")
    shown = [json.loads(text) for text in _blocks("Erasing and exporting", "json")]
    exported: Any = json.loads(run(export))
    assert {name: exported["user"][name] for name in shown[0]["user"]} == shown[0]["user"]
    assert exported.keys() == shown[0].keys()
    assert exported["visitors"] == shown[0]["visitors"]
    assert f"`{run(delete)}`" in _README
    assert f"`{run(update)}`" in _README
    assert json.loads(run(batch)) == shown[1]


def test_the_table_of_routes_is_that_of_the_descriptors() -> None:
    bound: dict[str, list[str]] = {}
    # The shortest first, a GET before a POST: the others are for what no URL may have.
    for binding in sorted(bindings_of(SERVICES), key=lambda binding: (len(binding.template), binding.method)):
        bound.setdefault(binding.rpc.rpartition("/")[2], []).append(f"`{binding.method} {binding.template}`")
    rows = [
        f"| `{method.name}` | {', '.join(bound.get(method.name, ['a stream: gRPC alone']))} |"
        for service in SERVICES
        for method in service.methods
    ]
    assert "\n".join(["| --- | --- |", *rows, ""]) in _README


def test_the_client_library_works_as_shown(folder: tuple[Path, str]) -> None:
    (program,) = _blocks("A first call", "python")
    key = re.findall(r"^application_id=(.*)$", (folder[0] / ".userfold/demo.env").read_text(), re.MULTILINE)[0]
    program = program.replace("http://127.0.0.1:8080", folder[1]).replace("APPLICATION_ID", key)
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_lists_and_the_report_answer_what_the_readme_says(folder: tuple[Path, str]) -> None:
    keys = ". .userfold/demo.env\n"
    for call in _blocks("A first call")[:2]:
        _run(*folder, keys + call)
    listing, count = _blocks("Listing and counting users")[0].split("\n\n")
    (shown,) = _blocks("Listing and counting users", "json")
    assert json.loads(_run(*folder, keys + listing)) == json.loads(shown)
    assert _run(*folder, keys + count) in _README
    (report,) = _blocks("What campaigns bring")
    (shown,) = _blocks("What campaigns bring", "json")
    told = re.sub(r'"day":"\d{4}-\d\d-\d\d"', '"day":"2026-11-23"', _run(*folder, keys + report))
    assert json.loads(told) == json.loads(shown)


def test_the_error_is_as_shown(folder: tuple[Path, str]) -> None:
    (shown,) = _blocks("Answers and limits", "json")
    script = """. .userfold/demo.env
        curl -s http://127.0.0.1:8080/v1/users -H "X-Moesif-Application-Id: $application_id" \\
          -d '{"user_id":"x","metadata":{"email":[]}}'
    """
    assert json.loads(_run(*folder, script)) == json.loads(shown)


def test_credentials_are_managed_as_shown(folder: tuple[Path, str]) -> None:
    commands, _ = _blocks("Applications, credentials and scopes")
    export, create, *rest = commands.splitlines()
    uri = folder[0].joinpath("mongodb").read_text()
    export = ". .userfold/demo.env\n" + re.sub("'mongodb:.*'", f"'{uri}'", export)
    python = f"{sys.executable} -m"
    printed = _run(*folder, f"{export}\n{create}".replace("python -m", python))
    credential_id, secret = re.findall(r"^credential +(\w{12})  Support desk\nmanagement_token +(\S+)$", printed)[0]
    token = (
        f'curl -s -o /dev/null -w "%{{http_code}}" http://127.0.0.1:8080/v1/users -H "Authorization: Bearer {secret}"'
    )
    assert _run(*folder, f"{token} -d '{{}}'") == "403"
    script = "\n".join(rest).replace("CREDENTIAL_ID", credential_id)
    listed, rotated = _run(*folder, f"{export}\n{script}".replace("python -m", python)).split("\ncredential ")
    assert re.search(rf" {credential_id}  management token  Support desk  read:users  ", listed)
    assert rotated.endswith(f"\nrevoked           {credential_id}\n")


def test_a_missing_scope_is_told_as_shown(folder: tuple[Path, str]) -> None:
    _, call = _blocks("Applications, credentials and scopes")
    (shown,) = _blocks("Applications, credentials and scopes", "json")
    assert json.loads(_run(*folder, f". .userfold/demo.env\n{call}")) == json.loads(shown)


def test_the_scopes_are_those_of_the_methods() -> None:
    rows = re.findall(r"^\| `([a-z:]+)` \| (`[A-Z].*) \|$", _README, re.MULTILINE)
    shown = {(scope, method) for scope, methods in rows for method in re.findall(r"`(\w+)`", methods)}
    assert shown == {(need.scope.value, method) for method, need in NEEDS.items()}


def test_every_path_that_the_readme_names_is_there() -> None:
    root = Path(__file__).parent.parent
    for path in set(re.findall(r"`((?:server|gateway|tests|protos)/[\w/.]*)`", _README)):
        assert (root / path).exists(), path


def test_every_module_that_the_architecture_names_is_there() -> None:
    root = Path(__file__).parent.parent
    named = set(re.findall(r"`([\w/]+\.py)`", root.joinpath("docs/architecture.md").read_text()))
    assert len(named) > 40
    modules = [f"/{path.relative_to(root)}" for top in ("server", "gateway") for path in (root / top).rglob("*.py")]
    assert [name for name in named if not any(module.endswith(f"/{name}") for module in modules)] == []
