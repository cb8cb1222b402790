"""The faults: each has a name, what it does, and how it heals, under load."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from tests.faults.clients import Traffic
from tests.faults.cluster import Cluster

Do = Callable[[Cluster, Traffic], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """`do` brings it about, lets it last, and lifts it. Afterwards whatever has ended is started again."""

    name: str
    what: str
    do: Do


class Process(Protocol):
    def signal(self, number: signal.Signals) -> None: ...
    def wait_until_ended(self) -> None: ...


def _ends(process: Process, number: signal.Signals) -> None:
    process.signal(number)
    process.wait_until_ended()


@contextmanager
def _frozen(process: Process) -> Iterator[None]:
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


def _kill_primary(cluster: Cluster, _: Traffic) -> None:
    _ends(cluster.replica_set.primary(), signal.SIGKILL)
    time.sleep(6)


def _kill_server(cluster: Cluster, _: Traffic) -> None:
    _ends(cluster.servers[0], signal.SIGKILL)
    time.sleep(2)


FAULTS: Final[Sequence[Fault]] = (
    Fault("kill-primary", "kill -9 of the primary; started again after 6 s", _kill_primary),
    Fault("kill-server", "kill -9 of a server; started again after 2 s", _kill_server),
)
