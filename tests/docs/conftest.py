"""The stack of `make run` in a folder of its own, and readers of it."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from pymongo import MongoClient

from server.accounts.credentials import generate_collector_key
from tests.docs.conversation import Reader
from tests.support.applications import register
from tests.support.programs import Program, environment


@dataclass(frozen=True, slots=True)
class Running:
    """A running stack: its folder, and its ready line with what that names. `programs` has the program `userfold`."""

    folder: Path
    programs: Path
    line: str
    ready: dict[str, str]


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The stack of a new user."""
    folder = tmp_path_factory.mktemp("user")
    addresses = {"USERFOLD_GRPC_ADDRESS": "127.0.0.1:0", "USERFOLD_HTTP_ADDRESS": "127.0.0.1:0"}
    settings = addresses | {"USERFOLD_DATA_DIR": str(folder / ".userfold")}
    stack = Program("server.local.run", settings)
    with forking_userfold(tmp_path_factory.mktemp("programs")) as programs:
        yield Running(folder, programs, stack.printed.decode(), stack.ready)
    assert stack.stop() == 0


@contextmanager
def forking_userfold(directory: Path) -> Iterator[Path]:
    """A directory with a `userfold` that starts at once, until the end of the block."""
    command = [sys.executable, "-m", "tests.docs.forked_userfold", str(directory)]
    with subprocess.Popen(command, env=environment({}), stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == b"ready\n"
            yield directory
        finally:
            process.kill()


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
        running.programs,
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
