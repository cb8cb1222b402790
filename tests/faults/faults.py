"""The faults: each has a name, a description, and the function that causes it under load."""

import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pymongo.errors import PyMongoError

from tests.faults.clients import Traffic
from tests.faults.cluster import Cluster
from tests.faults.links import Rule, apart
from tests.faults.replica_set import Member

Do = Callable[[Cluster, Traffic], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """`do` causes the fault, waits, and removes it. Every process that has ended is restarted afterwards."""

    name: str
    what: str
    do: Do


class Process(Protocol):
    """A server, a gateway or a mongod."""

    def signal(self, number: signal.Signals) -> None: ...
    def wait_until_ended(self) -> None: ...


Which = Callable[[Cluster], Sequence[Process]]


def _primary(cluster: Cluster) -> Sequence[Member]:
    return [cluster.replica_set.primary()]


def _secondary(cluster: Cluster) -> Sequence[Member]:
    return cluster.replica_set.secondaries()[:1]


def _members(cluster: Cluster) -> Sequence[Member]:
    return cluster.replica_set.members


def _server(cluster: Cluster) -> Sequence[Process]:
    return cluster.servers[:1]


def _gateway(cluster: Cluster) -> Sequence[Process]:
    return cluster.gateways[:1]


def _everything(cluster: Cluster) -> Sequence[Process]:
    everything: list[Process] = [*cluster.replica_set.members, *cluster.servers, *cluster.gateways]
    return everything


def _ends(which: Which, number: signal.Signals, seconds: float) -> Do:
    """Send the signal to all processes, which stay down for some seconds."""

    def do(cluster: Cluster, _: Traffic) -> None:
        processes = which(cluster)
        for process in processes:
            process.signal(number)
        for process in processes:
            process.wait_until_ended()
        time.sleep(seconds)

    return do


def _freezes(which: Which, seconds: float) -> Do:
    def do(cluster: Cluster, _: Traffic) -> None:
        with ExitStack() as stack:
            for process in which(cluster):
                process.signal(signal.SIGSTOP)
                stack.callback(process.signal, signal.SIGCONT)
            time.sleep(seconds)

    return do


def _step_down(cluster: Cluster, _: Traffic) -> None:
    for _turn in range(2):
        with suppress(PyMongoError):  # It may close the connection of the command.
            cluster.replica_set.primary().command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=2)
        time.sleep(5)


def _rolling_restart(cluster: Cluster, _: Traffic) -> None:
    """Restart members, the primary last, then servers, then gateways, each when the system has recovered."""
    primary = cluster.replica_set.primary()
    everything: list[Process] = [*cluster.replica_set.secondaries(), primary, *cluster.servers, *cluster.gateways]
    for process in everything:
        process.signal(signal.SIGTERM)
        process.wait_until_ended()
        cluster.heal()
        time.sleep(0.5)


def _ruled(seconds: float, rules: Callable[[Cluster], Iterable[Rule]]) -> Do:
    def do(cluster: Cluster, _: Traffic) -> None:
        with cluster.links.ruled(*rules(cluster)):
            time.sleep(seconds)

    return do


def _isolated(cluster: Cluster) -> Iterable[Rule]:
    """The primary is cut off from every other process."""
    name = cluster.replica_set.primary().name
    return [rule for other in _names(cluster) if other != name for rule in apart(other, name)]


def _with_a_server(cluster: Cluster) -> Iterable[Rule]:
    """The primary and a server are cut off from the other members and the other server."""
    name = cluster.replica_set.primary().name
    here = {name, cluster.servers[0].name}
    there = set(_names(cluster)) - here
    return [rule for one in here for other in there for rule in apart(one, other)]


def _unheard(cluster: Cluster) -> Iterable[Rule]:
    """Nothing that the primary sends arrives. It still receives."""
    name = cluster.replica_set.primary().name
    return [Rule(None, name, replies=True), Rule(name, None)]


def _deaf(cluster: Cluster) -> Iterable[Rule]:
    """Nothing that is sent to the primary arrives. It still sends."""
    name = cluster.replica_set.primary().name
    return [Rule(None, name), Rule(name, None, replies=True)]


def _unreplicated(cluster: Cluster) -> Iterable[Rule]:
    """The servers reach the primary, but the other members do not."""
    primary, *others = [cluster.replica_set.primary(), *cluster.replica_set.secondaries()]
    return [rule for other in others for rule in apart(other.name, primary.name)]


