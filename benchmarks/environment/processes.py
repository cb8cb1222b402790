"""The programs under measurement: started, watched for what they cost, stopped."""

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
    """The benchmark cannot go on, or what it measured does not hold; the message says why."""


class Service:
    """A program that listens, with all processes that it starts. Its output goes to a file in `directory`."""

    def __init__(self, name: str, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("ab") as log:
            self._process = start_child(
                command, environment={**_inherited(), **environment}, stdout=log.fileno(), stderr=log.fileno()
            )

    @property
    def pid(self) -> int:
        """The first of its processes."""
        return self._process.pid

    def ready_field(self, name: str) -> str:
        """Wait for one of our own programs' ready line, and return the field `name` of it."""
        for _ in self._waiting():
            for line in self._log.read_text(errors="replace").splitlines():
                if line.startswith("userfold-") and " ready " in line:
                    return dict(word.split("=", 1) for word in line.split()[2:])[name]
        raise self._failure("is not ready")

    def wait_for_http(self, url: str) -> None:
        """Wait until anything is answered at `url`."""
        for _ in self._waiting():
            try:
                httpx2.get(url, timeout=5)
            except httpx2.HTTPError:
                continue
            return
        raise self._failure("does not answer")

    def check(self) -> None:
        """Raise BenchmarkFailed where it has ended."""
        if self._process.poll() is not None:
            raise self._failure(f"ended by itself ({describe_end(self._process)})")

    def stop(self) -> None:
        """Stop it, and whatever it started: it has a session of its own."""
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
    """Our own environment, without the settings of a Userfold that this one is not."""
    return {name: value for name, value in os.environ.items() if not name.startswith("USERFOLD_")}


def free_port() -> int:
    """A port that nobody listens on now, for programs that cannot take port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run_load(command: Sequence[str], seconds: float, cwd: Path | None = None) -> str:
    """Run a load generator that should take `seconds`, and return the last line of its output."""
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
    """What a process and its descendants have computed so far, in user and in kernel mode."""
    return sum((int(fields[11]) + int(fields[12])) / _TICKS for each in family_of(pid) if (fields := _stat(each)))


def resident_bytes(pid: int) -> int:
    """The resident memory of a process alone."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
