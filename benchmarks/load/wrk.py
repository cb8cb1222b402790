"""Load over HTTP: requests built beforehand, sent by wrk."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from urllib.parse import urlsplit

from benchmarks.environment.processes import BenchmarkFailed, run_load

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request with a JSON body."""

    method: str
    path: str
    body: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load generator saw. `sent` counts calls, of which the last ones may be unanswered."""

    calls: int
    sent: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float = 0.0
    """The load generator's own."""

    @property
    def rate(self) -> float:
        """Answered calls a second."""
        return self.calls / self.seconds


def write_frames(frames: Iterable[bytes], path: Path) -> None:
    """Write messages to a file for a load generator, each after its length."""
    with path.open("wb") as file:
        for frame in frames:
            file.write(b"%d\n" % len(frame) + frame)


def raw_request(url: str, headers: Mapping[str, str], request: Request) -> bytes:
    """A request as it goes over the wire."""
    body = request.body.encode()
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def command(url: str, requests: Path, connections: int, seconds: float) -> list[str]:
    """The command that sends the requests of a file for so many seconds."""
    arguments = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds:.0f}s"]
    return [*arguments, "--timeout", "10s", "--script", str(_SCRIPT), url, "--", str(requests)]


def send(url: str, requests: Path, connections: int, seconds: float) -> Measured:
    """Send the requests of a file. Raises BenchmarkFailed where any was not answered with a 2xx."""
    before = getrusage(RUSAGE_CHILDREN)
    measured = measured_from(run_load(command(url, requests, connections, seconds), seconds))
    after = getrusage(RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return replace(measured, cpu_seconds=spent)


def measured_from(line: str) -> Measured:
    """What the script printed. Raises BenchmarkFailed where any request was not answered with a 2xx."""
    try:
        found = json.loads(line)
    except ValueError:
        raise BenchmarkFailed(f"wrk printed {line!r}") from None
    if found["refused"] or found["broken"] or not found["requests"]:
        raise BenchmarkFailed(f"not every request was answered with a 2xx: {line}")
    return Measured(found["requests"], found["sent"], found["seconds"], found["p50_ms"], found["p99_ms"])
