"""Load that waits for nobody, from a process of its own: `python -m benchmarks.load.open_loop '{"face": "http", ...}'`.

Requests are sent when they are due, whether earlier ones are answered or not, as many clients do that know nothing of
each other. They are built beforehand, and written to plain sockets: a client library would take more of the machine
than what is measured.
"""

import contextlib
import json
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.environment.processes import cpu_seconds
from benchmarks.load import http2
from benchmarks.load.grpc_calls import read_frames

ACCEPTED = "accepted"
REFUSED = "refused"
_TICK_SECONDS = 0.001
_LAST_ANSWERS_SECONDS = 15.0
_HTTP_OUTCOMES = {b"201": ACCEPTED, b"429": REFUSED}
_GRPC_OUTCOMES = {"0": ACCEPTED, "8": REFUSED}


class Connection(Protocol):
    """A client's connection, on which one request or several may be under way."""

    socket: socket.socket

    def has_room(self) -> bool:
        """Whether a request may be sent now."""

    def send(self, number: int, frame: bytes) -> None:
        """Send a request."""

    def received(self, octets: bytes) -> Sequence[tuple[int, str]]:
        """Which requests are answered by what has arrived, and how."""


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

    def received(self, octets: bytes) -> Sequence[tuple[int, str]]:
        self._received += octets
        # All answers are JSON objects.
        if self._number is None or not self._received.endswith(b"}"):
            return ()
        status = self._received[9:12]
        answered = [(self._number, _HTTP_OUTCOMES.get(status, status.decode("latin-1")))]
        self._received, self._number = b"", None
        return answered


class GrpcConnection:
    """gRPC, with as many calls at a time as the server allows: more wait here, as they do in every client library."""

    def __init__(self, address: tuple[str, int], method: str, metadata: dict[str, str]) -> None:
        self.socket = connected(address)
        self._unwritten = bytearray()
        self._calls = http2.Calls(self._write, f"{address[0]}:{address[1]}", method, metadata)

    def has_room(self) -> bool:
        return not self._unwritten and self._calls.has_room()

    def send(self, number: int, frame: bytes) -> None:
        self._calls.call(number, frame)

    def received(self, octets: bytes) -> Sequence[tuple[int, str]]:
        self._write(b"")
        return [(number, _GRPC_OUTCOMES.get(status, status)) for number, status in self._calls.received(octets)]

    def _write(self, octets: bytes) -> None:
        self._unwritten += octets
        with contextlib.suppress(BlockingIOError):
            del self._unwritten[: self.socket.send(self._unwritten)]


