"""`userfold healthcheck`, and the programs that `userfold` starts."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runtime.child import start_child
from server.local.mongod import EmbeddedMongod
from tests.cli.conftest import run_userfold
from tests.support.certificates import Authority
from tests.support.programs import environment, free_port
from tests.support.stack import DATABASE, Stack, start_gateway, start_server


def test_a_ready_program_is_status_0(stack: Stack) -> None:
    variables = {"USERFOLD_GRPC_ADDRESS": stack.grpc, "USERFOLD_HTTP_ADDRESS": stack.http.removeprefix("http://")}
    for words, printed in (
        (["server"], "ready\n"),
        (["gateway"], "ready\n"),
        (["server", "--live"], "alive\n"),
        (["gateway", "--live"], "alive\n"),
        ([], "ready\n"),
    ):
        run = run_userfold("healthcheck", *words, variables=variables)
        assert (run.returncode, run.stdout, run.stderr) == (0, printed, ""), words


def test_a_program_that_does_not_run_or_is_not_ready_is_status_3(stack: Stack) -> None:
    address = f"127.0.0.1:{free_port()}"
    gone = {"USERFOLD_GRPC_ADDRESS": address, "USERFOLD_HTTP_ADDRESS": address}
    for program in ("server", "gateway"):
        run = run_userfold("healthcheck", program, variables=gone)
        assert (run.returncode, run.stdout) == (3, "")
        assert run.stderr.startswith(f"userfold: the {program} is not ready: ")
    gateway = start_gateway(address)
    try:
        alone = {"USERFOLD_HTTP_ADDRESS": gateway.ready["http"].removeprefix("http://")}
        assert run_userfold("healthcheck", "gateway", "--live", variables=alone).returncode == 0
        run = run_userfold("healthcheck", "gateway", variables=alone)
        assert (run.returncode, "Service Unavailable" in run.stderr) == (3, True)
    finally:
        assert gateway.stop() == 0


def test_a_program_that_speaks_tls_is_called_over_tls(mongod: EmbeddedMongod, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    own = authority.issue(tmp_path, "own")
    server_tls = {
        "USERFOLD_GRPC_TLS_CERTIFICATE": str(own.certificate),
        "USERFOLD_GRPC_TLS_KEY": str(own.key),
        "USERFOLD_GRPC_TLS_CLIENT_CA": str(authority.path),
    }
    caller_tls = {
        "USERFOLD_GRPC_TLS_CA": str(authority.path),
        "USERFOLD_GRPC_TLS_CLIENT_CERTIFICATE": str(own.certificate),
        "USERFOLD_GRPC_TLS_CLIENT_KEY": str(own.key),
    }
    http_tls = {"USERFOLD_HTTP_TLS_CERTIFICATE": str(own.certificate), "USERFOLD_HTTP_TLS_KEY": str(own.key)}
    server = start_server(mongod.uri, variables=server_tls)
    gateway = start_gateway(server.ready["grpc"], caller_tls | http_tls)
    try:
        listens = {"USERFOLD_GRPC_ADDRESS": server.ready["grpc"]}
        assert run_userfold("healthcheck", "server", variables=listens | server_tls).stdout == "ready\n"
        assert run_userfold("healthcheck", "server", variables=listens | caller_tls).stdout == "ready\n"
        assert run_userfold("healthcheck", "server", variables=listens).returncode == 3
        listens = {"USERFOLD_HTTP_ADDRESS": gateway.ready["http"].removeprefix("https://")}
        assert run_userfold("healthcheck", "gateway", variables=listens | http_tls).stdout == "ready\n"
        other = Authority(tmp_path, "other").issue(tmp_path, "other")
        pinned = {"USERFOLD_HTTP_TLS_CERTIFICATE": str(other.certificate), "USERFOLD_HTTP_TLS_KEY": str(other.key)}
        assert run_userfold("healthcheck", "gateway", variables=listens | pinned).returncode == 3
    finally:
        assert gateway.stop() == 0
        assert server.stop() == 0


def _start(*words: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return start_child(
        [str(Path(sys.executable).with_name("userfold")), *words],
        environment=environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_programs_run_in_the_process_of_the_command(mongod: EmbeddedMongod, stack: Stack) -> None:
    uses = {"USERFOLD_MONGODB_URI": mongod.uri, "USERFOLD_DATABASE": DATABASE, "USERFOLD_TEAM": "x"}
    calls = {"USERFOLD_HTTP_ADDRESS": "127.0.0.1:0", "USERFOLD_ADMIN_ADDRESS": "off"}
    events = []
    for program, variables in (
        ("server", uses | {"USERFOLD_GRPC_ADDRESS": "127.0.0.1:0"}),
        ("gateway", calls | {"USERFOLD_GRPC_ADDRESS": stack.grpc}),
    ):
        process = _start(program, variables=variables)
        assert process.stdout
        assert process.stdout.readline().startswith(f"userfold-{program} ready ".encode())
        assert not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        process.terminate()
        _, errors = process.communicate()
        assert process.returncode == 0
        events += [json.loads(line) for line in errors.splitlines()]
    warned = [each for each in events if each["event"] == "unknown variable"]
    assert [each["variable"] for each in warned] == ["USERFOLD_TEAM"]


def test_a_program_does_not_start_with_a_mistaken_variable() -> None:
    for program in ("server", "gateway"):
        run = run_userfold(program, variables={"USERFOLD_MONGO_URI": "x"})
        assert (run.returncode, run.stdout) == (1, "")
        assert "did you mean USERFOLD_MONGODB_URI?" in run.stderr
