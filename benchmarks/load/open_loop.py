"""Open-loop load, in a process of its own: `python -m benchmarks.load.open_loop '{"protocol": "http", ...}'`.

Each request is sent when it is due, even if earlier ones have no response yet: that is how many independent clients
behave. Requests are built beforehand and written to plain sockets, because a client library would use more of the
machine than the programs under measurement.
"""

import contextlib
import json
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.environment.processes import cpu_seconds
from benchmarks.load import http2
from benchmarks.load.frames import read_frames

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
UNANSWERED: Final = "unanswered"
_TICK_SECONDS = 0.001
_LAST_RESPONSES_SECONDS = 15.0
_HTTP_OUTCOMES = {b"201": ACCEPTED, b"429": REFUSED}
_GRPC_OUTCOMES = {"0": ACCEPTED, "8": REFUSED}


class Connection(Protocol):
    """A client's connection, which may carry several requests in flight."""

    socket: socket.socket

    def has_room(self) -> bool:
        """Whether another request may be sent now."""

    def send(self, number: int, frame: bytes) -> None:
        """Send a request."""

    def received(self, data: bytes) -> Sequence[tuple[int, str]]:
        """The numbers and outcomes of the requests whose responses are complete with `data`."""


class HttpConnection:
    """HTTP/1.1, with one request at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = connected(address)
        self._received = b""
        self._number: int | None = None

    def has_room(self) -> bool:
        return self._number is None

    def send(self, number: int, frame: bytes) -> None:
        self._number = number
        self.socket.send(frame)

    def received(self, data: bytes) -> Sequence[tuple[int, str]]:
        self._received += data
        # Every response body is a JSON object.
        if self._number is None or not self._received.endswith(b"}"):
            return ()
        status = self._received[9:12]
        completed = [(self._number, _HTTP_OUTCOMES.get(status, status.decode("latin-1")))]
        self._received, self._number = b"", None
        return completed


class GrpcConnection:
    """gRPC, with as many concurrent calls as the server allows. As in any client library, further calls are queued."""

    def __init__(self, address: tuple[str, int], method: str, metadata: dict[str, str]) -> None:
        self.socket = connected(address)
        self._unwritten = bytearray()
        self._calls = http2.Calls(self._write, f"{address[0]}:{address[1]}", method, metadata)

    def has_room(self) -> bool:
        return not self._unwritten and self._calls.has_room()

    def send(self, number: int, frame: bytes) -> None:
        self._calls.call(number, frame)

    def received(self, data: bytes) -> Sequence[tuple[int, str]]:
        self._write(b"")
        return [(number, _GRPC_OUTCOMES.get(status, status)) for number, status in self._calls.received(data)]

    def _write(self, data: bytes) -> None:
        self._unwritten += data
        with contextlib.suppress(BlockingIOError):
            del self._unwritten[: self.socket.send(self._unwritten)]


def due_count(rate: float, seconds: float) -> int:
    """How many requests are due in this many seconds."""
    return round(rate * seconds)


def connected(address: tuple[str, int]) -> socket.socket:
    """A connected, non-blocking socket."""
    client = socket.create_connection(address)
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


@dataclass(frozen=True, slots=True)
class Response:
    """The outcome of a request: when it was due, and how long after that its response was complete."""

    number: int
    due: float
    latency: float
    outcome: str


class OpenLoad:
    """Sends frames at a given rate and records the outcome of each."""

    def __init__(self, frames: Sequence[bytes], connections: Sequence[Connection]) -> None:
        self._frames = frames
        self._selector = selectors.DefaultSelector()
        self._with_room = dict.fromkeys(range(len(connections)))
        self._connections = connections
        self._due: dict[int, float] = {}
        self._number = 0
        self.unsent = 0
        """How many requests were due when no connection had room."""
        self.responses: list[Response] = []
        for index, connection in enumerate(connections):
            self._selector.register(connection.socket, selectors.EVENT_READ, index)

    def begin(self, seconds: float) -> None:
        """Receive what the server sends first, its settings for instance, for this long."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self._receive(left)

    def run(self, rate: float, seconds: float) -> None:
        """Send this many requests per second for this long: exactly `due_count` of them are due."""
        started = time.perf_counter()
        due = 0
        while due < due_count(rate, seconds):
            while due < min((time.perf_counter() - started) * rate, due_count(rate, seconds)):
                self._send(started + due / rate)
                due += 1
            self._receive(_TICK_SECONDS)

    def finish(self) -> None:
        """Receive the remaining responses."""
        deadline = time.perf_counter() + _LAST_RESPONSES_SECONDS
        while self._due and time.perf_counter() < deadline:
            self._receive(0.1)
        self.responses += [
            Response(number, due, _LAST_RESPONSES_SECONDS, UNANSWERED) for number, due in self._due.items()
        ]

    def _send(self, due: float) -> None:
        number, self._number = self._number, self._number + 1
        if not self._with_room:
            self.unsent += 1
            return
        # The connection that has been free for longest, so that consecutive requests are of different clients.
        index = next(iter(self._with_room))
        del self._with_room[index]
        connection = self._connections[index]
        self._due[number] = due
        connection.send(number, self._frames[number % len(self._frames)])
        if connection.has_room():
            self._with_room[index] = None

    def _receive(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            connection = self._connections[key.data]
            try:
                data = connection.socket.recv(65536)
            except ConnectionError:
                data = b""
            now = time.perf_counter()
            for number, outcome in connection.received(data):
                due = self._due.pop(number)
                if outcome == http2.STREAM_REFUSED:
                    self.unsent += 1
                else:
                    self.responses.append(Response(number, due, now - due, outcome))
            if not data:
                # The requests in flight on this connection stay unanswered.
                self._selector.unregister(connection.socket)
                connection.socket.close()
                self._with_room.pop(key.data, None)
            elif connection.has_room():
                self._with_room.setdefault(key.data)


def main(options: dict[str, Any]) -> None:
    """Run the phases, print what was measured in each, and write for each frame whether it was accepted."""
    frames = read_frames(Path(options["frames"]))
    host, _, port = options["address"].rpartition(":")
    address = (host, int(port))
    connections: list[Connection] = [
        HttpConnection(address)
        if options["protocol"] == "http"
        else GrpcConnection(address, options["method"], options["metadata"])
        for _ in range(options["connections"])
    ]
    load = OpenLoad(frames, connections)
    load.begin(0.5)
    phases = measured(load, options["phases"], options["watched"])
    statuses = bytearray(min(len(frames), max(response.number for response in load.responses) + 1))
    for response in load.responses:
        # A frame that was sent several times counts as accepted if it was accepted once.
        index = response.number % len(frames)
        statuses[index] = max(statuses[index], 2 if response.outcome == ACCEPTED else 1)
    Path(options["statuses"]).write_bytes(statuses)
    print(json.dumps(phases))


@dataclass(frozen=True, slots=True)
class _Mark:
    """The counters between two phases."""

    time: float
    unsent: int
    cpu_seconds: Mapping[str, float]


def measured(load: OpenLoad, phases: Sequence[tuple[float, float]], watched: Mapping[str, int]) -> list[dict[str, Any]]:
    """Run phases, each a rate and a number of seconds, one after the other. Returns what was measured in each."""

    def mark() -> _Mark:
        spent = {name: cpu_seconds(pid) for name, pid in watched.items()} | {"load": time.process_time()}
        return _Mark(time.perf_counter(), load.unsent, spent)

    marks = [mark()]
    for rate, seconds in phases:
        load.run(rate, seconds)
        marks.append(mark())
    load.finish()
    return [
        _phase(load.responses, rate, seconds, start, end)
        for (rate, seconds), start, end in zip(phases, marks, marks[1:], strict=False)
    ]


def _phase(responses: Sequence[Response], rate: float, seconds: float, start: _Mark, end: _Mark) -> dict[str, Any]:
    """What was measured in a phase. The percentiles of accepted requests are `p50_ms` and `p99_ms`; those of all that
    were due are `due_p50_ms` and `due_p99_ms`, None where they were refused or never sent."""
    due = [response for response in responses if start.time <= response.due < end.time]
    accepted = sorted(response.latency for response in due if response.outcome == ACCEPTED)
    refused = [response for response in due if response.outcome != ACCEPTED]
    unsent = end.unsent - start.unsent
    # Throughput counts the responses that arrived in this phase, whenever their requests were due.
    completed = sum(
        start.time <= response.due + response.latency < end.time
        for response in responses
        if response.outcome == ACCEPTED
    )
    elapsed = end.time - start.time
    unserved = len(refused) + unsent
    return {
        "offered": round(rate, 1),
        "seconds": seconds,
        "goodput": round(completed / elapsed, 1),
        "p50_ms": percentile_ms(accepted, 0.5) or 0.0,
        "p99_ms": percentile_ms(accepted, 0.99) or 0.0,
        "due_p50_ms": percentile_ms(accepted, 0.5, unserved),
        "due_p99_ms": percentile_ms(accepted, 0.99, unserved),
        "refused": round(len(refused) / seconds, 1),
        "refused_p99_ms": percentile_ms(sorted(response.latency for response in refused), 0.99) or 0.0,
        "last_refused_s": round(max((response.due - start.time for response in refused), default=0.0), 2),
        "outcomes": dict(Counter(response.outcome for response in due)),
        "unsent": unsent,
        "cores": {
            name: round((end.cpu_seconds[name] - before) / elapsed, 3) for name, before in start.cpu_seconds.items()
        },
    }


def percentile_ms(latencies: Sequence[float], share: float, unserved: int = 0) -> float | None:
    """The percentile of ordered latencies in seconds and of `unserved` requests, which count as later than all."""
    index = int((len(latencies) + unserved) * share)
    return round(latencies[index] * 1000, 1) if index < len(latencies) else None


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
