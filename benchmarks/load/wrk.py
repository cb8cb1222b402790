"""Load over HTTP by wrk, which sends requests that were built beforehand."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from urllib.parse import urlsplit

from benchmarks.environment.processes import BenchmarkFailed, run_load

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request with a JSON body."""

    method: str
    path: str
    body: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load generator measured. `sent` also counts the calls without a response at the end of the run."""

    calls: int
    sent: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float = 0.0
    """The CPU time of the load generator."""

    @property
    def rate(self) -> float:
        """Completed calls per second."""
        return self.calls / self.seconds


def raw_request(url: str, headers: Mapping[str, str], request: Request) -> bytes:
    """The bytes of a request, as sent on a connection."""
    body = request.body.encode()
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def command(url: str, requests: Path, connections: int, seconds: float) -> list[str]:
    """The command that sends the requests of a file repeatedly for this many seconds."""
    arguments = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds:.0f}s"]
    return [*arguments, "--timeout", "10s", "--script", str(_SCRIPT), url, "--", str(requests)]


def send(url: str, requests: Path, connections: int, seconds: float) -> Measured:
    """Send the requests of a file. Raises BenchmarkFailed if any response is not 2xx."""
    before = getrusage(RUSAGE_CHILDREN)
    measured = measured_from(run_load(command(url, requests, connections, seconds), seconds))
    after = getrusage(RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return replace(measured, cpu_seconds=cpu_seconds)


def measured_from(line: str) -> Measured:
    """Parse the line that the script prints. Raises BenchmarkFailed if any response was not 2xx."""
    try:
        summary = json.loads(line)
    except ValueError:
        raise BenchmarkFailed(f"wrk printed {line!r}") from None
    if summary["refused"] or summary["broken"] or not summary["requests"]:
        raise BenchmarkFailed(f"not every response was 2xx: {line}")
    return Measured(summary["requests"], summary["sent"], summary["seconds"], summary["p50_ms"], summary["p99_ms"])
