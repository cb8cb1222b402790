"""Findings about this machine, and the command."""

import json
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.doctor import machine
from cli.doctor.findings import Finding, State
from server.mongo import inspection
from tests.cli.conftest import Userfold, run_userfold
from tests.support.certificates import Authority
from tests.support.programs import free_port
from tests.support.stack import Stack


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not answer is not waited for."""
    monkeypatch.setattr(inspection, "_SECONDS", 0.3)
    monkeypatch.setattr(machine, "_CONNECT_SECONDS", 0.1)


def _one(findings: list[Finding], subject: str) -> Finding:
    (found,) = (each for each in findings if each.subject.startswith(subject))
    return found


def test_variables_that_no_program_knows_or_can_use_are_found() -> None:
    assert [each.state for each in machine.variables({"USERFOLD_WORKERS": "2"})] == [State.OK]
    typing_error = list(machine.variables({"USERFOLD_MONGODB_URL": "mongodb://x"}))
    assert [each.state for each in typing_error] == [State.PROBLEM]
    assert "USERFOLD_MONGODB_URI" in typing_error[0].message
    assert [each.state for each in machine.variables({"USERFOLD_FAVOURITE_COLOUR": "red"})] == [State.WARNING]
    unusable = list(machine.variables({"USERFOLD_WORKERS": "many", "USERFOLD_GRPC_TLS_KEY": "x"}))
    assert {each.state for each in unusable} == {State.PROBLEM}


def test_addresses_are_free_or_taken_or_not_of_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {
            "USERFOLD_GRPC_ADDRESS": f"127.0.0.1:{taken.getsockname()[1]}",
            "USERFOLD_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
            "USERFOLD_SERVER_METRICS_ADDRESS": f"192.0.2.1:{free_port()}",
            "USERFOLD_GATEWAY_METRICS_ADDRESS": "no.such.host.invalid:1",
        }
        found = list(machine.addresses(environment))
    grpc = _one(found, "USERFOLD_GRPC_ADDRESS")
    assert (grpc.state, "answers there already" in grpc.message) == (State.OK, True)
    assert _one(found, "USERFOLD_HTTP_ADDRESS").message == "is free"
    other = _one(found, "USERFOLD_SERVER_METRICS_ADDRESS")
    assert (other.state, "no address of this machine" in other.message) == (State.PROBLEM, True)
    assert "has no address" in _one(found, "USERFOLD_GATEWAY_METRICS_ADDRESS").message


def test_a_target_of_several_servers_is_no_address_to_listen_on() -> None:
    for target in ("ipv4:10.0.0.1:50051,10.0.0.2:50051", "unix:/run/x", "dns:///servers:50051"):
        found = list(machine.addresses({"USERFOLD_GRPC_ADDRESS": target}))
        assert [each for each in found if "GRPC" in each.subject] == []


def test_certificates_are_valid_end_soon_have_ended_or_cannot_be_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    pair = authority.issue(tmp_path, "server", days=100)
    pair.key.chmod(0o600)
    environment = {"USERFOLD_GRPC_TLS_CERTIFICATE": str(pair.certificate), "USERFOLD_GRPC_TLS_KEY": str(pair.key)}

    def found(days: int = 0) -> dict[str, State]:
        now = datetime.now(UTC) + timedelta(days=days)
        return {each.subject: each.state for each in machine.certificates(environment, now)}

    name = "USERFOLD_GRPC_TLS_CERTIFICATE"
    assert found() == {name: State.OK}
    assert found(80) == {name: State.WARNING}
    assert found(101) == {name: State.PROBLEM}
    assert found(-3) == {name: State.PROBLEM}
    pair.key.chmod(0o644)
    assert found() == {name: State.OK, "USERFOLD_GRPC_TLS_KEY": State.WARNING}
    environment = {"USERFOLD_GRPC_TLS_CA": str(authority.path), "USERFOLD_HTTP_TLS_CERTIFICATE": str(pair.certificate)}
    # The authority's own certificate ends tomorrow; half a pair cannot be used.
    assert found() == {"USERFOLD_GRPC_TLS_CA": State.WARNING, "USERFOLD_HTTP_TLS_CERTIFICATE": State.PROBLEM}
    environment = {"USERFOLD_GRPC_TLS_CA": str(tmp_path / "missing.pem")}
    assert found() == {"USERFOLD_GRPC_TLS_CA": State.PROBLEM}


def test_the_disk_of_the_embedded_mongodb_is_examined_where_it_is_used(tmp_path: Path) -> None:
    (found,) = machine.disk({"USERFOLD_DATA_DIR": str(tmp_path / "not" / "there")})
    assert str(tmp_path / "not" / "there") in found.message
    assert list(machine.disk({"USERFOLD_MONGODB_URI": "mongodb://x"})) == []


def test_the_doctor_finds_no_problem_in_the_stack_of_the_tests(userfold: Userfold, stack: Stack) -> None:
    run = userfold("doctor", USERFOLD_HTTP_ADDRESS="127.0.0.1:0", USERFOLD_ADMIN_ADDRESS="")
    problems = [line for line in run.stdout.splitlines() if line.startswith("problem")]
    # The disk of this machine may be full.
    assert [line for line in problems if "disk" not in line and "_ADDRESS" not in line] == []
    assert f"ok       USERFOLD_GRPC_ADDRESS={stack.grpc}: a program answers there already" in run.stdout
    printed = json.loads(userfold("doctor", "--json").stdout)
    assert {each["subject"] for each in printed["findings"]} >= {"validator", "indexes", "variables", "elections"}
    assert all(each["remedy"] for each in printed["findings"] if each["state"] != "ok")


@pytest.mark.parametrize("uri", ["", "nonsense", "mongodb://user:secret@127.0.0.1:1/?serverSelectionTimeoutMS=100"])
def test_a_problem_is_exit_status_1_and_no_password_is_printed(uri: str, tmp_path: Path) -> None:
    variables = {"USERFOLD_MONGODB_URI": uri, "USERFOLD_DATA_DIR": str(tmp_path)}
    run = run_userfold("doctor", variables=variables)
    assert run.returncode == 1
    assert "problem  connection: " in run.stdout
    assert "secret" not in run.stdout + run.stderr
    assert os.listdir(tmp_path) == []
