"""Load that waits for nobody, from a process of its own: `python -m benchmarks.open_load '{"url": ..., ...}'`.

Requests are sent when they are due, whether earlier ones are answered or not, each on a connection that is idle: as
many clients do that know nothing of each other. They are built beforehand, and written to plain sockets.
"""

import json
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.grpc_load import read_frames

_TICK_SECONDS = 0.001
_LAST_ANSWERS_SECONDS = 15.0
_ACCEPTED = 201


class _Connection:
    """A client's connection, and the request that is under way on it."""

    __slots__ = ("due", "number", "received", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.due = 0.0
        self.number = 0


class OpenLoad:
    """Sends frames at a rate, and keeps what became of each: when it was due, and its status and latency."""

    def __init__(self, address: tuple[str, int], frames: Sequence[bytes], connections: int) -> None:
        self._frames = frames
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Connection] = []
        self._unanswered = 0
        self._number = 0
        self.unsent = 0
        self.answers: list[tuple[int, float, float, int]] = []
        """Of each request its number, when it was due, how long its answer took, and its status: 0 for none."""
        for _ in range(connections):
            connection = _Connection(address)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._idle.append(connection)

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
        while self._unanswered and time.perf_counter() < deadline:
            self._receive(0.1)

    def _send(self, due: float) -> None:
        self._number += 1
        if not self._idle:
            self.unsent += 1
            return
        # The one that was idle for longest, as the next of many clients is.
        connection = self._idle.pop()
        connection.due, connection.number = due, self._number - 1
        connection.socket.send(self._frames[connection.number % len(self._frames)])
        self._unanswered += 1

    def _receive(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            connection = key.data
            try:
                received = connection.socket.recv(65536)
            except ConnectionError:
                received = b""
            connection.received += received
            if received and not connection.received.endswith(b"}"):
                continue
            # All answers are JSON objects. A connection that ends answers nothing.
            status = int(connection.received[9:12] or b"0")
            latency = time.perf_counter() - connection.due
            self.answers.append((connection.number, connection.due, latency, status))
            self._unanswered -= 1
            if received:
                connection.received = b""
                self._idle.append(connection)
            else:
                self._selector.unregister(connection.socket)
                connection.socket.close()


def main(options: dict[str, Any]) -> None:
    frames = read_frames(Path(options["frames"]))
    parts = urlsplit(options["url"])
    load = OpenLoad((str(parts.hostname), int(parts.port or 80)), frames, options["connections"])
    found = measured(load, options["phases"])
    statuses = bytearray(min(len(frames), max(number for number, *_ in load.answers) + 1))
    for number, _, _, status in load.answers:
        # Of a request that was sent again and again, whether it was ever accepted.
        statuses[number % len(frames)] = max(statuses[number % len(frames)], 2 if status == _ACCEPTED else 1)
    Path(options["statuses"]).write_bytes(statuses)
    print(json.dumps(found))


def measured(load: OpenLoad, phases: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Run phases of a rate and a time one after the other, and tell what was seen in each."""
    marks = [(time.perf_counter(), time.process_time(), load.unsent)]
    for rate, seconds in phases:
        load.run(rate, seconds)
        marks.append((time.perf_counter(), time.process_time(), load.unsent))
    load.finish()
    found = []
    for (rate, seconds), (start, cpu, unsent), (end, cpu_then, unsent_then) in zip(
        phases, marks, marks[1:], strict=False
    ):
        answers = [each for each in load.answers if start <= each[1] < end]
        accepted = sorted(latency for _, _, latency, status in answers if status == _ACCEPTED)
        refused = [(due - start, latency) for _, due, latency, status in answers if status != _ACCEPTED]
        found.append(
            {
                "offered": round(rate, 1),
                "seconds": seconds,
                "goodput": round(len(accepted) / seconds, 1),
                "p50_ms": _at(accepted, 0.5),
                "p99_ms": _at(accepted, 0.99),
                "refused": round(len(refused) / seconds, 1),
                "refused_p99_ms": _at(sorted(latency for _, latency in refused), 0.99),
                "last_refused_s": round(max([due for due, _ in refused], default=0.0), 2),
                "statuses": dict(Counter(str(status) for *_, status in answers)),
                "unsent": unsent_then - unsent,
                "load_cpu": round((cpu_then - cpu) / seconds, 3),
            }
        )
    return found


def _at(latencies: Sequence[float], share: float) -> float:
    return round(latencies[int(len(latencies) * share)] * 1000, 1) if latencies else 0.0


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
