"""`python -m server.local.run`: the whole stack starts and stops with one command."""

import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.local.run import gateway_socket, without_password
from server.settings import Settings
from tests.support.certificates import Authority
from tests.support.programs import start_program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

READY = re.compile(
    r"userfold ready http=(?P<http>https?://127\.0\.0\.1:[1-9]\d*) grpc=(?P<grpc>127\.0\.0\.1:[1-9]\d*) "
    r"admin=(?P<admin>https?://127\.0\.0\.1:[1-9]\d*) mongodb=(?P<mongodb>\S+) "
    r"application_id=(?P<application_id>ufc_\S{64}) management_token=(?P<token>ufm_\S{64})\n"
)
PROGRAMS = ["gateway", "mongod", "server"]


class Stack:
    """A running `python -m server.local.run` on free ports."""

    def __init__(self, data_dir: Path, *, measured: bool, **environment: str) -> None:
        addresses = {"USERFOLD_GRPC_ADDRESS": "127.0.0.1:0", "USERFOLD_HTTP_ADDRESS": "127.0.0.1:0"}
        self.errors = data_dir.with_suffix(".stderr")
        with self.errors.open("wb") as stderr:
            self.process = start_program(
                "server.local.run",
                variables={"USERFOLD_DATA_DIR": str(data_dir), **addresses, **environment},
                stderr=stderr,
                measured=measured,
            )

    def ready(self) -> dict[str, str]:
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        match = READY.fullmatch(line)
        assert match, line + self.errors.read_text()
        return match.groupdict()

    def children(self) -> dict[str, int]:
        """The process ids of the programs of this stack."""
        found = {}
        for directory in Path("/proc").glob("[1-9]*"):
            try:
                parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
                words = (directory / "cmdline").read_text().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self.process.pid and len(words) > 2:  # a zombie has none
                found[words[2] if words[1] == "-m" else Path(words[0]).name] = int(directory.name)
        return found

    def server_of_the_gateway(self) -> str:
        """The target through which the gateway calls the server."""
        variables = Path(f"/proc/{self.children()['gateway']}/environ").read_text().split("\0")
        return dict(variable.partition("=")[::2] for variable in variables)["USERFOLD_GRPC_ADDRESS"]

    def ended(self) -> tuple[int, str, str]:
        """Wait for the end. Returns the exit status and the rest of stdout and stderr."""
        stdout, _ = self.process.communicate(timeout=60)
        return self.process.returncode, stdout.decode(), self.errors.read_text()


class Start(Protocol):
    """Starts a stack with a new data directory of this name."""

    def __call__(self, name: str = "data", *, measured: bool = False, **environment: str) -> Stack: ...


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: pytest keeps the last three, of 300 MB each.
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    with ExitStack() as stacks:

        def start(name: str = "data", *, measured: bool = False, **environment: str) -> Stack:
            stack = Stack(home / name, measured=measured, **environment)
            stacks.enter_context(stack.process)
            stacks.callback(stack.process.terminate)
            return stack

        yield start


