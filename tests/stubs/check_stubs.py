"""Runs the commands and the programs of protos/README.md for other languages, unchanged.

pytest does not collect this file by itself, as it needs compilers of Java and Go. `make stubs` installs and runs them.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.clients.conftest import Node
from tests.clients.programs import environment
from tests.support.applications import Application
from tests.support.stack import Stack

_ROOT: Final = Path(__file__).parent.parent.parent
_HERE: Final = Path(__file__).parent
_README: Final = (_ROOT / "protos" / "README.md").read_text()
_BUILT: Final = _ROOT / "build" / "stubs"
_JARS: Final = (
    *("protobuf", "grpc-api", "grpc-context", "grpc-protobuf", "grpc-stub", "guava"),
    "geronimo-annotation-1.3-spec",
)
"""Debian's libraries in /usr/share/java. The last has `@Generated`, which older plugins write."""

_GO: Final = {"GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(_ROOT / "build" / "go")}
_SECONDS: Final = 300


def _folder(language: str) -> Path:
    """A new folder for a language, with the files that the commands of the README expect."""
    folder = _BUILT / language
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "src").mkdir(parents=True)
    for name in ("build", "protos"):
        (folder / name).symlink_to(_ROOT / name)
    return folder


def _blocks(heading: str) -> list[str]:
    """The code blocks of a section: the command that generates, and the program."""
    section = _README.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    return re.findall(r"^```\w*\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def _run(command: Sequence[str | Path], folder: Path, **variables: str) -> str:
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment() | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _generate(command: str, folder: Path, *programs: Path) -> None:
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    _run(["bash", "-euc", command], folder, PATH=path)


def test_the_program_in_typescript_updates_and_reads_a_user(stack: Stack, application: Application) -> None:
    folder, node = _folder("typescript"), Node.of_wheel()
    generate, program = _blocks("TypeScript")
    (folder / "node_modules").symlink_to(_HERE / "node_modules")
    shutil.copy(_HERE / "tsconfig.json", folder)
    (folder / "package.json").write_text(json.dumps({"type": "module"}))
    _generate(generate, folder, node.node.parent)
    for old, new in (("127.0.0.1:50051", stack.grpc), ("MANAGEMENT_TOKEN", application.management_token)):
        assert old in program
        program = program.replace(old, new)
    (folder / "src" / "program.ts").write_text(program)
    _run([node.node, "node_modules/typescript/bin/tsc"], folder)
    assert _run([node.node, "out/program.js"], folder).splitlines() == [
        "12345 { title: 'Software Engineer' }",
        "1 users[1].user_id: a user_id is required: any string of 1 to 512 bytes",
        "NotFound true",
    ]


def test_the_program_in_java_compiles() -> None:
    folder = _folder("java")
    generate, program = _blocks("Java")
    plugin = shutil.which("protoc-gen-grpc-java") or shutil.which("grpc_java_plugin")
    assert plugin, "make stub-tools"
    programs = folder / "programs"
    programs.mkdir()
    (programs / "protoc-gen-grpc-java").symlink_to(plugin)
    _generate(generate, folder, programs)
    generated = folder / "src" / "io" / "userfold" / "v1"
    for name in (
        "User",
        "UserUpdate",
        "UserServiceGrpc",
        "CampaignServiceGrpc",
        "ErrorReason",
        "FieldReason",
        "Warning",
    ):
        assert (generated / f"{name}.java").exists()
    (folder / "src" / "Users.java").write_text(program)
    jars = ":".join(f"/usr/share/java/{jar}.jar" for jar in _JARS)
    # The compiler compiles what the program imports, which is nearly everything.
    options = ["-proc:none", "-nowarn", "-cp", jars, "-sourcepath", "src", "-d", "out"]
    _run(["javac", *options, "src/Users.java", generated / "CampaignServiceGrpc.java"], folder)
    assert (folder / "out" / "io" / "userfold" / "v1" / "UserUpdate.class").exists()


def test_the_program_in_go_compiles() -> None:
    folder = _folder("go")
    generate, program = _blocks("Go")
    _generate(generate, folder)
    assert (folder / "src/github.com/userfold/userfold/protos/userfold/v1/user_service_grpc.pb.go").exists()
    package = folder / "src" / "users"
    package.mkdir()
    (package / "users.go").write_text(program)
    assert _run(["gofmt", "-l", "."], package) == ""
    _run(["go", "build", "."], package, GOPATH=f"{folder}:/usr/share/gocode", **_GO)
