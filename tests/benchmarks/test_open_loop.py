"""Load in an open loop: what is due, what is sent, and latencies from the time at which a request was due."""

import math
import socket

import pytest

from benchmarks.comparison.offered import sample_of_phase
from benchmarks.load.open_loop import ACCEPTED, HttpConnection, OpenLoad, due_count, measured, percentile_ms
from benchmarks.overload.report import shares_of

HUNDRED = [number / 1000 for number in range(100)]


@pytest.mark.parametrize(
    ("share", "unserved", "milliseconds"),
    [(0.5, 0, 50), (0.99, 0, 99), (0.5, 90, 95), (0.5, 100, None), (0.99, 1, 99), (0.99, 2, None)],
)
def test_requests_that_were_not_served_count_as_later_than_all(
    share: float, unserved: int, milliseconds: float | None
) -> None:
    assert percentile_ms(HUNDRED, share, unserved) == milliseconds


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile_ms([], 0.5) is None


@pytest.mark.parametrize(("rate", "seconds", "due"), [(500, 3, 1500), (10, 0.5, 5), (1.5, 1, 2)])
def test_the_number_of_requests_that_are_due_is_that_of_the_rate(rate: float, seconds: float, due: int) -> None:
    assert due_count(rate, seconds) == due


def test_requests_without_a_free_connection_are_counted_as_never_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        connections = [HttpConnection(address) for _ in range(2)]
        load = OpenLoad([b"a"], connections)
        load.run(100, 0.1)
        for connection in connections:
            connection.socket.close()
    assert load.unsent == 8


def test_a_latency_begins_when_the_request_was_due_and_not_when_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow load generator: the run starts at 2 s, when the request is due, and the response is received at 5 s."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = HttpConnection(server.getsockname())
        load = OpenLoad([b"a"], [connection])
        accepted, _ = server.accept()
        accepted.sendall(b"HTTP/1.1 201 Created\r\n\r\n{}")
        clock = Clock()
        monkeypatch.setattr("benchmarks.load.open_loop.time", clock)
        [phase] = measured(load, [(1, 1)], {})
        accepted.close()
        connection.socket.close()
    assert phase["outcomes"] == {ACCEPTED: 1}
    assert phase["due_p50_ms"] == 3000


class Clock:
    """A clock that has gone on by a second whenever it is read."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def perf_counter(self) -> float:
        self._seconds += 1
        return self._seconds

    def process_time(self) -> float:
        return 0.0


def test_a_percentile_among_what_was_never_served_is_infinite() -> None:
    phase = {
        **{"goodput": 880.0, "due_p50_ms": 634.6, "due_p99_ms": None, "offered": 1500.0, "refused": 20.0},
        **{"unsent": 1800, "seconds": 3.0, "cores": {"plain": 0.88}},
    }
    sample = sample_of_phase(phase)
    assert (sample.p50_ms, sample.p99_ms, sample.unsent) == (634.6, math.inf, 600)
    assert sample.cpu_us == {"plain": 1000}


def test_the_shares_of_an_overload_are_those_of_all_requests_that_were_due() -> None:
    shares = shares_of({"outcomes": {"accepted": 30, "refused": 20}, "unsent": 50})
    assert shares == {"accepted": 0.3, "refused": 0.2, "unsent": 0.5}
