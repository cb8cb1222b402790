"""A backup of version 0.2 is restored, and every profile in it is read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from server.local.mongod import EmbeddedMongod
from tests.support.programs import Program, run_program
from tests.support.stack import start_gateway

_NEW: Final = frozenset({"etag", "companies", "anonymous_ids"})
"""What version 0.2.0 did not return. No recorded metadata has such a key."""

_FOLDER: Final = Path(__file__).parent
_RECORDED: Final[dict[str, Any]] = json.loads(_FOLDER.joinpath("userfold-0.2.0-responses.json").read_text())


@pytest.fixture(scope="module")
def client(mongod: EmbeddedMongod) -> Iterator[httpx2.Client]:
    """A client of programs that serve the restored database."""
    variables = {"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_DATABASE": "userfold_stored_by_0_2"}
    restored = run_program("cli.main", "restore", _FOLDER / "userfold-0.2.0.backup", variables=variables)
    assert restored.returncode == 0, restored.stderr
    server = Program("server", {"USERFOLD_GRPC_ADDRESS": "127.0.0.1:0", **variables})
    gateway = start_gateway(server.ready["grpc"])
    authorization = f"Bearer {_RECORDED['management_token']}"
    try:
        with httpx2.Client(
            base_url=gateway.ready["http"], timeout=30, headers={"Authorization": authorization}
        ) as client:
            yield client
    finally:
        assert (gateway.stop(), server.stop()) == (0, 0)


@pytest.mark.parametrize(
    "recorded", _RECORDED["responses"], ids=[f"{each['method']} {each['path']}" for each in _RECORDED["responses"]]
)
def test_each_read_returns_what_version_0_2_returned(client: httpx2.Client, recorded: dict[str, Any]) -> None:
    response = client.request(recorded["method"], recorded["path"], json=recorded["body"])
    assert response.status_code == recorded["status"]
    # The message of an error may change.
    assert _of_0_2(response.json()) | {"message": None} == recorded["response"] | {"message": None}


def test_an_erased_user_stays_suppressed_and_a_profile_takes_updates(client: httpx2.Client) -> None:
    key = {"X-Moesif-Application-Id": _RECORDED["application_id"]}
    suppressed = client.post("/v1/users", json={"user_id": "gone"}, headers=key)
    assert (suppressed.status_code, suppressed.json()["suppressed"]) == (201, True)
    update = {"user_id": "later", "session_token": "s-ada-1", "metadata": {"plan": {"seats": 1}}}
    assert client.post("/v1/users", json=update, headers=key).status_code == 201
    found = client.post("/v1/users:lookup", json={"session_token": "s-ada-1"}).json()["users"]
    assert {user["user_id"] for user in found} == {"ada", "later"}
    assert client.delete("/v1/users/later").json() == {"deleted": True}


def _of_0_2(value: Any) -> Any:
    """A response without what is new."""
    if isinstance(value, dict):
        return {name: _of_0_2(inner) for name, inner in value.items() if name not in _NEW}
    return [_of_0_2(inner) for inner in value] if isinstance(value, list) else value
