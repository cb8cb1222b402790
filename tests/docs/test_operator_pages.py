"""The examples of the pages for operators, which start programs, and read and write files."""

import http.client
import re
import ssl
from dataclasses import replace
from pathlib import Path

from tests.docs.conftest import NewReader, Running
from tests.docs.conversation import Conversation, Reader, follow
from tests.docs.markdown import DOCS, ROOT, Block, blocks
from tests.support.certificates import Authority
from tests.support.programs import Program

_GRPC, _HTTP = "USERFOLD_GRPC_ADDRESS", "USERFOLD_HTTP_ADDRESS"


def _with_variables(text: str) -> tuple[dict[str, str], str]:
    """The variables in front of `userfold PROGRAM`, and the program."""
    assignments, program = text.removesuffix(" &").split("userfold ")
    return dict(each.split("=", 1) for each in assignments.split()), program


def test_the_programs_of_a_deployment_start_and_serve_as_shown(new_reader: NewReader, running: Running) -> None:
    (block,) = (block for block in blocks(DOCS / "deploying.md") if block.language == "sh")
    export, create, server_line, gateway_line = block.text.splitlines()
    conversation = Conversation(
        replace(new_reader(), others={"mongodb://db1,db2,db3/?replicaSet=rs0": running.ready["mongodb"]})
    )
    created = conversation.run(Block("sh", f"{export}\n{create}\n", block.line))
    assert created
    key = re.findall(r"^collector_key +(\S+)", created, re.MULTILINE)[0]
    variables, name = _with_variables(server_line)
    assert variables == {_GRPC: "0.0.0.0:50051"}
    uri = conversation.environment["USERFOLD_MONGODB_URI"]
    server = Program(name, {"USERFOLD_MONGODB_URI": uri, _GRPC: "0.0.0.0:0"})
    try:
        variables, name = _with_variables(gateway_line)
        assert variables == {_GRPC: "server-host:50051", _HTTP: "0.0.0.0:8080"}
        port = server.ready["grpc"].rpartition(":")[2]
        gateway = Program(name, {_GRPC: f"localhost:{port}", _HTTP: "0.0.0.0:0"})
        try:
            connection = http.client.HTTPConnection("127.0.0.1", int(gateway.ready["http"].rpartition(":")[2]))
            connection.request("POST", "/v1/users", b'{"user_id": "1"}', {"X-Moesif-Application-Id": key})
            assert connection.getresponse().status == 201
            connection.close()
        finally:
            assert gateway.stop() == 0
    finally:
        assert server.stop() == 0


def test_a_backup_is_made_and_verified_as_shown(new_reader: NewReader, running: Running, tmp_path: Path) -> None:
    assert (
        "$(BIN)/userfold backup create $(if $(ALLOW_EMPTY),--allow-empty) $(or $(FILE)"
        in ROOT.joinpath("Makefile").read_text()
    )
    reader = replace(new_reader(), others={"make backup FILE=": "userfold backup create ", "/backups": str(tmp_path)})
    variables = {"USERFOLD_MONGODB_URI": running.ready["mongodb"], "management_token": reader.management_token}
    assert follow(DOCS / "operations.md", reader, variables) == 5
    assert tmp_path.joinpath("userfold-monday").stat().st_mode & 0o77 == 0


def test_the_variables_of_tls_bring_a_stack_that_speaks_it(new_reader: NewReader, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    for name in ("gateway", "server"):
        authority.issue(tmp_path, name)
    conversation = Conversation(_in_folder(new_reader(), tmp_path))
    (block,) = (block for block in blocks(DOCS / "security.md") if block.language == "sh")
    assert block.text.endswith("\nmake run\n")
    conversation.run(block)
    variables = {
        name: value
        for name, value in conversation.environment.items()
        if name.startswith("USERFOLD_") and "_TLS_" in name
    }
    assert len(variables) == 8
    own = {_GRPC: "localhost:0", _HTTP: "localhost:0", "USERFOLD_DATA_DIR": str(tmp_path / "data")}
    stack = Program("server.local.run", variables | own)
    try:
        trusting = ssl.create_default_context(cafile=authority.path)
        address = stack.ready["http"].removeprefix("https://")
        connection = http.client.HTTPSConnection(address.replace("127.0.0.1", "localhost"), context=trusting)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        assert stack.stop() == 0


def _in_folder(reader: Reader, folder: Path) -> Reader:
    """The same reader, whose certificates are in this folder."""
    names = ("gateway.pem", "gateway.key", "server.pem", "server.key", "ca.pem")
    return replace(reader, others={f"={name}": f"={folder / name}" for name in names})
