"""The programs in Python of protos/README.md, from top to bottom, one over TLS, and the calls from a shell."""

from dataclasses import replace
from pathlib import Path

from tests.docs.conftest import NewReader, Running
from tests.docs.conversation import follow
from tests.docs.markdown import ROOT
from tests.support.certificates import Authority
from tests.support.programs import Program


def test_the_programs_print_what_the_readme_of_the_protos_shows(
    new_reader: NewReader, running: Running, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "ca")
    pair = authority.issue(tmp_path, "server")
    server = Program(
        "server",
        {
            "USERFOLD_MONGODB_URI": running.ready["mongodb"],
            "USERFOLD_GRPC_ADDRESS": "localhost:0",
            "USERFOLD_GRPC_TLS_CERTIFICATE": str(pair.certificate),
            "USERFOLD_GRPC_TLS_KEY": str(pair.key),
        },
    )
    try:
        port = server.ready["grpc"].rpartition(":")[2]
        others = {"server-host:50051": f"localhost:{port}", '"ca.pem"': f'"{authority.path}"'}
        assert follow(ROOT / "protos" / "README.md", replace(new_reader(), others=others)) == 10
    finally:
        assert server.stop() == 0
