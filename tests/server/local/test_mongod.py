"""The embedded MongoDB, with real mongod processes."""

import importlib.util
import os
import shutil
import signal
import socketserver
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.uri_parser import parse_uri

from server.local.mongod import EmbeddedMongod, MongodUnavailable
from server.mongo import replica_set

pytestmark = [pytest.mark.slow, pytest.mark.long]

PARENT = """
import sys, time
from pathlib import Path
from server.local.mongod import EmbeddedMongod
mongod = EmbeddedMongod(Path(sys.argv[1]))
mongod.start()
print(mongod.process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not tmp_path: pytest would keep the last three, of 300 MB each.
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory, "data")


def written(uri: str) -> list[int]:
    """Add one document, and return the ids of all."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri) as client:
        documents: Collection[dict[str, Any]] = client.get_database("test").get_collection("documents")
        documents.insert_one({"_id": documents.count_documents({}) + 1})
        return [document["_id"] for document in documents.find(sort=["_id"])]


def is_running(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # a zombie has none
    except FileNotFoundError:
        return False


def executable(directory: Path, text: str) -> None:
    path = directory / "mongod"
    path.write_text(text)
    path.chmod(0o755)


def test_a_data_directory_has_one_port_unless_another_program_takes_it(data_dir: Path) -> None:
    with EmbeddedMongod(data_dir) as mongod:
        replica_set.initiate(mongod.uri)
        first = mongod.uri
        assert written(first) == [1]
    with EmbeddedMongod(data_dir) as mongod:
        assert (mongod.uri, mongod.moved_from) == (first, None)
    host, port = parse_uri(first)["nodelist"][0]
    # It closes each connection: mongod would wait for one that never responds.
    with socketserver.TCPServer((host, port), socketserver.BaseRequestHandler) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        mongod = EmbeddedMongod(data_dir)
        with mongod:
            replica_set.initiate(mongod.uri)
            assert mongod.uri != first
            assert mongod.moved_from == port
            assert written(mongod.uri) == [1, 2]
        other.shutdown()
    assert (data_dir / "mongodb.port").read_text() == f"{parse_uri(mongod.uri)['nodelist'][0][1]}\n"
    (data_dir / "mongodb.port").write_text("99999999999")
    with EmbeddedMongod(data_dir) as mongod:
        replica_set.initiate(mongod.uri)
        assert written(mongod.uri) == [1, 2, 3]


def test_it_is_a_replica_set_on_the_loopback_interface_in_a_private_directory(data_dir: Path) -> None:
    with EmbeddedMongod(data_dir, ["--setParameter", "enableTestCommands=1"]) as mongod:
        replica_set.initiate(mongod.uri)
        client: MongoClient[dict[str, Any]]
        with MongoClient(mongod.uri) as client:
            hello = client.admin.command("hello")
            options = client.admin.command("getCmdLineOpts")["parsed"]
    assert hello["setName"] == "userfold"
    assert mongod.uri == f"mongodb://{hello['me']}/?directConnection=true"
    assert options["net"]["bindIp"] == "127.0.0.1"
    assert options["setParameter"]["enableTestCommands"] == "1"
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    mongod.stop()  # again
    assert mongod.process.returncode == 0


def test_it_ends_with_a_killed_parent_and_the_next_one_waits_for_it(data_dir: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, data_dir], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.kill()
    with EmbeddedMongod(data_dir) as mongod:
        assert not is_running(pid)
        assert mongod.process.pid != pid


def test_a_killed_mongod_is_recovered(data_dir: Path) -> None:
    with EmbeddedMongod(data_dir) as mongod:
        replica_set.initiate(mongod.uri)
        assert written(mongod.uri) == [1]
        mongod.process.kill()
        mongod.process.wait()
    assert (data_dir / "mongodb" / "mongod.lock").read_text().strip()
    with EmbeddedMongod(data_dir) as mongod:
        replica_set.initiate(mongod.uri)
        assert written(mongod.uri) == [1, 2]


def test_a_second_one_on_the_same_directory_fails_immediately(data_dir: Path) -> None:
    with EmbeddedMongod(data_dir) as mongod:
        before = time.monotonic()
        with pytest.raises(MongodUnavailable, match=r"data is in use by another Userfold; set USERFOLD_DATA_DIR"):
            EmbeddedMongod(data_dir).start()
        assert time.monotonic() - before < 1
        assert mongod.process.poll() is None


def test_a_directory_that_is_not_freed_is_reported(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedMongod(data_dir) as mongod:
        (data_dir / "userfold.lock").unlink()  # as if its parent had been killed
        monkeypatch.setattr("server.local.mongod._RELEASE_SECONDS", 0.2)
        with pytest.raises(MongodUnavailable, match="in use by another Userfold"):
            EmbeddedMongod(data_dir).start()
        assert mongod.process.poll() is None


def test_a_missing_mongod_is_reported(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MongodUnavailable, match=r"No MongoDB found.*USERFOLD_MONGODB_URI.*userfold\[embedded\]"):
        EmbeddedMongod(data_dir).start()
    assert not data_dir.exists()


def test_the_wheel_is_found_without_being_imported(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with EmbeddedMongod(data_dir) as mongod:
        assert b"fiftyone/db/bin/mongod" in Path(f"/proc/{mongod.process.pid}/cmdline").read_bytes()
    assert "fiftyone" not in sys.modules


def test_a_mongod_that_ends_immediately_is_reported_with_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path, "#!/bin/sh\necho 'libcrypto.so.3: cannot open shared object file' >&2\nexit 127\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "mongodb.log").write_text("an old line\n")
    with pytest.raises(MongodUnavailable, match=r"(?s)exit status 127.*USERFOLD_MONGODB_URI.*libcrypto") as caught:
        EmbeddedMongod(tmp_path).start()
    assert "an old line" not in str(caught.value)


def test_a_mongod_that_is_no_program_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path, "\x7fELF for another machine")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MongodUnavailable, match=r"(?s)USERFOLD_MONGODB_URI.*cannot be executed: Exec format"):
        EmbeddedMongod(tmp_path).start()


def test_a_mongod_that_never_listens_is_stopped_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path, "#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("server.local.mongod._START_SECONDS", 0.2)
    mongod = EmbeddedMongod(tmp_path)
    with pytest.raises(RuntimeError, match="not started"):
        _ = mongod.process
    with pytest.raises(MongodUnavailable, match="did not listen"):
        mongod.start()
    assert mongod.process.returncode == -signal.SIGTERM


def test_a_wrong_argument_is_reported_with_the_error_of_mongod(data_dir: Path) -> None:
    with pytest.raises(MongodUnavailable, match="noSuchOption"):
        EmbeddedMongod(data_dir, ["--noSuchOption"]).start()


def test_a_full_disk_is_named_before_mongod_starts(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(data_dir.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=349 * 2**20))
    with pytest.raises(MongodUnavailable, match="349 MiB are free, and the embedded MongoDB needs 350 MiB") as caught:
        EmbeddedMongod(data_dir).start()
    assert str(data_dir) in str(caught.value)
    assert "USERFOLD_DATA_DIR" in str(caught.value)
    # An existing database needs less.
    (data_dir / "mongodb" / "WiredTiger").touch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=63 * 2**20))
    with pytest.raises(MongodUnavailable, match="63 MiB are free, and the embedded MongoDB needs 64 MiB"):
        EmbeddedMongod(data_dir).start()