def is_running(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # a zombie has none
    except FileNotFoundError:
        return False


def are_gone(pids: Mapping[str, int]) -> bool:
    return not any(is_running(pid) for pid in pids.values())


def test_it_starts_serves_stops_and_starts_again_with_the_same_keys(start: Start, home: Path) -> None:
    stack = start(measured=True)
    first = stack.ready()
    children = stack.children()
    assert sorted(children) == PROGRAMS
    with grpc.insecure_channel(first["grpc"]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # the stubs leave its methods out
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with urllib.request.urlopen(f"{first['http']}/health/probe", timeout=5) as response:  # noqa: S310 - it is http
        assert json.load(response)["status"] is True
    with urllib.request.urlopen(f"{first['admin']}/readyz", timeout=5) as response:  # noqa: S310 - it is http
        assert json.load(response) == {"status": "ready"}
    socket_file = Path(stack.server_of_the_gateway().removeprefix("unix:"))
    assert stat.S_ISSOCK(socket_file.stat().st_mode)
    assert not socket_file.stat().st_mode & 0o077
    keys = home / "data" / "demo.env"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    command = ["/bin/sh", "-c", f". {keys}; command -v userfold"]
    sourced = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert sourced.stdout == f"{Path(sys.executable).parent}/userfold\n"

    stack.process.send_signal(signal.SIGTERM)
    status, stdout, stderr = stack.ended()
    assert (status, stdout) == (0, "")
    assert "Traceback" not in stderr
    assert first["application_id"] not in stderr
    assert first["token"] not in stderr
    assert f"  . {keys}\n" in stderr
    assert f"  curl {first['http']}/v1/users -H" in stderr
    assert are_gone(children)
    assert not socket_file.parent.exists()

    stack = start()
    second = stack.ready()
    children = stack.children()
    assert [second[name] for name in ("application_id", "token", "mongodb")] == [
        first[name] for name in ("application_id", "token", "mongodb")
    ]
    # A second Ctrl-C.
    stack.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    stack.process.send_signal(signal.SIGINT)
    status, _, stderr = stack.ended()
    assert status == 0
    assert "Traceback" not in stderr
    assert are_gone(children)


def test_with_certificates_it_serves_https_and_its_programs_trust_each_other(start: Start, home: Path) -> None:
    authority = Authority(home)
    server, gateway = (authority.issue(home, name) for name in ("server", "gateway"))
    stack = start(
        USERFOLD_WORKERS="2",
        USERFOLD_HTTP_TLS_CERTIFICATE=str(gateway.certificate),
        USERFOLD_HTTP_TLS_KEY=str(gateway.key),
        USERFOLD_GRPC_TLS_CERTIFICATE=str(server.certificate),
        USERFOLD_GRPC_TLS_KEY=str(server.key),
        USERFOLD_GRPC_TLS_CLIENT_CA=str(authority.path),
        USERFOLD_GRPC_TLS_CA=str(authority.path),
        USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE=str(gateway.certificate),
        USERFOLD_GRPC_TLS_CLIENT_KEY=str(gateway.key),
    )
    ready = stack.ready()
    assert ready["http"].startswith("https://")
    request = urllib.request.Request(  # noqa: S310 - It is https.
        f"{ready['http']}/v1/users",
        b'{"user_id": "u"}',
        {"X-Moesif-Application-Id": ready["application_id"]},
    )
    # Enough connections for each worker to get some.
    for _ in range(20):
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=authority.path)) as answer:  # noqa: S310
            assert answer.status == 201
    trusted = grpc.ssl_channel_credentials(authority.path.read_bytes())
    for channel in (grpc.insecure_channel(ready["grpc"]), grpc.secure_channel(ready["grpc"], trusted)):
        health: Any = health_pb2_grpc.HealthStub(channel)
        with channel, pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert stack.server_of_the_gateway() == ready["grpc"]
    stack.process.terminate()
    status, _, stderr = stack.ended()
    assert (status, "Traceback" in stderr) == (0, False)


@pytest.mark.parametrize("awaited", PROGRAMS)
def test_a_signal_during_the_start_stops_the_started_programs(start: Start, awaited: str) -> None:
    stack = start(measured=awaited == "gateway")
    while awaited not in (children := stack.children()):
        assert stack.process.poll() is None
        time.sleep(0.005)
    stack.process.send_signal(signal.SIGTERM)
    status, stdout, stderr = stack.ended()
    assert (status, stdout) == (0, "")
    assert "userfold: " not in stderr
    assert are_gone(children)


@pytest.mark.parametrize("victim", PROGRAMS)
def test_when_a_program_dies_the_others_are_stopped(start: Start, victim: str) -> None:
    stack = start(measured=victim == "server")
    stack.ready()
    children = stack.children()
    os.kill(children[victim], signal.SIGKILL)
    status, _, stderr = stack.ended()
    assert f"userfold: the {victim} ended by itself (signal SIGKILL)\n" in stderr
    assert status == 1
    assert "Traceback" not in stderr
    assert are_gone(children)


