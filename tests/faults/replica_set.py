"""Three mongods as one replica set, each behind a proxy that can drop and delay the data sent to it."""

import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from server.local.mongod import EmbeddedMongod
from tests.faults.links import Links

SIZE: Final = 3

# A third of MongoDB's default, for shorter failovers.
_ELECTION_MS = 3_000
_HEARTBEAT_MS = 1_000

# A rollback can take minutes on a slow disk.
_PATIENCE = 600
_WHOLE = ["PRIMARY", "SECONDARY", "SECONDARY"]

# Smaller than any file that a mongod writes.
_NO_ROOM = 4096
_ARGUMENTS = ("--setParameter", "enableTestCommands=1", "--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0")

Client = MongoClient[dict[str, Any]]


class Member:
    """A mongod. Its port may change at a restart. The other members use `address`, that of its proxy."""

    def __init__(self, name: str, directory: Path, links: Links) -> None:
        self.name = name
        self.directory = directory
        self._links = links
        self._mongod = EmbeddedMongod(directory, _ARGUMENTS)
        self.address = ""
        self._client: Client | None = None

    @property
    def is_running(self) -> bool:
        return self._mongod.process.poll() is None

    def start(self) -> None:
        """Start or restart it."""
        self.stop()
        self._mongod = EmbeddedMongod(self.directory, _ARGUMENTS)
        self._mongod.start()
        port = int(self._mongod.uri.rpartition(":")[2].partition("/")[0])
        self.address = self._links.lead(self.name, port)
        self._links.know(self.name, self._mongod.process.pid)
        self._client = MongoClient(
            self._mongod.uri,
            tz_aware=True,
            serverSelectionTimeoutMS=1_000,
            connectTimeoutMS=1_000,
            socketTimeoutMS=20_000,
        )

    def stop(self) -> None:
        if self._client:
            self._client.close()
        self._mongod.stop()

    def signal(self, number: signal.Signals) -> None:
        self._mongod.process.send_signal(number)

    def wait_until_ended(self, seconds: float = _PATIENCE) -> None:
        """Raises TimeoutError."""
        try:
            self._mongod.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Let no file grow during the block, which is a full disk for this process.

        A limit on the size of files needs no root, unlike a small file system.
        """
        pid = self._mongod.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_NO_ROOM, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def command(self, name: str, value: Any = 1, **arguments: Any) -> dict[str, Any]:
        """Run a command, without the proxy."""
        assert self._client
        return self._client.admin.command(name, value, **arguments)

    @contextmanager
    def failing(self, failpoint: str, mode: Any = "alwaysOn", **data: Any) -> Iterator[None]:
        """Turn on a fail point of MongoDB during the block."""
        self.command("configureFailPoint", failpoint, mode=mode, data=data)
        try:
            yield
        finally:
            # A process that has ended has no fail point.
            with suppress(PyMongoError):
                self.command("configureFailPoint", failpoint, mode="off")


class ReplicaSet:
    """The three members. `uri` has the addresses of the proxies."""

    def __init__(self, directory: Path, links: Links) -> None:
        self.members = [Member(f"member{number}", directory / f"member{number}", links) for number in range(SIZE)]

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(member.address for member in self.members)}/?replicaSet=userfold"

    def start(self) -> None:
        for member in self.members:
            member.start()
        members = [{"_id": number, "host": member.address} for number, member in enumerate(self.members)]
        settings = {"electionTimeoutMillis": _ELECTION_MS, "heartbeatIntervalMillis": _HEARTBEAT_MS}
        self.members[0].command("replSetInitiate", {"_id": "userfold", "members": members, "settings": settings})
        self.heal()
        for member in self.members:
            # The oplog of the embedded mongod is small. A member that is down for half a minute could not catch up.
            member.command("replSetResizeOplog", size=990.0)

    def stop(self) -> None:
        for member in self.members:
            member.stop()

    def primary(self) -> Member:
        """Wait for a primary, and return it."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for member in self.members:
                if is_primary(member):
                    return member
            time.sleep(0.05)
        raise TimeoutError("no primary was elected")

    def secondaries(self) -> Sequence[Member]:
        primary = self.primary()
        return [member for member in self.members if member is not primary]

    def heal(self) -> None:
        """Restart members that have ended, and wait until all are primary or secondary."""
        for member in self.members:
            if not member.is_running:
                member.start()
        deadline = time.monotonic() + _PATIENCE
        while (states := self._states()) != _WHOLE:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the replica set does not recover: {states}")
            time.sleep(0.1)

    def _states(self) -> Sequence[str]:
        try:
            status = self.primary().command("replSetGetStatus")
        except PyMongoError as error:
            return [str(error)]
        return sorted(member["stateStr"] for member in status["members"])


def is_primary(member: Member) -> bool:
    try:
        return bool(member.is_running and member.command("hello").get("isWritablePrimary"))
    except PyMongoError:
        return False