def _slow(cluster: Cluster) -> Iterable[Rule]:
    """A delay of 200 ms each way between the servers and the members."""
    return [Rule(server.name, None, replies, seconds=0.2) for server in cluster.servers for replies in (False, True)]


def _crawling(cluster: Cluster) -> Iterable[Rule]:
    """A delay of 5 s each way: a round trip exceeds the deadline of a write."""
    return [Rule(server.name, None, replies, seconds=5) for server in cluster.servers for replies in (False, True)]


def _without_replies(cluster: Cluster) -> Iterable[Rule]:
    """One in 20 replies to a server is lost with its connection, after the write was done."""
    return [Rule(server.name, None, replies=True, drops_every=20) for server in cluster.servers]


def _names(cluster: Cluster) -> Sequence[str]:
    return [member.name for member in cluster.replica_set.members] + [server.name for server in cluster.servers]


def _fails(*failures: Mapping[str, Any], seconds: float = 4, times: int = 40) -> Do:
    """The primary fails this number of updates in each of these ways in turn."""

    def do(cluster: Cluster, _: Traffic) -> None:
        for failure in failures:
            data = {"failCommands": ["update"], "appName": "userfold", **failure}
            with cluster.replica_set.primary().failing("failCommand", {"times": times}, **data):
                time.sleep(seconds)

    return do


def _disk_full(cluster: Cluster, _: Traffic) -> None:
    member = cluster.replica_set.primary()
    with member.full_disk():
        with suppress(TimeoutError):
            member.wait_until_ended(20)
        time.sleep(5)


def _killed_unreplicated(cluster: Cluster, _: Traffic) -> None:
    """The primary accepts writes that no other member gets, and is killed."""
    primary, *others = [cluster.replica_set.primary(), *cluster.replica_set.secondaries()]
    with ExitStack() as stack:
        for other in others:
            stack.enter_context(other.failing("stopReplProducer"))
        time.sleep(4)
        primary.signal(signal.SIGKILL)
        primary.wait_until_ended()
    # It is restarted only then, and must roll back these writes.
    cluster.replica_set.primary()
    time.sleep(1)


def _gives_up(patience: float, seconds: float) -> Do:
    """All clients cancel each request after a random time of up to `patience` seconds."""

    def do(_: Cluster, traffic: Traffic) -> None:
        traffic.patience = patience
        time.sleep(seconds)
        traffic.patience = None

    return do


def _together(*parts: Do) -> Do:
    def do(cluster: Cluster, traffic: Traffic) -> None:
        for part in parts:
            part(cluster, traffic)

    return do


# MongoDB sends no such error without the key.
_DUPLICATE_KEY = {"errorCode": 11000, "errorExtraInfo": {"keyPattern": {"_id": 1}, "keyValue": {"_id": 1}}}

