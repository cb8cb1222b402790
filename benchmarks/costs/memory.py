"""Resident memory per connection, per queued update and per cached credential, in running programs."""

import functools
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, Self, TypeAlias

from benchmarks.contenders.clients import Userfold
from benchmarks.environment.processes import BenchmarkFailed, resident_bytes
from benchmarks.load.users import BATCH, Load
from benchmarks.load.wrk import Request, raw_request
from benchmarks.stack import Stack
from server.accounts.credentials import digest, generate_collector_key, generate_credential_id

# Of each pair, the first ones fill the reserves of the allocators. Only what the second ones add counts.
_CONNECTIONS: Final = (500, 3_000)
_QUEUED_REQUESTS: Final = (100, 800)
_QUEUED_BATCHES: Final = (5, 40)
_CREDENTIALS: Final = (500, 4_000)

_AT_ONCE: Final = 100
_CHECKS_AT_ONCE: Final = 20
"""A gateway checks only so many unknown credentials at the same time."""
_WARMING_UPDATES: Final = 5_000
_SETTLING_SECONDS: Final = 1.0
_RESPONSE_SECONDS: Final = 30.0

Memory: TypeAlias = Mapping[str, int]
"""The resident bytes of each program."""


class _Clients:
    """Connections to a gateway, each with one request at a time."""

    def __init__(self, url: str, count: int) -> None:
        self._exit = ExitStack()
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._sockets = [
            self._exit.enter_context(socket.create_connection((host, int(port)), timeout=_RESPONSE_SECONDS))
            for _ in range(count)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def send(self, requests: Sequence[bytes], first: int = 0) -> None:
        """Send each request on a connection of its own, from the one with the index `first` on."""
        for client, request in zip(self._sockets[first:], requests, strict=False):
            client.sendall(request)

    def receive(self, count: int, first: int = 0) -> None:
        """Receive as many responses. Raises BenchmarkFailed if one is not 2xx."""
        for client in self._sockets[first : first + count]:
            received = b""
            # Every response body is an object or an array.
            while not received.endswith((b"}", b"]")):
                if not (data := client.recv(65536)):
                    raise BenchmarkFailed(f"the gateway closed a connection after {received[:200]!r}")
                received += data
            if not received.startswith(b"HTTP/1.1 2"):
                raise BenchmarkFailed(f"the gateway responded {received[:500]!r}")

    def exchange(self, requests: Sequence[bytes]) -> None:
        """Send all requests, at most 100 at once, and receive their responses. Connections take turns."""
        at_once = min(_AT_ONCE, len(self._sockets))
        for start in range(0, len(requests), at_once):
            first = start % len(self._sockets)
            part = requests[start : start + at_once]
            self.send(part, first)
            self.receive(len(part), first)


def memory(stack: Stack) -> dict[str, dict[str, float]]:
    """The resident bytes that one more connection, queued update and cached credential takes in each program."""
    scenarios: dict[str, Callable[[Stack, Userfold], dict[str, float]]] = {
        "an open connection": _connections,
        "a queued update, one per request": functools.partial(_queued, batched=False),
        "a queued update, 100 per request": functools.partial(_queued, batched=True),
        "a cached credential": _credentials,
    }
    measured = {}
    for number, (title, scenario) in enumerate(scenarios.items()):
        # A pair of its own, because programs use memory again that they have freed.
        userfold, _ = stack.start_userfold(f"memory{number}")
        with _Clients(userfold.url, _AT_ONCE) as clients:
            clients.exchange(_updates(userfold, "warm", _WARMING_UPDATES))
        measured[title] = scenario(stack, userfold)
        for service in userfold.services:
            service.stop()
    return measured


def per_item(before: Memory, after: Memory, items: int) -> dict[str, float]:
    """The bytes of each of the items that were added."""
    return {program: round((after[program] - resident) / items, 1) for program, resident in before.items()}


def _connections(_: Stack, userfold: Userfold) -> dict[str, float]:
    """Of connections that have carried one update and are idle."""
    few, more = _CONNECTIONS
    with _Clients(userfold.url, few) as clients:
        clients.exchange(_updates(userfold, "few", few))
        before = _resident(userfold)
        with _Clients(userfold.url, more) as further:
            further.exchange(_updates(userfold, "more", more))
            return per_item(before, _resident(userfold), more)


def _queued(stack: Stack, userfold: Userfold, *, batched: bool) -> dict[str, float]:
    """Of updates whose request is sent while MongoDB is stopped for a moment."""
    few, more = _QUEUED_BATCHES if batched else _QUEUED_REQUESTS
    size = BATCH if batched else 1
    ids = Load(f"queued{size}", (few + more) * size, all_new=True).ids
    groups = [ids[start : start + size] for start in range(0, len(ids), size)]
    requests = [_raw(userfold, userfold.batch(group) if batched else userfold.single(group[0])) for group in groups]
    requests = requests[: few + more]
    with _Clients(userfold.url, few + more) as clients:
        # Each connection has carried an update before.
        clients.exchange(_updates(userfold, f"before{size}", few + more))
        with _stopped(stack.mongod_pid):
            clients.send(requests[:few])
            before = _resident(userfold)
            clients.send(requests[few:], few)
            after = _resident(userfold)
        clients.receive(few + more)
    return per_item(before, after, more * size)


def _credentials(_: Stack, userfold: Userfold) -> dict[str, float]:
    """Of collector keys with which one update was sent."""
    few, more = _CREDENTIALS
    keys = [generate_collector_key() for _ in range(few + more)]
    stored = userfold.collection.database.credentials
    own = stored.find_one({"_id": digest(userfold.headers["X-Moesif-Application-Id"])})
    if own is None:
        raise BenchmarkFailed("the collector key is not stored under its digest")
    stored.insert_many(own | {"_id": digest(key), "credential_id": generate_credential_id()} for key in keys)
    requests = [
        raw_request(userfold.url, {"X-Moesif-Application-Id": key}, userfold.single(f"of-key-{number}"))
        for number, key in enumerate(keys)
    ]
    with _Clients(userfold.url, _CHECKS_AT_ONCE) as clients:
        clients.exchange(requests[:few])
        before = _resident(userfold)
        clients.exchange(requests[few:])
        return per_item(before, _resident(userfold), more)


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _resident(userfold: Userfold) -> Memory:
    time.sleep(_SETTLING_SECONDS)
    return {service.program: resident_bytes(service.pid) for service in userfold.services}


def _updates(userfold: Userfold, name: str, count: int) -> list[bytes]:
    return [_raw(userfold, userfold.single(f"{name}-{number}")) for number in range(count)]


def _raw(userfold: Userfold, request: Request) -> bytes:
    return raw_request(userfold.url, userfold.headers, request)