def connected(address: tuple[str, int]) -> socket.socket:
    """A socket that is connected, and blocks no more."""
    made = socket.create_connection(address)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class OpenLoad:
    """Sends frames at a rate, and keeps what became of each."""

    def __init__(self, frames: Sequence[bytes], connections: Sequence[Connection]) -> None:
        self._frames = frames
        self._selector = selectors.DefaultSelector()
        self._with_room = dict.fromkeys(range(len(connections)))
        self._connections = connections
        self._due: dict[int, float] = {}
        self._number = 0
        self.unsent = 0
        self.answers: list[tuple[int, float, float, str]] = []
        """Of each request its number, when it was due, how long its answer took, and what it was."""
        for index, connection in enumerate(connections):
            self._selector.register(connection.socket, selectors.EVENT_READ, index)

    def begin(self, seconds: float) -> None:
        """Wait for what the server has to say before anything is sent."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self._receive(left)

    def run(self, rate: float, seconds: float) -> None:
        """Send at this rate for so long."""
        started = time.perf_counter()
        due = 0
        while (now := time.perf_counter()) < started + seconds:
            while due < (now - started) * rate:
                self._send(started + due / rate)
                due += 1
            self._receive(_TICK_SECONDS)

    def finish(self) -> None:
        """Wait for what is not answered."""
        deadline = time.perf_counter() + _LAST_ANSWERS_SECONDS
        while self._due and time.perf_counter() < deadline:
            self._receive(0.1)
        self.answers += [(number, due, _LAST_ANSWERS_SECONDS, "unanswered") for number, due in self._due.items()]

    def _send(self, due: float) -> None:
        number, self._number = self._number, self._number + 1
        if not self._with_room:
            self.unsent += 1
            return
        # The one that has had room for longest: the next request is another client's.
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
                octets = connection.socket.recv(65536)
            except ConnectionError:
                octets = b""
            now = time.perf_counter()
            for number, outcome in connection.received(octets):
                due = self._due.pop(number)
                if outcome == http2.NOT_TAKEN:
                    self.unsent += 1
                else:
                    self.answers.append((number, due, now - due, outcome))
            if not octets:
                # What is under way on it stays unanswered.
                self._selector.unregister(connection.socket)
                connection.socket.close()
                self._with_room.pop(key.data, None)
            elif connection.has_room():
                self._with_room.setdefault(key.data)


def main(options: dict[str, Any]) -> None:
    """Run the phases, print what was seen in each, and write of each frame whether it was accepted."""
    frames = read_frames(Path(options["frames"]))
    host, _, port = options["address"].rpartition(":")
    address = (host, int(port))
    connections: list[Connection] = [
        HttpConnection(address)
        if options["face"] == "http"
        else GrpcConnection(address, options["method"], options["metadata"])
        for _ in range(options["connections"])
    ]
    load = OpenLoad(frames, connections)
    load.begin(0.5)
    found = measured(load, options["phases"], options["watched"])
    statuses = bytearray(min(len(frames), max(number for number, *_ in load.answers) + 1))
    for number, _, _, outcome in load.answers:
        # Of a request that was sent again and again, whether it was ever accepted.
        statuses[number % len(frames)] = max(statuses[number % len(frames)], 2 if outcome == ACCEPTED else 1)
    Path(options["statuses"]).write_bytes(statuses)
    print(json.dumps(found))


def measured(load: OpenLoad, phases: Sequence[tuple[float, float]], watched: Mapping[str, int]) -> list[dict[str, Any]]:
    """Run phases of a rate and a time one after the other, and tell what was seen in each."""

    def mark() -> tuple[float, int, dict[str, float]]:
        spent = {name: cpu_seconds(pid) for name, pid in watched.items()} | {"load": time.process_time()}
        return time.perf_counter(), load.unsent, spent

    marks = [mark()]
    for rate, seconds in phases:
        load.run(rate, seconds)
        marks.append(mark())
    load.finish()
    found = []
    for (rate, seconds), (start, unsent, spent), (end, unsent_then, spent_then) in zip(
        phases, marks, marks[1:], strict=False
    ):
        answers = [each for each in load.answers if start <= each[1] < end]
        accepted = sorted(latency for _, _, latency, outcome in answers if outcome == ACCEPTED)
        # What is still waited for at the end is no throughput of this phase, and what was waited for before is.
        done = sum(start <= due + latency < end for _, due, latency, outcome in load.answers if outcome == ACCEPTED)
        refused = [(due - start, latency) for _, due, latency, outcome in answers if outcome != ACCEPTED]
        found.append(
            {
                "offered": round(rate, 1),
                "seconds": seconds,
                "goodput": round(done / (end - start), 1),
                "p50_ms": _at(accepted, 0.5),
                "p99_ms": _at(accepted, 0.99),
                "refused": round(len(refused) / seconds, 1),
                "refused_p99_ms": _at(sorted(latency for _, latency in refused), 0.99),
                "last_refused_s": round(max([due for due, _ in refused], default=0.0), 2),
                "outcomes": dict(Counter(outcome for *_, outcome in answers)),
                "unsent": unsent_then - unsent,
                "cores": {name: round((spent_then[name] - spent[name]) / (end - start), 3) for name in spent},
            }
        )
    return found


def _at(latencies: Sequence[float], share: float) -> float:
    return round(latencies[int(len(latencies) * share)] * 1000, 1) if latencies else 0.0


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