FAULTS: Final[Sequence[Fault]] = (
    Fault("none", "nothing, for comparison", lambda *_: time.sleep(4)),
    Fault("kill-primary", "kill -9 of the primary, back after 6 s", _ends(_primary, signal.SIGKILL, 6)),
    Fault("kill-secondary", "kill -9 of a secondary, back after 4 s", _ends(_secondary, signal.SIGKILL, 4)),
    Fault("kill-all-members", "kill -9 of all members, back after 2 s", _ends(_members, signal.SIGKILL, 2)),
    Fault("kill-everything", "kill -9 of all members, servers and gateways", _ends(_everything, signal.SIGKILL, 1)),
    Fault(
        "kill-unreplicated",
        "the secondaries get no data for 4 s, then kill -9 of the primary, back after an election",
        _killed_unreplicated,
    ),
    Fault("term-primary", "SIGTERM to the primary, back after 5 s", _ends(_primary, signal.SIGTERM, 5)),
    Fault("step-down", "replSetStepDown, twice", _step_down),
    Fault("rolling-restart", "SIGTERM to every member, server and gateway in turn", _rolling_restart),
    Fault("freeze-primary-10", "SIGSTOP of the primary for 10 s", _freezes(_primary, 10)),
    Fault("freeze-primary-30", "SIGSTOP of the primary for 30 s", _freezes(_primary, 30)),
    Fault("freeze-briefly", "SIGSTOP of the primary for 2 s: no election", _freezes(_primary, 2)),
    Fault("split-primary", "the primary cut off from everybody for 12 s", _ruled(12, _isolated)),
    Fault("split-with-server", "the primary and one server cut off from the rest, 12 s", _ruled(12, _with_a_server)),
    Fault("split-members", "the primary cut off from the secondaries alone, 12 s", _ruled(12, _unreplicated)),
    Fault("one-way-replies", "nothing from the primary arrives for 12 s", _ruled(12, _unheard)),
    Fault("one-way-requests", "nothing to the primary arrives for 12 s", _ruled(12, _deaf)),
    Fault("disk-full", "no room for the primary's files; room again after its end, and 5 s", _disk_full),
    Fault("slow-database", "200 ms more each way to MongoDB for 10 s", _ruled(10, _slow)),
    Fault("crawling-database", "5 s more each way to MongoDB for 15 s", _ruled(15, _crawling)),
    Fault("lost-replies", "one in 20 replies of MongoDB lost with its connection, 8 s", _ruled(8, _without_replies)),
    Fault(
        "lost-requests",
        "MongoDB closes the connection instead of writing",
        _fails({"closeConnection": True}, {"closeConnection": True, "blockConnection": True, "blockTimeMS": 300}),
    ),
    Fault(
        "not-primary",
        "NotWritablePrimary, PrimarySteppedDown, InterruptedDueToReplStateChange",
        _fails(*({"errorCode": code} for code in (10107, 189, 11602)), seconds=3),
    ),
    Fault(
        "shutting-down",
        "ShutdownInProgress, InterruptedAtShutdown",
        _fails(*({"errorCode": code} for code in (91, 11600)), seconds=3),
    ),
    Fault(
        "out-of-time",
        "MaxTimeMSExpired, ExceededTimeLimit, NetworkInterfaceExceededTimeLimit",
        _fails(*({"errorCode": code} for code in (50, 262, 202)), seconds=3),
    ),
    Fault(
        "write-concern",
        "WriteConcernFailed, and others instead of the majority's confirmation",
        _fails(
            *({"writeConcernError": {"code": code, "errmsg": "injected"}} for code in (64, 50, 91, 11602, 189)),
            seconds=2,
        ),
    ),
    Fault("duplicate-key", "error 11000", _fails(_DUPLICATE_KEY, seconds=4)),
    Fault(
        "other-errors",
        "WriteConflict, OutOfDiskSpace, InternalError, Unauthorized",
        _fails(*({"errorCode": code} for code in (112, 14031, 1, 13)), seconds=2),
    ),
    Fault("kill-server", "kill -9 of a server, back after 3 s", _ends(_server, signal.SIGKILL, 3)),
    Fault("term-server", "SIGTERM to a server, back after its end and 3 s", _ends(_server, signal.SIGTERM, 3)),
    Fault("freeze-server", "SIGSTOP of a server for 12 s", _freezes(_server, 12)),
    Fault("kill-gateway", "kill -9 of a gateway, back after 3 s", _ends(_gateway, signal.SIGKILL, 3)),
    Fault("term-gateway", "SIGTERM to a gateway, back after its end and 3 s", _ends(_gateway, signal.SIGTERM, 3)),
    Fault("freeze-gateway", "SIGSTOP of a gateway for 12 s", _freezes(_gateway, 12)),
    Fault("impatient-clients", "clients cut connections, cancel, and have deadlines of 0 to 0.2 s", _gives_up(0.2, 6)),
    Fault(
        "impatient-and-killed",
        "the same while the primary is killed",
        _together(_gives_up(0.1, 3), _ends(_primary, signal.SIGKILL, 0), _gives_up(0.5, 6)),
    ),
)

SEEDED: Final[Mapping[str, Do]] = {
    "acknowledge-before-write": _ends(_server, signal.SIGKILL, 0),
    "ignore-write-concern-errors": _killed_unreplicated,
    "drop-duplicate-key": _fails(_DUPLICATE_KEY, seconds=1),
    "wrong-application": lambda *_: None,
    "w-1": _killed_unreplicated,
    # A round of a conditional update and its rival takes about a second.
    "lost-condition": lambda *_: time.sleep(8),
    "merge-in-parts": lambda *_: None,
}
"""The fault under which each bug of `seeded` shows."""