def test_no_program_outlives_a_killed_launcher(start: Start) -> None:
    stack = start()
    stack.ready()
    children = stack.children()
    stack.process.kill()
    stack.ended()
    wait_until(lambda: are_gone(children))


@pytest.mark.parametrize(("variable", "program"), [("GRPC", "server"), ("HTTP", "gateway"), ("ADMIN", "gateway")])
def test_a_port_in_use_is_reported(start: Start, variable: str, program: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = start(measured=True, **{f"USERFOLD_{variable}_ADDRESS": f"127.0.0.1:{port}"})
        status, stdout, stderr = stack.ended()
    assert (status, stdout) == (1, "")
    assert f"userfold: the {program} ended by itself (exit status 1)\n" in stderr
    assert str(port) in stderr
    assert "Traceback" not in stderr
    assert stack.children() == {}


def test_an_external_mongodb_is_used_and_its_password_is_not_printed(start: Start) -> None:
    stack = start()
    uri = stack.ready()["mongodb"]
    other = start("other", USERFOLD_MONGODB_URI=f"{uri}&appName=mine", USERFOLD_DATABASE="second")
    assert other.ready()["mongodb"] == f"{uri}&appName=mine"
    assert sorted(other.children()) == ["gateway", "server"]
    for each in (other, stack):
        each.process.terminate()
        assert each.ended()[0] == 0


@pytest.mark.parametrize(
    ("variables", "is_used"),
    [
        ({}, True),
        ({"USERFOLD_WORKERS": "2"}, False),
        ({"USERFOLD_GRPC_TLS_CERTIFICATE": "a.pem", "USERFOLD_GRPC_TLS_KEY": "a.key"}, False),
    ],
)
def test_the_gateway_uses_a_socket_without_workers_and_certificates(
    variables: Mapping[str, str], is_used: bool
) -> None:
    with ExitStack() as stack:
        path = gateway_socket(stack, Settings.from_environment(variables))
        assert (path is not None) == is_used
        assert path is None or Path(path).parent.is_dir()
    assert path is None or not Path(path).parent.exists()


def test_the_gateway_uses_no_socket_whose_path_is_too_long(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deep := home / ("x" * 80)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with ExitStack() as stack:
        assert gateway_socket(stack, Settings.from_environment({})) is None


def test_the_gateway_uses_the_socket_of_the_settings() -> None:
    with ExitStack() as stack:
        assert gateway_socket(stack, Settings.from_environment({"USERFOLD_GRPC_SOCKET": "/run/a"})) == "/run/a"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("mongodb://db:27017/?replicaSet=a", "mongodb://db:27017/?replicaSet=a"),
        ("mongodb://me:s3cret@a:1,b:2/x", "mongodb://me@a:1,b:2/x"),
        ("mongodb+srv://me:s%40cret:1@db/?appName=a@b", "mongodb+srv://me@db/?appName=a@b"),
        (
            "mongodb://me@db/?tlsCertificateKeyFilePassword=s3cret&tls=true",
            "mongodb://me@db/?tlsCertificateKeyFilePassword=&tls=true",
        ),
    ],
)
def test_a_password_in_a_uri_is_not_printed(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


def test_an_invalid_setting_is_reported(start: Start) -> None:
    status, _, stderr = start(USERFOLD_GRPC_ADDRESS="nowhere").ended()
    assert status == 1
    assert stderr.startswith("userfold: USERFOLD_GRPC_ADDRESS must be HOST:PORT")
    assert len(stderr.splitlines()) == 1


def test_damaged_keys_are_reported(start: Start, home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "demo.env").write_text("{")
    status, _, stderr = start(measured=True, USERFOLD_MONGODB_URI="mongodb://127.0.0.1:1").ended()
    assert status == 1
    assert stderr == f"userfold: {home}/data/demo.env is damaged: delete it to have new keys made\n"
