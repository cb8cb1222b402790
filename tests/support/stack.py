"""The running server and gateway, and the HTTP API that they serve."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final, NamedTuple

import httpx2

from tests.support.applications import Application
from tests.support.programs import Program

DATABASE: Final = "userfold_test"
"""The database of the `stack` fixture."""


@dataclass(frozen=True)
class Stack:
    """The addresses of a running gateway and server."""

    http: str
    grpc: str
    admin: str


def start_server(
    mongodb_uri: str,
    database: str = DATABASE,
    variables: Mapping[str, str] | None = None,
    *,
    module: str = "server",
    stderr: IO[bytes] | None = None,
    measured: bool = False,
) -> Program:
    """A server on a free port, unless the variables name one."""
    settings = {
        "USERFOLD_MONGODB_URI": mongodb_uri,
        "USERFOLD_DATABASE": database,
        "USERFOLD_GRPC_ADDRESS": "127.0.0.1:0",
        **(variables or {}),
    }
    return Program(module, settings, stderr=stderr, measured=measured)


def start_gateway(
    grpc_address: str,
    variables: Mapping[str, str] | None = None,
    *,
    module: str = "gateway",
    stderr: IO[bytes] | None = None,
    measured: bool = False,
) -> Program:
    """A gateway on a free port, unless the variables name one."""
    settings = {
        "USERFOLD_GRPC_ADDRESS": grpc_address,
        "USERFOLD_HTTP_ADDRESS": "127.0.0.1:0",
        **(variables or {}),
    }
    return Program(module, settings, stderr=stderr, measured=measured)


@contextmanager
def running_stack(mongodb_uri: str, database: str = DATABASE, *, measured: bool = False) -> Iterator[Stack]:
    """A server and a gateway until the end of the block. Both must stop with exit status 0."""
    server = start_server(mongodb_uri, database, measured=measured)
    try:
        gateway = start_gateway(server.ready["grpc"], measured=measured)
        try:
            yield Stack(http=gateway.ready["http"], grpc=server.ready["grpc"], admin=gateway.ready["admin"])
        finally:
            assert gateway.stop() == 0
    finally:
        assert server.stop() == 0


class Api:
    """The HTTP API with the credentials of one application."""

    def __init__(self, url: str, application: Application) -> None:
        self.client = httpx2.Client(base_url=url, timeout=120)
        self.application = application
        self.writer = {"X-Moesif-Application-Id": application.collector_key}
        self.reader = {"Authorization": f"Bearer {application.management_token}"}

    def update(self, user: object, **headers: str) -> httpx2.Response:
        return self.client.post("/v1/users", json=user, headers=self.writer | headers)

    def batch(self, users: object, **headers: str) -> httpx2.Response:
        return self.client.post("/v1/users/batch", json=users, headers=self.writer | headers)

    def raw(self, body: bytes, path: str = "/v1/users", **headers: str) -> httpx2.Response:
        return self.client.post(path, content=body, headers=self.writer | headers)

    def get(self, user_id: str) -> httpx2.Response:
        return self.client.get(f"/v1/users/{percent_encoded(user_id)}", headers=self.reader)

    def stored(self, *users: dict[str, Any], user_id: str = "u") -> Any:
        """The profile after these updates, each of which must be accepted."""
        for user in users:
            response = self.update({"user_id": user_id} | user)
            assert response.status_code == 201, response.text
        response = self.get(user_id)
        assert response.status_code == 200, response.text
        return response.json()


class ProfileNames(NamedTuple):
    """The path of a kind of profiles, and the field of their ids."""

    path: str
    key: str


USERS: Final = ProfileNames("/v1/users", "user_id")
COMPANIES: Final = ProfileNames("/v1/companies", "company_id")


class Profiles:
    """The profiles of one kind in the HTTP API."""

    def __init__(self, api: Api, names: ProfileNames) -> None:
        self._api = api
        self.path, self.key = names

    def update(self, update: object) -> httpx2.Response:
        return self._api.client.post(self.path, json=update, headers=self._api.writer)

    def batch(self, updates: object) -> httpx2.Response:
        return self._api.client.post(f"{self.path}/batch", json=updates, headers=self._api.writer)

    def get(self, key: str) -> httpx2.Response:
        return self._api.client.get(f"{self.path}/{percent_encoded(key)}", headers=self._api.reader)

    def stored(self, *updates: dict[str, Any], key: str = "p") -> Any:
        """The profile after these updates, each of which must be accepted."""
        for update in updates:
            response = self.update({self.key: key} | update)
            assert response.status_code == 201, response.text
        response = self.get(key)
        assert response.status_code == 200, response.text
        return response.json()


def percent_encoded(text: str) -> str:
    """`text` with every byte encoded, as clients change `.` and `..` in a path."""
    return "".join(f"%{byte:02X}" for byte in text.encode())
