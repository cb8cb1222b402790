"""One MongoDB, the programs, and the applications of the rows."""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final, Self

from pymongo import MongoClient

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from server.mongo.replica_set import initiate
from tests.stalls.calls import Who
from tests.stalls.dense_profiles import LEGACY, PUBLIC, store_legacy, store_public
from tests.support.applications import Application, register
from tests.support.stack import start_gateway, start_server

DATABASE: Final = "userfold_stalls"


class Stack:
    """MongoDB, a server and a gateway. `restart` restarts the server and the gateway."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._applications: dict[str, Application] = {}
        self._victim: Helper | None = None
        self.restarts = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            data = stack.enter_context(tempfile.TemporaryDirectory(dir=self._directory))
            self._mongod = stack.enter_context(EmbeddedMongod(Path(data)))
            initiate(self._mongod.uri)
            self._log: IO[bytes] = stack.enter_context((self._directory / "programs.log").open("ab"))
            self.client = stack.enter_context(MongoClient[dict[str, Any]](self._mongod.uri, tz_aware=True))
            self.database = self.client[DATABASE]
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.server = start_server(self._mongod.uri, DATABASE, stderr=self._log)
        self.gateway = start_gateway(
            self.server.ready["grpc"], {"USERFOLD_TRUSTED_PROXIES": "127.0.0.1"}, stderr=self._log
        )

    def _stop(self) -> None:
        if self._victim:
            self._victim.kill()
            self._victim = None
        for program in (getattr(self, "gateway", None), getattr(self, "server", None)):
            if program:
                # A program that a row has broken may not stop in time.
                program.process.terminate()
                try:
                    program.process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    program.process.kill()
                program.stop()

    def restart(self) -> None:
        self.restarts += 1
        self._stop()
        self._start()

    def application(self, name: str) -> Application:
        """The application of this name. The users of a dense one are stored on first use."""
        if name not in self._applications:
            application = self._applications[name] = register(self.database, generate_collector_key())
            if name in LEGACY:
                store_legacy(self.database, application, LEGACY[name]())
            elif name in PUBLIC:
                store_public(self.gateway.ready["http"], application, PUBLIC[name])
        return self._applications[name]

    def who(self, name: str) -> Who:
        application = self.application(name)
        return Who(
            self.gateway.ready["http"],
            self.server.ready["grpc"],
            application.collector_key,
            application.management_token,
        )

    def victim(self) -> "Helper":
        """The process of application B."""
        if self._victim is None:
            self._victim = Helper(["tests.stalls.victim"], self.who("B"), self._log)
        return self._victim

    def attacker(self, row: str, application: str, *, until_stopped: bool) -> "Helper":
        """A process that is ready to send the input of a row."""
        more = ["until-stopped"] if until_stopped else []
        return Helper(["tests.stalls.attacker", row, *more], self.who(application), self._log)

    def reset_peaks(self) -> None:
        """Set the peak memory of each program to its current memory."""
        for program in (self.server, self.gateway):
            Path(f"/proc/{program.process.pid}/clear_refs").write_text("5")

    def peaks(self) -> dict[str, int]:
        """The peak memory of each program since `reset_peaks`, in MB."""
        found = {}
        for name, program in (("server", self.server), ("gateway", self.gateway)):
            status = Path(f"/proc/{program.process.pid}/status")
            text = status.read_text() if program.process.poll() is None else ""
            found[name] = int(text.partition("VmHWM:")[2].split()[0]) // 1024 if "VmHWM:" in text else 0
        return found

    def are_running(self) -> bool:
        return all(program.process.poll() is None for program in (self.server, self.gateway))


class Helper:
    """A process that reads commands from stdin and prints results, one a line."""

    def __init__(self, module: list[str], who: Who, log: IO[bytes]) -> None:
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-m", *module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.send(json.dumps(asdict(who)))
        self.ready = self.line() == "ready\n"

    def send(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def result(self) -> Any:
        """The next line, decoded as JSON."""
        line = self.line()
        if not line:
            raise RuntimeError("a helper has ended")
        return json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.wait()


def now() -> float:
    """The clock that all processes of a machine share."""
    return time.monotonic()
