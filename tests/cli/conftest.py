"""The command line, run in this process against the running stack."""

import io
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from typing import Protocol
from unittest.mock import patch

import pytest

from cli.main import main
from server.local.mongod import EmbeddedMongod
from tests.support.applications import Application
from tests.support.programs import environment
from tests.support.stack import DATABASE, Stack

Run = subprocess.CompletedProcess[str]


def run_userfold(*arguments: object, variables: Mapping[str, str]) -> Run:
    """Run `userfold` with these settings and no others, in a thread without an event loop."""
    with (
        ThreadPoolExecutor(1) as thread,
        patch.dict(os.environ, environment(variables), clear=True),
        redirect_stdout(io.StringIO()) as stdout,
        redirect_stderr(io.StringIO()) as stderr,
    ):
        words = list(map(str, arguments))
        status = thread.submit(main, words).result()
    return Run(words, status, stdout.getvalue(), stderr.getvalue())


class Userfold(Protocol):
    """Runs `userfold` as the operator of the stack, and with the token of the test's application.

    `variables` are added to the environment, or replace what is there.
    """

    def __call__(self, *arguments: object, **variables: str) -> Run: ...


class Terminal(io.StringIO):
    """The keyboard of a user."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def userfold(stack: Stack, mongod: EmbeddedMongod, application: Application) -> Userfold:
    settings = {
        "USERFOLD_GRPC_ADDRESS": stack.grpc,
        "USERFOLD_TOKEN": application.management_token,
        "USERFOLD_MONGODB_URI": mongod.uri,
        "USERFOLD_DATABASE": DATABASE,
    }

    def run(*arguments: object, **variables: str) -> Run:
        return run_userfold(*arguments, variables=settings | variables)

    return run
