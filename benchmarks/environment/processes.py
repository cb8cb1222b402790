"""Child processes: how they are started and stopped, their CPU time and their memory."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx2

from runtime.child import describe_end, start_child, stop_child

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_START_SECONDS = 60


class BenchmarkFailed(Exception):
    """The benchmark cannot continue, or a result is wrong. The message gives the reason."""


class Service:
    """A program that listens, with all processes that it starts. Its output is written to a file in `directory`."""

    def __init__(self, name: str, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("ab") as log:
            self._process = start_child(
                command, environment={**_inherited(), **environment}, stdout=log.fileno(), stderr=log.fileno()
            )

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return self._process.pid

    @property
    def program(self) -> str:
        """Its name without that of its database: `server` for `few-server`."""
        return self.name.rpartition("-")[2]

    def ready_field(self, name: str) -> str:
        """Wait for the ready line of a Userfold program, and return its field `name`."""
        for _ in self._waiting():
            for line in self._log.read_text(errors="replace").splitlines():
                if line.startswith("userfold-") and " ready " in line:
                    return dict(word.split("=", 1) for word in line.split()[2:])[name]
        raise self._failure("is not ready")

    def wait_for_http(self, url: str) -> None:
        """Wait until there is any HTTP response at `url`."""
        for _ in self._waiting():
            try:
                httpx2.get(url, timeout=5)
            except httpx2.HTTPError:
                continue
            return
        raise self._failure("does not respond")

    def check(self) -> None:
        """Raise BenchmarkFailed if the program has ended."""
        if self._process.poll() is not None:
            raise self._failure(f"ended ({describe_end(self._process)})")

    def stop(self) -> None:
        """Stop all processes of the program, which share a session."""
        stop_child(self._process, patience=10)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _waiting(self) -> Iterable[None]:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            yield
            time.sleep(0.1)

    def _failure(self, what: str) -> BenchmarkFailed:
        lines = self._log.read_text(errors="replace").splitlines()[-15:]
        return BenchmarkFailed("\n  ".join([f"{self.name} {what}; the end of its output:", *lines]))


def _inherited() -> dict[str, str]:
    """The environment of this process without any settings of Userfold."""
    return {name: value for name, value in os.environ.items() if not name.startswith("USERFOLD_")}


def free_port() -> int:
    """A port that is free now, for programs that do not accept port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run_load(command: Sequence[str], seconds: float, cwd: Path | None = None) -> str:
    """Run a load generator for `seconds`, and return the last line of its output."""
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _START_SECONDS,
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkFailed(f"{command[0]} did not end in time") from error
    if ended.returncode:
        raise BenchmarkFailed(f"{' '.join(command)} failed:\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}")
    return ended.stdout.rstrip().rpartition("\n")[2]


def family_of(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        if fields := _stat(int(path.parent.name)):
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and its descendants so far, in user and in kernel mode."""
    return sum((int(fields[11]) + int(fields[12])) / _TICKS for member in family_of(pid) if (fields := _stat(member)))


def resident_bytes(pid: int) -> int:
    """The resident memory of a process, without its descendants."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, or an empty list if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
