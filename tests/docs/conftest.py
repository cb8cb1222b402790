"""The stack of `make run` in a folder of its own, and readers of it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from pymongo import MongoClient

from server.accounts.credentials import generate_collector_key
from tests.docs.conversation import Reader
from tests.support.applications import register
from tests.support.programs import Program


@dataclass(frozen=True, slots=True)
class Running:
    """A running stack: its folder, and its ready line with what that names."""

    folder: Path
    line: str
    ready: dict[str, str]


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The stack of a new user."""
    folder = tmp_path_factory.mktemp("user")
    addresses = {"USERFOLD_GRPC_ADDRESS": "127.0.0.1:0", "USERFOLD_HTTP_ADDRESS": "127.0.0.1:0"}
    stack = Program("server.local.run", addresses | {"USERFOLD_DATA_DIR": str(folder / ".userfold")})
    yield Running(folder, stack.printed.decode(), stack.ready)
    assert stack.stop() == 0


NewReader: TypeAlias = Callable[[], Reader]


@pytest.fixture
def new_reader(running: Running, tmp_path: Path) -> NewReader:
    """Makes a reader with an application of their own, whose keys are where those of the demo application are."""

    def make() -> Reader:
        with MongoClient[dict[str, Any]](running.ready["mongodb"]) as client:
            application = register(client["userfold"], generate_collector_key())
        return reader_with(
            running,
            tmp_path,
            application_id=application.application_id,
            collector_key=application.collector_key,
            management_token=application.management_token,
        )

    return make


def demo_reader(running: Running) -> Reader:
    """A reader in the folder of the stack, with the keys of the demo application."""
    keys = dict(re.findall(r"^(\w+)=(\S+)$", running.folder.joinpath(".userfold/demo.env").read_text(), re.MULTILINE))
    return reader_with(running, running.folder, **keys)


def reader_with(running: Running, folder: Path, **keys: str) -> Reader:
    """A reader with these keys, which are in `.userfold/demo.env` of the folder, as `make run` writes them."""
    keys["export USERFOLD_TOKEN"] = keys["management_token"]
    (folder / ".userfold").mkdir(exist_ok=True)
    (folder / ".userfold/demo.env").write_text("".join(f"{name}={value}\n" for name, value in keys.items()))
    ready = running.ready
    return Reader(
        folder,
        ready["http"],
        ready["admin"],
        ready["grpc"],
        ready["mongodb"],
        keys["collector_key"],
        keys["management_token"],
        variables={
            "USERFOLD_GRPC_ADDRESS": ready["grpc"],
            "USERFOLD_HTTP_ADDRESS": ready["http"].removeprefix("http://"),
            "USERFOLD_DATA_DIR": str(running.folder / ".userfold"),
        },
    )
